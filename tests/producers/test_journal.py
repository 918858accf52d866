from pathlib import Path

import pytest

from fluxion.errors import ConfigurationError, TwoAgentsError
from fluxion.registry import Session, Standing
from producers.journal import KEPT_MICROS, Journal, Place, Rewound, prepare
from producers.source import Bound, Capture, CaptureEnd
from tests.producers.captures import ITEMS, StillClock, change, chunk, part, streaming


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def kept(journal: Journal) -> list[int]:
    return [row[0] for row in journal._link.execute("select sequence from entries order by 1")]


def test_rows_and_captures_are_numbered_from_one_and_on_after_reopening(path: Path) -> None:
    journal = streaming(path)
    journal.append([change("p1", ["a", "b"]), change("p2", ["c"])])
    journal.close()
    again = Journal(path, StillClock())
    again.append([change("p3", ["d"])])
    assert [(entry.sequence, entry.numbers) for entry in again.unshipped()] == [
        (1, [2]),
        (2, [3, 4]),
        (3, [5]),
        (4, [6]),
    ]
    state = again.state()
    assert (state.stream_position, state.last_sequence, state.next_number, state.rows) == ("p3", 4, 7, 5)
    again.close()


def test_a_capture_without_rows_moves_the_position_and_takes_no_sequence(path: Path) -> None:
    journal = streaming(path)
    journal.append([change("p9")])
    assert journal.state().stream_position == "p9"
    assert journal.state().last_sequence == 1
    journal.close()


def test_no_stream_row_before_the_snapshot_is_whole(path: Path) -> None:
    journal = Journal(path, StillClock(), create=True)
    run = journal.request_run("first", ["items"], {})
    journal.append([chunk("s1", ["a"])])
    with pytest.raises(ValueError, match="before the snapshot"):
        journal.append([change("p1", ["b"])])
    assert journal.state().last_sequence == 1
    journal.append([chunk("s2", ["c"], end="items")])
    journal.finish_run(run)
    assert journal.state().stream_position == "start"
    journal.close()


def test_a_snapshot_that_resumes_keeps_its_first_row_and_where_its_stream_starts(path: Path) -> None:
    journal = Journal(path, StillClock(), create=True)
    run = journal.request_run("first", ["items"], {"items": Bound("id", "5")})
    journal.append([chunk("s1", ["a"], start="one")])
    journal.close()
    again = Journal(path, StillClock())
    found = again.run()
    assert found is not None
    assert (found.id, found.position, found.stream_start, found.rows) == (run, "s1", "one", 1)
    assert (found.tables, found.bounds, found.started_at) == (["items"], {"items": Bound("id", "5")}, 1_000_000)
    again.append([chunk("s2", ["b"], start="one, read again", end="items")])
    again.finish_run(run)
    assert again.unshipped()[-1].ends_from == 1
    assert again.state().stream_position == "one"
    assert again.run() is None
    again.close()


def test_a_first_run_that_never_said_where_the_stream_starts_is_not_whole(path: Path) -> None:
    journal = Journal(path, StillClock(), create=True)
    run = journal.request_run("first", ["items"], {})
    with pytest.raises(ValueError, match="where the stream starts"):
        journal.finish_run(run)
    assert journal.run() is not None
    assert journal.state().stream_position is None
    journal.close()


def test_a_first_run_supersedes_all_others_and_stops_the_stream(path: Path) -> None:
    journal = streaming(path)
    queued = journal.request_run("again", ["stock"], {})
    first = journal.request_run("first", ["items"], {})
    assert journal.state().stream_position is None
    journal.append([chunk("t1", ["a"], start="two"), chunk("t2", [], start="two", end="items")])
    journal.finish_run(queued)  # of a run that is no more: no change
    assert journal.state().stream_position is None
    journal.finish_run(first)
    assert journal.state().stream_position == "two"
    assert journal.unshipped()[-1].ends_from == 3
    assert journal.run() is None
    journal.close()


