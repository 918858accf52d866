import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fluxion.errors import DependencyDownError, FluxionError
from producers.circuit import OPEN_S, PROBE_S, Circuit
from producers.context import Context
from producers.following import Following
from producers.handover import Handover
from producers.home import JOURNAL, AgentConfig, SourceSection
from producers.journal import Journal
from producers.layouts import Layouts
from producers.note import Note, read_note
from producers.source import Bounds, Capture, Fault
from producers.status import Reporter
from tests.producers.captures import StillClock, change, chunk


def test_a_lost_source_is_tried_after_1_2_4_8_16_s_then_once_a_minute_and_the_first_success_closes() -> None:
    clock = StillClock()
    circuit = Circuit(clock)
    assert circuit.succeeded() is None
    attempts = [circuit.failed() for _ in range(5)]
    assert [attempt.wait_s for attempt in attempts] == [1, 2, 4, 8, 16]
    assert [attempt.first for attempt in attempts] == [True, False, False, False, False]
    opened = []
    for _ in range(int(OPEN_S / PROBE_S) + 2):
        attempt = circuit.failed()
        assert attempt.wait_s == PROBE_S
        opened.append(attempt.opened)
        clock.sleep(attempt.wait_s)
    # When it opens, and once more when the hour is over.
    assert [index for index, is_opened in enumerate(opened) if is_opened] == [0, 60]
    recovery = circuit.succeeded()
    assert recovery is not None
    assert recovery.closed
    assert circuit.succeeded() is None
    assert circuit.failed().wait_s == 1


class Unreachable:
    """A source that cannot be reached for a number of times; then it has one row and a stream of one change."""

    def __init__(self, failures: list[FluxionError], ended: threading.Event) -> None:
        self._failures = failures
        self._ended = ended

    def check(self) -> list[Fault]:
        return []

    def estimate(self, tables: frozenset[str], bounds: Bounds) -> int:
        return len(tables) + len(bounds)

    def snapshot(self, *_: Any) -> Iterator[Capture]:
        if self._failures:
            raise self._failures.pop()
        yield chunk("s1", ["one"], end="items")

    def stream(self, after: str) -> Iterator[Capture]:
        assert after == "start"
        yield change("p1", ["two"])
        self._ended.set()

    def resnapshot(self, *_: Any) -> Iterator[Capture]:
        return iter([])

    def close(self) -> None:
        return


@pytest.mark.parametrize("failures", [3, 70])
def test_the_agent_outlives_an_outage_and_says_when_it_began_when_it_was_given_up_and_when_it_ended(
    tmp_path: Path, failures: int
) -> None:
    clock, ending = StillClock(), threading.Event()
    Journal(tmp_path / JOURNAL, clock, create=True).close()
    said: list[str] = []
    waited: list[float] = []

    def pause(seconds: float) -> bool:
        waited.append(seconds)
        assert read_note(tmp_path)["doing"] == "lost"
        clock.sleep(seconds)
        return not ending.is_set()

    reporter = Reporter("s", "nowhere:1", lambda: 1, clock, ending)
    faults: list[FluxionError] = [DependencyDownError(f"gone {number}", "wait") for number in range(failures)]
    source = SourceSection(host="h", port=1, user="u", database="d", tables=["items"])
    context = Context(
        home=tmp_path,
        config=AgentConfig(system_id="s", epoch=1, source=source),
        clock=clock,
        ending=ending,
        written=threading.Event(),
        handover=Handover(ending),
        reporter=reporter,
        note=Note(tmp_path),
        layouts=Layouts(tmp_path),
        open_source=lambda: Unreachable(faults, ending),
        pause=pause,
    )
    writer = threading.Thread(target=write, args=[context])
    writer.start()
    Following(context).run()
    writer.join()
    said = [event.kind for event in reporter._events if event.kind.startswith(("source", "circuit"))]
    if failures == 3:
        assert waited == [1, 2, 4]
        assert said == ["source_error", "source_recovered"]
    else:
        assert waited == [1, 2, 4, 8, 16, *[60] * 65]
        assert said == ["source_error", "circuit_opened", "circuit_opened", "source_recovered", "circuit_closed"]
    assert read_note(tmp_path)["doing"] == "streaming"
    journal = Journal(tmp_path / JOURNAL, clock)
    assert [row.values[1] for entry in journal.unshipped() for row in entry.capture.rows] == ["one", "two"]
    journal.close()


def write(context: Context) -> None:
    journal = Journal(context.home / JOURNAL, context.clock)
    while group := context.handover.take() or not context.ending.is_set():
        if isinstance(group, list):
            journal.append(group)
            context.handover.stored(len(group))
    journal.close()
