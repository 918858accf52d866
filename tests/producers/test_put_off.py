"""A table that cannot be read again, because it was dropped say, lets the others go before it."""

from contextlib import closing
from pathlib import Path

import pytest

from fluxion.clock import SystemClock
from producers import rereading
from producers.home import JOURNAL, read_config
from producers.journal import Journal
from producers.source import Capture
from tests.conftest import Cloud
from tests.producers.captures import ITEMS, StillClock, streaming
from tests.producers.conftest import Shop
from tests.producers.till import SCHEMA, Till, seen_as_stored, statuses_of, until


@pytest.fixture
def till(cloud: Cloud, shop: Shop, tmp_path: Path) -> Till:
    shop.run(*SCHEMA.split(";"))
    return Till(cloud, shop, tmp_path / "agent")


def ask_for(till: Till, *tables: str) -> None:
    """Ask for these tables to be read again."""
    with closing(Journal(till.home / JOURNAL, SystemClock())) as journal:
        journal.request_run("again", list(tables), {})


def waiting(till: Till) -> list[str]:
    """The tables of the run to work on next."""
    with closing(Journal(till.home / JOURNAL, SystemClock())) as journal:
        run = journal.run()
        return [] if run is None else run.tables


def jobs(till: Till, kind: str) -> list[str | None]:
    return [event.message for event in statuses_of(till) if event.kind == kind]


def test_a_run_that_is_put_off_goes_on_behind_the_others_where_it_stood(tmp_path: Path) -> None:
    journal = streaming(tmp_path / "journal.db")
    first, second = (journal.request_run("again", [table], {}) for table in ("items", "stock"))
    journal.append([Capture("snapshot", "s1", [ITEMS], [], [], 5)])
    journal.put_off_run(first)
    third = journal.request_run("again", ["categories"], {})
    order = []
    while (run := journal.run()) is not None:
        order.append((run.id, run.position))
        journal.finish_run(run.id)
    assert order == [(second, None), (first, "s1"), (third, None)]
    journal.put_off_run(first)  # of a run that is no more: no change
    assert journal.run() is None
    journal.close()


def test_a_clock_that_was_put_back_puts_no_run_before_the_one_in_work(tmp_path: Path) -> None:
    streaming(tmp_path / "journal.db").close()
    late, early = StillClock(), StillClock()
    late.now += 3600
    with closing(Journal(tmp_path / "journal.db", late)) as journal:
        first = journal.request_run("again", ["items"], {})
    with closing(Journal(tmp_path / "journal.db", early)) as journal:
        second = journal.request_run("again", ["stock"], {})
        now = journal.run()
        assert now is not None
        assert now.id == first
        journal.put_off_run(first)
        now = journal.run()
        assert now is not None
        assert now.id == second


def test_a_table_that_was_dropped_holds_up_no_other_and_is_read_once_it_is_back(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rereading, "_AFTER_MENDING_S", 0.2)
    with till.at_work():
        till.wait_until_current()
        till.shop.run("drop table categories")
        for table in ("categories", "stock", "items"):
            ask_for(till, table)
        until(lambda: len(jobs(till, "job_finished")) == 3, "the first snapshot was read, and the others are")
        assert waiting(till) == ["categories"]
        assert "no table categories" in str(jobs(till, "job_failed")[-1])
        till.shop.run("create table categories (category_id int primary key, category_name varchar(80))")
        until(lambda: waiting(till) == [], "it is read too")
    seen_as_stored(till, "stock", "items", "categories")


def test_a_table_that_is_no_longer_captured_is_not_asked_for(till: Till) -> None:
    with till.at_work():
        till.wait_until_current()
    config = read_config(till.home)
    left = [table for table in config.source.tables if table != "categories"]
    without = config.model_copy(update={"source": config.source.model_copy(update={"tables": left})})
    till.shop.run("drop table categories")
    with till.at_work(config=without):
        ask_for(till, "categories", "stock")
        until(lambda: waiting(till) == [], "what is left is read")
        till.wait_until_current()
    assert jobs(till, "job_failed") == []
    seen_as_stored(till, "stock")