def test_tables_are_read_again_while_the_stream_goes_on(path: Path) -> None:
    journal = streaming(path)
    first, second = (journal.request_run("again", [table], {}) for table in ("items", "stock"))
    again = Capture("snapshot", "s1", [ITEMS], [], [], 5)
    journal.append([change("p1", ["a"])])
    journal.append([again])
    journal.append([change("p2", ["b"])])
    journal.append([Capture("snapshot", "s2", [ITEMS], [], [CaptureEnd("items")], 5)])
    assert journal.unshipped()[-1].ends_from == 4, "the number that was next when the run's first chunk was stored"
    assert journal.state().stream_position == "p2"
    journal.finish_run(first)
    run = journal.run()
    assert run is not None
    assert (run.id, run.position) == (second, None)
    assert journal.state().stream_position == "p2"
    journal.close()


def test_the_number_of_an_end_is_between_what_came_before_it_and_what_comes_after(path: Path) -> None:
    journal = streaming(path)
    journal.append([change("p1", ["a", "b"]), Capture("stream", "p2", [], [], [CaptureEnd("items")], 5)])
    journal.append([change("p3", ["c"])])
    before, end, after = journal.unshipped()[-3:]
    assert before.numbers[-1] < end.ends_from < after.numbers[0]
    journal.close()


def test_the_number_of_an_empty_tables_end_is_no_rows(path: Path) -> None:
    journal = streaming(path)
    run = journal.request_run("again", ["items"], {})
    journal.append([Capture("snapshot", "s1", [], [], [CaptureEnd("items")], 5)])
    journal.finish_run(run)
    journal.append([change("p1", ["a"])])
    end, after = journal.unshipped()[-2:]
    assert end.ends_from < after.numbers[0]
    journal.close()


def test_a_chunk_that_nobody_asked_for_is_refused(path: Path) -> None:
    journal = streaming(path)
    with pytest.raises(ValueError, match="no run"):
        journal.append([chunk("s9", ["a"])])
    assert journal.state().last_sequence == 1
    journal.close()


def test_a_journal_and_its_log_can_be_read_by_their_owner_only(path: Path) -> None:
    journal = streaming(path)
    files = sorted(path.parent.glob("journal.db*"))
    assert [file.name for file in files] == ["journal.db", "journal.db-shm", "journal.db-wal"]
    assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"] * 3
    for file in files:
        file.chmod(0o644)  # as an older agent left them
    prepare(path)
    assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"] * 3
    journal.close()


def test_acknowledged_entries_stay_seven_days(path: Path) -> None:
    clock = StillClock()
    journal = streaming(path, clock)
    journal.append([change("p1", ["a"]), change("p2", ["b"])])
    journal.acknowledge(Place(2, "p1"))
    clock.now += KEPT_MICROS + 1
    journal.append([change("p3", ["c"])])
    assert kept(journal) == [2, 3, 4], "what Kafka has not is never deleted, however old; nor the last that it has"
    journal.close()


def test_acknowledging_never_goes_back(path: Path) -> None:
    journal = streaming(path)
    journal.append([change("p1", ["a"]), change("p2", ["b"])])
    journal.acknowledge(Place(2, "p1"))
    journal.acknowledge(Place(1, "s1"))
    assert [entry.sequence for entry in journal.unshipped()] == [3]
    assert journal.place() == Place(2, "p1")
    journal.close()


def test_unshipped_keeps_within_its_limits_but_gives_one_at_least(path: Path) -> None:
    journal = streaming(path)
    journal.append([change("p1", ["a"] * 10), change("p2", ["b"] * 10)])
    assert [entry.sequence for entry in journal.unshipped(limit_rows=11)] == [1, 2]
    journal.acknowledge(Place(1, "s1"))
    assert [entry.sequence for entry in journal.unshipped(limit_rows=5)] == [2]
    journal.close()


def test_a_missing_journal_is_not_made_by_opening_it(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="enrol"):
        Journal(path, StillClock())
    assert not path.exists()


