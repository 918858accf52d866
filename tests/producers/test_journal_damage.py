"""Power cuts, kills, torn and rotten pages, a full disk: what was stored is there, or the file is set aside and that is said."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fluxion.clock import SystemClock
from producers.journal import Journal, JournalFullError, JournalSetAsideError, Place, prepare
from producers.journal_file import NUMBERS_LEFT_OUT
from tests.producers.captures import StillClock, change, streaming
from tests.support.local import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def numbers_in(journal: Journal) -> list[int]:
    return [number for entry in journal.unshipped(10**6, 10**9) for number in entry.numbers]


_WRITER = """
import itertools, sys
from pathlib import Path
from fluxion.clock import SystemClock
from producers.journal import Journal, Place, prepare
from tests.producers.captures import change
path = Path(sys.argv[1])
assert prepare(path) is None
journal = Journal(path, SystemClock())
begin = journal.state().last_sequence
for n in itertools.count(begin + 1):
    journal.append([change(f"p{n}a", [f"{n}"]), change(f"p{n}", [f"{n}", "x" * 9000])])
    journal.acknowledge(Place(n, "somewhere"))
    print(journal.state().last_sequence, flush=True)
"""


def test_kills_in_the_middle_again_and_again_leave_rows_and_position_together(path: Path) -> None:
    streaming(path).close()
    stored: dict[int, list[int]] = {}
    for kill in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        with writer:
            assert writer.stdout is not None
            told = [int(writer.stdout.readline()) for _ in range(5 + kill)][-1]
            time.sleep(kill / 1000)
            writer.send_signal(signal.SIGKILL)
        journal = Journal(path, SystemClock())
        state = journal.state()
        assert state.last_sequence >= told, "what was stored is there"
        assert state.acknowledged >= told // 2
        assert not (state.stream_position or "a").endswith("a"), "two Captures were appended together"
        for entry in journal.unshipped(10**6, 10**9):
            assert stored.setdefault(entry.sequence, entry.numbers) == entry.numbers
        assert max(stored) == state.last_sequence
        journal.close()
    given_out = [number for _, numbers in sorted(stored.items()) for number in numbers]
    assert given_out == sorted(set(given_out))


def test_a_tail_that_the_disk_lost_leaves_a_prefix_and_its_numbers_are_not_used_again(path: Path) -> None:
    """A disk that said "stored" and had not: what was shipped meanwhile must not meet other rows under its versions."""
    journal = streaming(path)
    for step in range(6):
        journal.append([change(f"p{step}", ["a", "b"])])
    shipped = numbers_in(journal)
    lost = path.parent / "lost"
    lost.mkdir()
    shutil.copy(path, lost / "journal.db")
    log = path.with_name("journal.db-wal").read_bytes()
    (lost / "journal.db-wal").write_bytes(log[: len(log) - 12_000])
    journal.close()
    assert prepare(lost / "journal.db") is None
    again = Journal(lost / "journal.db", StillClock())
    before = again.state()
    assert 0 < before.last_sequence < 7
    assert numbers_in(again) == shipped[: 2 * before.last_sequence - 1]
    assert before.stream_position == f"p{before.last_sequence - 2}"
    again.append([change("q", ["c"])])
    assert numbers_in(again)[-1] > max(shipped)
    assert numbers_in(again)[-1] >= NUMBERS_LEFT_OUT
    again.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the file and the log of a journal whose process was killed after twelve appends."""
    folder = tmp_path_factory.mktemp("written")
    journal = streaming(folder / "live.db")
    journal._link.execute("pragma wal_checkpoint(truncate)")
    for step in range(12):
        journal.append([change(f"p{step}", [f"{step}", "x" * 3000])])
    for suffix in ("", "-wal"):
        shutil.copy(folder / f"live.db{suffix}", folder / f"journal.db{suffix}")
    journal.close()
    return folder


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1), flips=st.lists(st.floats(0, 1), max_size=3))
def test_a_log_that_is_cut_or_has_wrong_bytes_opens_with_a_consistent_prefix(
    written: Path, tmp_path: Path, cut: float, flips: list[float]
) -> None:
    path = tmp_path / f"{time.monotonic_ns()}" / "journal.db"
    path.parent.mkdir()
    shutil.copy(written / "journal.db", path)
    log = bytearray((written / "journal.db-wal").read_bytes())
    log = log[: int(len(log) * cut)] if not flips else log
    for flip in flips:
        log[int((len(log) - 1) * flip)] ^= 0x55
    path.with_name("journal.db-wal").write_bytes(log)
    assert prepare(path) is None
    journal = Journal(path, StillClock())
    state = journal.state()
    entries = journal.unshipped(10**6, 10**9)
    assert [entry.sequence for entry in entries] == list(range(1, state.last_sequence + 1))
    assert state.stream_position == (f"p{state.last_sequence - 2}" if state.last_sequence > 1 else "start")
    assert [row.values[1] for entry in entries[1:] for row in entry.capture.rows[:1]] == [
        f"{step}" for step in range(state.last_sequence - 1)
    ]
    journal.append([change("q", ["new"])])
    assert numbers_in(journal) == sorted(set(numbers_in(journal)))
    journal.close()


