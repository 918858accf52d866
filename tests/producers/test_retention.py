"""The budget: acknowledged entries give way, unshipped ones never; the files stay within it and nothing gets stuck."""

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.journal import Journal, JournalFullError, Place
from producers.retention import LOG_BYTES
from tests.producers.captures import StillClock, change, streaming

MIB = 1024 * 1024
BUDGET = 24 * MIB
_NAMES = itertools.count()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def on_disk(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.glob(path.name + "*") if not file.name.endswith("-shm"))


def load(step: int, mib: float = 1) -> str:
    return f"{step}:" + "x" * int(mib * MIB * 0.9)


def sequences(journal: Journal) -> list[int]:
    return [row[0] for row in journal._link.execute("select sequence from entries order by 1")]


def append_until_full(journal: Journal, mib: float = 1) -> int:
    """The step that was refused."""
    for step in range(1, 200):
        try:
            journal.append([change(f"p{step}", [load(step, mib)])])
        except JournalFullError:
            return step
    raise AssertionError("it never became full")


def test_acknowledged_entries_give_way_oldest_first_and_the_files_stay_within_the_budget(path: Path) -> None:
    journal = streaming(path, budget=BUDGET)
    for step in range(1, 61):
        journal.append([change(f"p{step}", [load(step)])])
        journal.acknowledge(Place(step + 1, f"p{step}"))
        assert on_disk(path) <= BUDGET
        assert journal.state().bytes == on_disk(path)
    found = sequences(journal)
    assert found == list(range(found[0], 62))
    assert len(found) > 10, "kept for as long as there is room"
    journal.close()


def test_the_log_of_large_transactions_stays_within_its_share(path: Path) -> None:
    journal = streaming(path, budget=BUDGET)
    for step in range(1, 41):
        large = [change(f"p{step}", [load(step)]) for _ in range(8 if step % 2 else 4)]
        journal.append(large)
        journal.acknowledge(Place(journal.state().last_sequence, f"p{step}"))
        assert on_disk(path) <= BUDGET
    journal.close()


def test_unshipped_entries_that_fill_the_budget_make_the_source_wait_until_shipping_makes_room(path: Path) -> None:
    said: list[JournalFullError | None] = []
    journal = streaming(path, budget=BUDGET, say_full=said.append)
    refused = append_until_full(journal)
    state = journal.state()
    assert refused > 10
    assert on_disk(path) <= BUDGET
    assert sequences(journal) == list(range(1, refused + 1)), "nothing was thrown away"
    for _ in range(3):
        with pytest.raises(JournalFullError, match="not shipped"):
            journal.append([change("again", [load(0)])])
    after = journal.state()
    assert (after.last_sequence, after.next_number, after.stream_position) == (
        state.last_sequence,
        state.next_number,
        f"p{refused - 1}",
    )
    assert len(said) == 1
    assert said[0] is not None
    assert "budget" in said[0].mend
    journal.acknowledge(Place(4, "p3"))
    journal.append([change("on", [load(0)])])
    assert said[1:] == [None]
    assert journal.unshipped()[0].sequence == 5
    assert on_disk(path) <= BUDGET
    journal.close()


def test_a_small_change_waits_too_and_a_position_without_rows_still_moves(path: Path) -> None:
    journal = streaming(path, budget=BUDGET)
    append_until_full(journal)
    append_until_full(journal, mib=0.1)
    before = journal.state()
    journal.append([change("further")])
    assert journal.state().stream_position == "further"
    assert journal.state().last_sequence == before.last_sequence
    journal.close()


def test_a_budget_that_was_lowered_is_reached_step_by_step(path: Path) -> None:
    journal = streaming(path, budget=4 * BUDGET)
    for step in range(1, 61):
        journal.append([change(f"p{step}", [load(step)])])
    journal.acknowledge(Place(61, "p60"))
    journal.close()
    journal = Journal(path, StillClock(), budget=BUDGET)
    counts = []
    for step in range(61, 81):
        journal.append([change(f"p{step}", [load(step, 0.2)])])
        counts.append(len(sequences(journal)))
    freed = [before + 1 - after for before, after in itertools.pairwise(counts)]
    assert max(freed) <= 12, "no single append pays for all"
    assert counts[-1] < 40
    size = path.stat().st_size
    for step in range(81, 101):
        journal.append([change(f"p{step}", [load(step, 0.2)])])
    assert path.stat().st_size <= size, "free pages are used again"
    assert on_disk(path) <= size + LOG_BYTES
    journal.close()


def test_the_budget_never_takes_what_is_not_shipped_whatever_the_clock_says(path: Path) -> None:
    clock = StillClock()
    journal = streaming(path, clock, budget=BUDGET)
    refused = append_until_full(journal)
    clock.now = 4 * 10**15
    with pytest.raises(JournalFullError):
        journal.append([change("p", [load(0)])])
    assert [entry.sequence for entry in journal.unshipped(10**6, 10**9)] == list(range(1, refused + 1))
    journal.close()


@settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(st.integers(1, 6), st.floats(0.01, 1), st.integers(0, 8)), max_size=18))
def test_whatever_comes_and_goes_the_budget_holds_and_shipping_always_makes_room(
    tmp_path: Path, steps: list[tuple[int, float, int]]
) -> None:
    path = tmp_path / f"{next(_NAMES)}" / "journal.db"
    path.parent.mkdir()
    journal = streaming(path, budget=BUDGET)
    stored, acknowledged = ["read"], 0
    for number, (count, mib, shipped) in enumerate(steps):
        values = [load(number, mib) for _ in range(count)]
        try:
            journal.append([change(f"{number}", [value]) for value in values])
            stored += values
        except JournalFullError:
            assert sum(map(len, stored[acknowledged:])) + sum(map(len, values)) > BUDGET // 3
        assert on_disk(path) <= BUDGET
        waiting = journal.unshipped(10**6, 10**9)
        assert [entry.capture.rows[0].values[1] for entry in waiting] == stored[acknowledged:]
        if waiting[:shipped]:
            last = waiting[:shipped][-1]
            acknowledged = last.sequence
            journal.acknowledge(Place(last.sequence, last.capture.position))
    journal.acknowledge(Place(len(stored), "all"))
    journal.append([change("at the end", [load(0)] * 3)])
    journal.close()