def test_a_clock_at_2015_or_hours_ahead_changes_neither_numbers_nor_what_is_kept_for_shipping(path: Path) -> None:
    clock = StillClock()
    journal = streaming(path, clock)
    years = 365 * 24 * 3600 * 1_000_000
    for step, at in enumerate([56 * years, 45 * years, 56 * years + 7_200_000_000, 0, 80 * years, 56 * years]):
        clock.now = at
        journal.append([change(f"p{step}", ["a"])])
    assert [entry.numbers for entry in journal.unshipped()] == [[n] for n in range(2, 9)]
    journal.acknowledge(Place(3, "p1"))
    clock.now = 99 * years
    for step in range(40):
        journal.append([change(f"q{step}", ["a"])])
    assert kept(journal) == list(range(3, 48)), "however far ahead: what is not acknowledged, and the last that is"
    clock.now = 0
    journal.acknowledge(Place(20, "q12"))
    journal.append([change("r", ["a"])])
    assert journal.unshipped()[0].sequence == 21
    journal.close()


def test_a_rewind_ships_what_is_kept_again_with_the_same_numbers(path: Path) -> None:
    clock = StillClock()
    journal = streaming(path, clock)
    for step in range(5):
        clock.now += 1_000
        journal.append([change(f"p{step}", ["a", "b"])])
    before = journal.unshipped()
    journal.acknowledge(Place(5, "p3"))
    assert journal.rewind_to_sequence(3) == Rewound(3, 3)
    assert journal.unshipped() == before[2:]
    assert journal.place() == Place(2, "p0")
    journal.acknowledge(Place(6, "p4"))
    assert journal.rewind_to_time(clock.now - 1_500) == Rewound(5, 2)
    assert journal.rewind_to_sequence(0) == Rewound(1, 4)
    assert journal.unshipped() == before
    assert journal.place() == Place(0, "")
    with pytest.raises(ConfigurationError, match="not shipped yet"):
        journal.rewind_to_sequence(1)
    with pytest.raises(ConfigurationError, match="since that time"):
        journal.rewind_to_time(clock.now + 1)
    journal.close()


def test_a_rewind_into_a_split_transaction_goes_back_to_its_beginning(path: Path) -> None:
    journal = streaming(path)
    journal.append([change("p1", ["a"]), part("p1", ["b"], 0), part("p1", ["c"], 1), part("p2", ["d"], 2, last=True)])
    journal.acknowledge(Place(5, "p2"))
    assert journal.rewind_to_sequence(5) == Rewound(3, 3)
    assert journal.place() == Place(2, "p1")
    journal.close()


def test_a_rewind_goes_back_as_far_as_entries_are_kept(path: Path) -> None:
    clock = StillClock()
    journal = streaming(path, clock)
    journal.append([change(f"p{step}", ["a"]) for step in range(5)])
    journal.acknowledge(Place(4, "p2"))
    clock.now += KEPT_MICROS + 1
    journal.append([change("q", ["a"])])
    assert journal.rewind_to_sequence(1) == Rewound(4, 1)
    assert [entry.sequence for entry in journal.unshipped()] == [4, 5, 6, 7]
    journal.close()


def test_a_session_makes_the_place_of_the_next_start_the_one_to_compare(path: Path) -> None:
    """Another start with PostgreSQL away must not hide that an older copy was put back."""
    streaming(path).close()
    prepare(path)
    journal = Journal.for_shipping(path, StillClock())
    assert journal.standing() == Standing(journal.journal_id, 1, 0)
    journal.append([change("p1", ["a"])])
    prepare(path)
    assert journal.standing().last_sequence == 1, "as it was when the file was opened first"
    journal.note_session(Session(7, "system", 3, 0))
    assert journal.standing() == Standing(journal.journal_id, 2, 7)
    assert journal.state().epoch == 3
    prepare(path)
    journal.append([change("p2", ["a"])])
    assert journal.standing() == Standing(journal.journal_id, 2, 7)
    journal.close()


def test_a_fenced_journal_does_not_take_the_system_back_by_being_started_again(path: Path) -> None:
    streaming(path).close()
    journal = Journal.for_shipping(path, StillClock())
    journal.note_fenced("two agents: session 8 on another host took over")
    journal.close()
    prepare(path)
    again = Journal.for_shipping(path, StillClock())
    with pytest.raises(TwoAgentsError, match="another host"):
        again.standing()
    assert again.state().fenced is not None
    again.close()
