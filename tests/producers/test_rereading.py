"""Tables read again beside the stream, by the agent's own threads: what breaks off, cannot be read, or is stopped."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from fluxion.clock import SystemClock
from producers import journal_file, rereading
from producers.home import JOURNAL
from producers.journal import Journal, Run
from producers.standing import read_again
from tests.conftest import Cloud
from tests.producers.conftest import Shop
from tests.producers.till import SCHEMA, Till, seen_as_stored, statuses_of, until


@pytest.fixture
def till(cloud: Cloud, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Till:
    """It looks for what was asked ten times a second, and soon again."""
    for name in ("NOTICE_S", "_SOON_S", "_AFTER_MENDING_S"):
        monkeypatch.setattr(rereading, name, 0.1)
    shop.run(*SCHEMA.split(";"))
    return Till(cloud, shop, tmp_path / "agent")


UNLOGGED = ("set sql_log_bin = 0", "delete from stock where item_id > 790")


def ask(till: Till) -> None:
    read_again(till.home, ["stock"], SystemClock())


def run_of(till: Till) -> Run | None:
    with closing(Journal(till.home / JOURNAL, SystemClock())) as journal:
        return journal.run()


def told(till: Till) -> list[str]:
    """What is said of jobs behind the first snapshot."""
    kinds: list[str] = [event.kind for event in statuses_of(till) if event.job and event.kind != "job_progress"]
    first = [*kinds, "job_finished"].index("job_finished")  # it may be on its way
    return kinds[first + 1 :]


@contextmanager
def held(shop: Shop) -> Iterator[None]:
    """The table changes as no log tells it and then stands still: whoever reads it waits."""
    with shop.link() as link, link.cursor() as cursor:
        for statement in ("lock tables stock write", *UNLOGGED):
            cursor.execute(statement)
        yield
        cursor.execute("unlock tables")


def readers(shop: Shop) -> list[int]:
    """The connections that wait for the table."""
    query = "select id from information_schema.processlist where state like 'Waiting for table%' and db is null"
    return [row[0] for row in shop.run(query)]


def test_a_reading_whose_connection_is_lost_goes_on_and_is_no_failure(till: Till) -> None:
    with till.at_work():
        till.wait_until_current()
        with held(till.shop):
            ask(till)
            until(lambda: readers(till.shop) != [], "it reads")
            till.shop.run(f"kill {readers(till.shop)[0]}")
        until(lambda: run_of(till) is None, "all is read")
        till.wait_until_current()
        until(lambda: told(till)[-1:] == ["job_finished"], "it is said")
    assert "job_failed" not in told(till)
    seen_as_stored(till, "stock")


def test_a_table_that_cannot_be_read_is_said_and_read_once_it_was_mended(till: Till) -> None:
    with till.at_work() as one:
        till.wait_until_current()
        till.shop.run("alter table stock drop primary key", *UNLOGGED)
        ask(till)
        until(lambda: "job_failed" in told(till), "it is said")
        failed = next(event for event in statuses_of(till) if event.kind == "job_failed")
        assert "table stock has no primary key" in str(failed.message)
        assert "ADD PRIMARY KEY" in str(failed.mend)
        assert one.runs
        till.shop.run("alter table stock add primary key (item_id, location_id)")
        until(lambda: run_of(till) is None, "it is read")
        till.wait_until_current()
    seen_as_stored(till, "stock")


def test_a_place_that_cannot_be_read_back_begins_the_table_anew(till: Till) -> None:
    with till.at_work():
        till.wait_until_current()
    till.shop.run(*UNLOGGED)
    ask(till)
    with closing(sqlite3.connect(till.home / JOURNAL)) as link, link:
        link.execute("update runs set position = 'somewhere'")
    with till.at_work():
        until(lambda: run_of(till) is None, "all is read")
        till.wait_until_current()
    assert told(till) == ["job_started", "job_failed", "job_started", "job_finished"]
    seen_as_stored(till, "stock")


def test_a_stop_while_it_reads_leaves_the_table_for_the_next_start(till: Till) -> None:
    with ExitStack() as lock:
        with till.at_work():
            till.wait_until_current()
            lock.enter_context(held(till.shop))
            ask(till)
            until(lambda: readers(till.shop) != [], "it reads")
        left = run_of(till)
        assert left is not None
        assert left.tables == ["stock"]
    with till.at_work():
        until(lambda: run_of(till) is None, "all is read")
        till.wait_until_current()
    assert told(till).count("job_finished") == 1
    seen_as_stored(till, "stock")


def test_a_stop_before_the_last_chunk_is_stored_leaves_the_table_too(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "_BUSY_TIMEOUT_S", 0.1)
    with closing(sqlite3.connect(till.home / JOURNAL, isolation_level=None)) as other:
        with till.at_work() as one:
            till.wait_until_current()
            with held(till.shop):
                ask(till)
                until(lambda: readers(till.shop) != [], "it reads")
                other.execute("begin immediate")
            until(lambda: "journal" in one.waits_for, "the chunk cannot be stored")
        other.execute("rollback")
    assert run_of(till) is not None
    with till.at_work():
        until(lambda: run_of(till) is None, "all is read")
        till.wait_until_current()
    seen_as_stored(till, "stock")