def damaged_in_the_middle(path: Path) -> None:
    """Half of a page that holds entries reads as something else."""
    journal = streaming(path)
    for step in range(200):
        journal.append([change(f"p{step}", ["x" * 500])])
    journal.close()
    with path.open("r+b") as file:
        file.seek(20 * 4096)
        file.write(os.urandom(2048))


def test_a_damaged_file_is_set_aside_with_its_log_at_the_start_and_said(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged_in_the_middle(path)
    before = path.read_bytes()
    aside = prepare(path)
    assert aside == path.with_name("journal.db.damaged-1")
    assert aside.read_bytes() == before, "as it was"
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "set aside" in line]
    assert "not shipped" in line
    assert "new snapshot" in line
    journal = Journal(path, StillClock())
    assert (journal.state().last_sequence, journal.state().stream_position, journal.run()) == (0, None, None)
    journal.close()
    assert prepare(path) is None
    path.write_bytes(b"no database at all, only some text that is long enough" * 100)
    assert prepare(path) == path.with_name("journal.db.damaged-2")
    assert sorted(file.name for file in path.parent.glob("*damaged-?")) == [
        "journal.db.damaged-1",
        "journal.db.damaged-2",
    ]


def test_damage_that_is_found_at_work_ends_every_thread_and_the_next_start_sets_aside(path: Path) -> None:
    damaged_in_the_middle(path)
    journal = Journal(path, StillClock())
    old = journal.journal_id
    with pytest.raises(JournalSetAsideError, match="not shipped"):
        journal.unshipped(10**6, 10**9)
    other = Journal(path, StillClock())  # another thread that has not met the damage
    assert path.exists(), "nothing is renamed while others have it open"
    other.close()
    journal.close()
    assert prepare(path) == path.with_name("journal.db.damaged-1")
    again = Journal(path, StillClock())
    assert again.journal_id != old
    again.close()
    assert prepare(path) is None, "the note is gone"


def test_an_entry_that_reads_otherwise_than_it_was_written_never_leaves(path: Path) -> None:
    """A rotten byte in a value: the page is well-formed, a price would be wrong."""
    journal = streaming(path)
    journal.append([change("p1", ["price 129.90"])])
    journal.close()
    rotten = path.read_bytes()
    assert rotten.count(b"129.90") == 1
    path.write_bytes(rotten.replace(b"129.90", b"929.90"))
    assert prepare(path) is None, "SQLite cannot see it"
    journal = Journal(path, StillClock())
    with pytest.raises(JournalSetAsideError, match="entry 2 is not what was stored"):
        journal.unshipped()
    journal.close()
    assert prepare(path) == path.with_name("journal.db.damaged-1")


def test_a_start_that_is_cut_off_while_it_sets_aside_is_done_by_the_next(path: Path) -> None:
    damaged_in_the_middle(path)
    path.with_name("journal.db.set-aside").write_text("damaged\nfound at work")
    path.rename(path.with_name("journal.db.damaged-1"))  # the power went between the rename and the end of the note
    assert prepare(path) is not None
    journal = Journal(path, StillClock())
    assert journal.state().last_sequence == 0
    journal.close()
    assert path.with_name("journal.db.damaged-1").exists()
    assert not path.with_name("journal.db.set-aside").exists()


def test_a_mistake_of_ours_is_no_damage_and_nothing_is_set_aside_for_it(path: Path) -> None:
    journal = streaming(path)
    journal.close()
    with pytest.raises(sqlite3.ProgrammingError):
        journal.state()
    assert prepare(path) is None
    again = Journal(path, StillClock())
    assert again.state().last_sequence == 1
    again.close()


def appended_until_full(journal: Journal) -> int:
    for step in range(100):
        try:
            journal.append([change(f"p{step}", ["x" * 4000])])
        except JournalFullError:
            return step
    raise AssertionError("it never became full")


def test_on_a_full_disk_nothing_is_lost_the_source_waits_and_goes_on_by_itself(path: Path) -> None:
    said: list[str | None] = []
    journal = streaming(path, say_full=lambda fault: said.append(fault and fault.message))
    (pages,) = journal._link.execute("pragma page_count").fetchone()
    journal._link.execute(f"pragma max_page_count = {pages + 20}")  # SQLite says SQLITE_FULL, as of a full disk
    stored = appended_until_full(journal)
    before = journal.state()
    assert 5 < stored < 25
    assert (before.last_sequence, before.stream_position) == (1 + stored, f"p{stored - 1}")
    with pytest.raises(JournalFullError):
        journal.append([change(f"p{stored}", ["x" * 4000])])
    assert journal.state() == before
    assert said == [f"the disk of the journal {path} is full"]
    journal.acknowledge(Place(stored, f"p{stored - 2}"))
    journal.append([change(f"p{stored}", ["x" * 4000])])  # what is acknowledged gave way
    assert said == [f"the disk of the journal {path} is full", None]
    assert [entry.sequence for entry in journal.unshipped()] == [stored + 1, stored + 2]
    journal.close()
