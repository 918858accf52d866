import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fluxion.clock import SystemClock
from fluxion.errors import ConfigurationError
from producers.journal import KEPT_MICROS, MAX_ROW_BYTES, Journal
from producers.source import Capture
from tests.producers.captures import StillClock, change, chunk
from tests.support.local import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def streaming(path: Path, clock: StillClock | None = None) -> Journal:
    """A journal whose first snapshot, one row, is whole: sequence 1, row 1."""
    journal = Journal(path, clock or StillClock(), create=True)
    journal.append([chunk("s1", ["read"], end="items")])
    journal.finish_snapshot()
    return journal


def test_rows_and_captures_are_numbered_from_one_and_on_after_reopening(path: Path) -> None:
    journal = streaming(path)
    journal.append([change("p1", ["a", "b"]), change("p2", ["c"])])
    journal.close()
    again = Journal(path, StillClock())
    again.append([change("p3", ["d"])])
    assert [(entry.sequence, entry.numbers) for entry in again.unshipped()] == [
        (1, [1]),
        (2, [2, 3]),
        (3, [4]),
        (4, [5]),
    ]
    state = again.state()
    assert (state.stream_position, state.last_sequence, state.next_number) == ("p3", 4, 6)
    again.close()


def test_a_capture_without_rows_moves_the_position_and_takes_no_sequence(path: Path) -> None:
    journal = streaming(path)
    journal.append([change("p9")])
    assert journal.state().stream_position == "p9"
    assert journal.state().last_sequence == 1
    journal.close()


def test_no_stream_row_before_the_snapshot_is_whole(path: Path) -> None:
    journal = Journal(path, StillClock(), create=True)
    journal.append([chunk("s1", ["a"])])
    with pytest.raises(ValueError, match="before the snapshot"):
        journal.append([change("p1", ["b"])])
    assert journal.state().last_sequence == 1
    journal.append([chunk("s2", ["c"], end="items")])
    journal.finish_snapshot()
    assert journal.state().stream_position == "start"
    journal.close()


def test_a_snapshot_that_begins_again_ends_at_its_own_first_row(path: Path) -> None:
    journal = Journal(path, StillClock(), create=True)
    journal.append([chunk("s1", ["deleted before the second run", "b"], start="one")])
    journal.append([chunk("s1", ["b"], start="two"), chunk("s2", [], start="two", end="items")])
    journal.finish_snapshot()
    assert journal.unshipped()[-1].snapshot_first == 3
    assert journal.state().stream_position == "two"
    journal.close()


def test_a_snapshot_that_resumes_keeps_its_first_row(path: Path) -> None:
    journal = Journal(path, StillClock(), create=True)
    journal.append([chunk("s1", ["a"], start="one")])
    journal.close()
    again = Journal(path, StillClock())
    again.append([chunk("s2", ["b"], start="one", end="items")])
    assert again.unshipped()[-1].snapshot_first == 1
    again.close()


def test_a_row_over_the_limit_is_set_aside_and_keeps_its_number(path: Path) -> None:
    journal = streaming(path)
    journal.append([change("p1", ["a", "x" * (MAX_ROW_BYTES + 1), "c"]), change("p2", ["d"])])
    entries = journal.unshipped(limit_bytes=10**9)
    assert [entry.numbers for entry in entries[1:]] == [[2, 4], [5]]
    assert [row.values[1] for row in entries[1].capture.rows] == ["a", "c"]
    kept = journal._link.execute("select number, sequence, source_table, length(body) from quarantined").fetchall()
    assert kept[0][:3] == (3, 2, "items")
    assert kept[0][3] > MAX_ROW_BYTES
    journal.close()


def test_acknowledged_entries_stay_seven_days(path: Path) -> None:
    clock = StillClock()
    journal = streaming(path, clock)
    journal.append([change("p1", ["a"])])
    journal.acknowledge(1)
    clock.now += KEPT_MICROS + 1
    journal.append([change("p2", ["b"])])
    sequences = [row[0] for row in journal._link.execute("select sequence from entries order by 1")]
    assert sequences == [2, 3], "what Kafka has not is never deleted, however old"
    journal.close()


def test_acknowledging_never_goes_back(path: Path) -> None:
    journal = streaming(path)
    journal.append([change("p1", ["a"]), change("p2", ["b"])])
    journal.acknowledge(2)
    journal.acknowledge(1)
    assert [entry.sequence for entry in journal.unshipped()] == [3]
    assert journal.acknowledged_position() == "p1"
    journal.close()


def test_unshipped_keeps_within_its_limits_but_gives_one_at_least(path: Path) -> None:
    journal = streaming(path)
    journal.append([change("p1", ["a"] * 10), change("p2", ["b"] * 10)])
    assert [entry.sequence for entry in journal.unshipped(limit_rows=11)] == [1, 2]
    journal.acknowledge(1)
    assert [entry.sequence for entry in journal.unshipped(limit_rows=5)] == [2]
    journal.close()


def test_a_file_that_is_no_journal_is_refused(path: Path) -> None:
    path.write_text("not a database, only some text that is long enough to be looked at")
    with pytest.raises(ConfigurationError, match="no journal"):
        Journal(path, StillClock())
    with pytest.raises(ConfigurationError, match="enrol"):
        Journal(path.with_name("missing.db"), StillClock())


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 4), max_size=4), max_size=6))
def test_numbers_are_never_given_twice_and_order_is_kept(tmp_path: Path, groups: list[list[int]]) -> None:
    path = tmp_path / f"{time.monotonic_ns()}.db"
    streaming(path).close()
    wanted = ["read"]
    for group in groups:  # each group in a process of its own, as far as the journal can tell
        journal = Journal(path, StillClock())
        captures = []
        for count in group:
            values = [f"v{len(wanted) + index}" for index in range(count)]
            captures.append(change(f"p{len(wanted)}", values))
            wanted += values
        journal.append(captures)
        journal.close()
    journal = Journal(path, StillClock())
    entries = journal.unshipped(10**6, 10**9)
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    assert [number for entry in entries for number in entry.numbers] == list(range(1, len(wanted) + 1))
    assert [row.values[1] for entry in entries for row in entry.capture.rows] == wanted
    journal.close()


_WRITER = """
import itertools, sys
from pathlib import Path
from fluxion.clock import SystemClock
from producers.journal import Journal
from tests.producers.captures import change
journal = Journal(Path(sys.argv[1]), SystemClock())
for n in itertools.count(1):
    journal.append([change(f"p{n}a", [f"{n}"]), change(f"p{n}", [f"{n}", f"{n}"])])
    print(n, flush=True)
"""


def test_a_kill_in_the_middle_leaves_rows_and_position_together(path: Path) -> None:
    streaming(path).close()
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with writer:
        assert writer.stdout is not None
        last_told = [int(writer.stdout.readline()) for _ in range(20)][-1]
        writer.send_signal(signal.SIGKILL)
    journal = Journal(path, SystemClock())
    entries = journal.unshipped(10**6, 10**9)
    last: Capture = entries[-1].capture
    assert journal.state().stream_position == last.position
    assert not last.position.endswith("a"), "two Captures were appended together"
    assert int(last.position[1:]) >= last_told, "what was stored is there"
    assert [n for entry in entries for n in entry.numbers] == list(range(1, journal.state().next_number))
    journal.close()
