"""Whatever is done to a journal, in whatever order: it says again what it was told, numbered as promised."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from producers.journal import KEPT_MICROS, Entry, Journal, Place, prepare
from producers.source import Capture
from tests.producers.captures import StillClock, change, chunk, part, streaming

VALUES = st.lists(st.sampled_from(["a", "b", "ñandú", "x" * 1_000]), max_size=3)


class JournalMachine(RuleBasedStateMachine):
    """The model is a list of what was stored: values, position and the numbers first seen."""

    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = StillClock()
        self.path = self.folder / "journal.db"
        self.journal = streaming(self.path, self.clock)
        self.stored: list[list[str]] = [["read"]]
        self.numbers: dict[int, list[int]] = {}
        self.position = "start"
        self.acknowledged = 0
        self.copies = self.changes = 0
        self.streams = True

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)

    def _next(self) -> str:
        self.changes += 1
        return f"p{self.changes}"

    def _store(self, captures: Sequence[Capture]) -> None:
        self.journal.append(captures)
        for capture in captures:
            if capture.rows or capture.ends:
                self.stored.append([row.values[1] or "" for row in capture.rows])
            if capture.kind == "stream":
                self.position = capture.position

    @rule(groups=st.lists(VALUES, max_size=4))
    def append(self, groups: list[list[str]]) -> None:
        if self.streams:
            self._store([change(self._next(), values) for values in groups])

    @rule(counts=st.lists(st.integers(1, 2), min_size=1, max_size=3), cut=st.booleans())
    def append_parts(self, counts: list[int], cut: bool) -> None:  # noqa: FBT001 -- hypothesis gives it by name
        """A transaction in parts; cut off by a crash, the source yields it again."""
        if not self.streams:
            return
        front, behind = self.position, self._next()
        parts = [part(front, ["a"] * count, index) for index, count in enumerate(counts)]
        if not cut:
            parts.append(part(behind, ["b"], len(parts), last=True))
        self._store(parts)

    @rule(target=runs, again=st.booleans())
    def ask_for_a_run(self, again: bool) -> int:  # noqa: FBT001 -- as above
        run = self.journal.request_run("again" if again else "first", ["items"], {})
        self.streams = self.streams and again
        return run

    @rule(values=VALUES, ends=st.booleans())
    def append_chunk(self, values: list[str], ends: bool) -> None:  # noqa: FBT001 -- as above
        run = self.journal.run()
        if run is not None:
            self._store([chunk(self._next(), values, start="start", end="items" if ends else None)])
            after = self.journal.run()
            assert after is not None
            assert (after.id, after.position, after.rows) == (run.id, f"p{self.changes}", run.rows + len(values))

    @rule(run=runs)
    def finish(self, run: int) -> None:
        current = self.journal.run()
        if current is not None and current.kind == "first" and current.id == run:
            if current.position is None:
                return
            self.streams, self.position = True, "start"
        self.journal.finish_run(run)

    @rule(count=st.integers(1, 5))
    def acknowledge(self, count: int) -> None:
        waiting = self.journal.unshipped(10**6, 10**9)[:count]
        if waiting:
            self.acknowledged = waiting[-1].sequence
            self.journal.acknowledge(Place(self.acknowledged, waiting[-1].capture.position))

    @rule(back=st.integers(0, 5))
    def rewind(self, back: int) -> None:
        if self.acknowledged > back:
            done = self.journal.rewind_to_sequence(self.acknowledged - back)
            assert done.first + done.entries == self.acknowledged + 1
            assert done.first <= max(self.acknowledged - back, self.journal.state().oldest or 0)
            self.acknowledged = done.first - 1

    @rule(wall=st.sampled_from([0, 10**15, 10**15 + KEPT_MICROS * 2, 4 * 10**15]))
    def the_clock_jumps(self, wall: int) -> None:
        self.clock.now = wall

    @rule()
    def fail_in_the_middle(self) -> None:
        if self.streams and self.journal.run() is None:
            with pytest.raises(ValueError, match="no run"):
                self.journal.append([change("never", ["never"]), chunk("never", ["never"])])

    @rule()
    def reopen(self) -> None:
        self.journal.close()
        self.journal = Journal(self.path, self.clock)

    @rule()
    def start_again(self) -> None:
        self.journal.close()
        assert prepare(self.path) is None
        self.journal = Journal(self.path, self.clock)

    @rule()
    def crash(self) -> None:
        """The files as a killed process leaves them: nothing is closed, the log is not written back."""
        self.copies += 1
        copy = self.folder / f"{self.copies}"
        copy.mkdir()
        for name in ("journal.db", "journal.db-wal"):
            if (self.path.parent / name).exists():
                shutil.copy(self.path.parent / name, copy / name)
        self.journal.close()
        self.path = copy / "journal.db"
        assert prepare(self.path) is None
        self.journal = Journal(self.path, self.clock)

    @invariant()
    def says_again_what_it_was_told(self) -> None:
        entries = self.journal.unshipped(10**6, 10**9)
        assert [entry.sequence for entry in entries] == list(range(self.acknowledged + 1, len(self.stored) + 1))
        assert [values_of(entry) for entry in entries] == self.stored[self.acknowledged :]
        for entry in entries:
            assert self.numbers.setdefault(entry.sequence, entry.numbers) == entry.numbers

    @invariant()
    def numbers_rise_and_none_is_given_twice(self) -> None:
        given_out = [number for _, numbers in sorted(self.numbers.items()) for number in numbers]
        assert given_out == sorted(set(given_out))
        state = self.journal.state()
        assert state.next_number > max(given_out, default=0)
        assert (state.last_sequence, state.unshipped) == (len(self.stored), len(self.stored) - self.acknowledged)
        assert state.stream_position == (self.position if self.streams else None)
        assert state.rows == sum(map(len, self.stored))

    @initialize()
    def begin(self) -> None:
        assert self.journal.state().stream_position == "start"


def values_of(entry: Entry) -> list[str]:
    return [row.values[1] or "" for row in entry.capture.rows]


JournalMachine.TestCase.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_any_order_of_appends_acknowledgements_rewinds_and_crashes = JournalMachine.TestCase
