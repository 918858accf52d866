"""`fluxion agent check` of an agent that has captured already: whether its place in the source's log is still there."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from fluxion.clock import SystemClock
from producers.checking import find_faults
from producers.home import JOURNAL
from producers.journal import Journal
from producers.source import Capture, Fault, Source
from producers.sources.mysql import MySQLSource
from tests.conftest import Cloud
from tests.producers.conftest import Shop
from tests.producers.sql_shop import SqlShop
from tests.producers.till import SCHEMA, Till

THREE_DAYS = 3 * 24 * 60


def journaled(home: Path, snapshot: Sequence[Capture]) -> Path:
    """A home whose journal has that first snapshot whole."""
    with closing(Journal(home / JOURNAL, SystemClock(), create=True)) as journal:
        run = journal.request_run("first", ["items"], {})
        journal.append(snapshot)
        journal.finish_run(run)
    return home


def moved(home: Path, **parts: object) -> Path:
    """The home with parts of its stream's position replaced."""
    with closing(Journal(home / JOURNAL, SystemClock())) as journal:
        position = json.loads(journal.state().stream_position or "") | parts
        journal.append([Capture("stream", json.dumps(position), [], [], [], 0)])
    return home


def found(home: Path, source: Source) -> list[Fault]:
    """What is found, but the warning that the databases of tests have anyway."""
    return [fault for fault in find_faults(home, source, SystemClock()) if fault.code != "RETENTION"]


def purge(shop: Shop) -> None:
    shop.run("delete from items where id = 2", "flush binary logs")
    shop.run("insert into items values (9, 'nueve', 9)", "flush binary logs")
    shop.run(f"purge binary logs to '{shop.run('show binary logs')[-1][0]}'")


# MariaDB -------------------------------------------------------------------------------------------------------------


def test_a_place_that_is_still_in_the_log_is_no_fault(items: Shop, tmp_path: Path) -> None:
    home = journaled(tmp_path, items.snapshot("items"))
    assert found(home, items.source("items")) == []
    items.run("insert into items values (3, 'tres', 3)")
    assert found(home, items.source("items")) == []


def test_a_place_whose_log_was_purged_is_said_with_its_mend(items: Shop, tmp_path: Path) -> None:
    home = journaled(tmp_path, items.snapshot("items"))
    purge(items)
    (fault,) = found(home, items.source("items"))
    assert (fault.code, fault.warning) == ("POSITION_LOST", False)
    assert "no longer" in fault.message
    assert "fluxion agent resnapshot" in fault.mend


def test_a_lost_place_is_said_beside_what_else_is_wrong(items: Shop, tmp_path: Path) -> None:
    home = journaled(tmp_path, items.snapshot("items"))
    purge(items)
    both = found(home, items.source("items", "missing"))
    assert [fault.code for fault in both] == ["TABLE_MISSING", "POSITION_LOST"]


def test_another_server_is_told_from_a_purged_log(items: Shop, tmp_path: Path) -> None:
    home = moved(journaled(tmp_path, items.snapshot("items")), server="0123456789abcdef")
    (fault,) = found(home, items.source("items"))
    assert fault.code == "ANOTHER_SOURCE"


def test_no_place_is_asked_for_before_the_first_snapshot_or_where_a_new_one_was_asked_for(
    items: Shop, tmp_path: Path
) -> None:
    assert found(tmp_path, items.source("items")) == []
    home = journaled(tmp_path, items.snapshot("items"))
    purge(items)
    with closing(Journal(home / JOURNAL, SystemClock())) as journal:
        journal.request_run("first", ["items"], {})
    assert found(home, items.source("items")) == []


def test_a_source_that_cannot_be_entered_is_said_once_and_not_tried_again(
    items: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = journaled(tmp_path, items.snapshot("items"))
    nobody = Shop(items.host, items.port, items.database, "cdc", "wrong", items.sources)
    asked: list[str] = []
    monkeypatch.setattr(MySQLSource, "stream", lambda _, after: asked.append(after))
    assert [fault.code for fault in found(home, nobody.source("items"))] == ["ACCESS_DENIED"]
    assert not asked


@pytest.mark.processes
def test_agent_check_says_that_the_log_was_purged_while_the_agent_was_away(
    cloud: Cloud, shop: Shop, tmp_path: Path
) -> None:
    shop.run(*SCHEMA.split(";"))
    till = Till(cloud, shop, tmp_path / "agent")
    with till.at_work():
        till.wait_until_current()
        assert "can be captured" in till.fluxion("agent", "check", "--home", str(till.home)).stdout
        shop.run("insert into categories values (1, 'after')")
        till.wait_until_current()
    shop.run("insert into categories values (2, 'lost')", "flush binary logs")
    shop.run("insert into categories values (3, 'kept')", "flush binary logs")
    shop.run(f"purge binary logs to '{shop.run('show binary logs')[-1][0]}'")
    done = till.fluxion("agent", "check", "--home", str(till.home), check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("POSITION_LOST: ")
    assert "fluxion agent resnapshot" in done.stdout
    assert "can be captured" not in done.stdout


# SQL Server ----------------------------------------------------------------------------------------------------------


def test_a_place_behind_which_every_change_is_kept_is_no_fault(sql_items: SqlShop, tmp_path: Path) -> None:
    home = journaled(tmp_path, sql_items.snapshot("items"))
    assert found(home, sql_items.source("items")) == []
    sql_items.run("UPDATE items SET price = price + 1")
    assert found(home, sql_items.source("items")) == []


def test_a_database_that_went_back_is_a_lost_place(sql_items: SqlShop, tmp_path: Path) -> None:
    home = moved(journaled(tmp_path, sql_items.snapshot("items")), version=10**6)
    (fault,) = found(home, sql_items.source("items"))
    assert (fault.code, fault.warning) == ("POSITION_LOST", False)
    assert "gone back" in fault.message
    assert fault.mend


def test_changes_that_expired_are_said_by_table(own_sql_items: SqlShop, tmp_path: Path) -> None:
    home = journaled(tmp_path, own_sql_items.snapshot("items"))
    own_sql_items.run("UPDATE items SET price = 2 WHERE id = 1")
    own_sql_items.database.advance_clock(THREE_DAYS)
    own_sql_items.run("UPDATE items SET price = 3 WHERE id = 1")
    (fault,) = found(home, own_sql_items.source("items"))
    assert (fault.code, fault.warning) == ("POSITION_LOST", True)
    assert "every change of items" in fault.message
    assert "reads that again" in fault.mend


def test_a_table_that_is_not_tracked_is_said_once(own_sql_items: SqlShop, tmp_path: Path) -> None:
    home = journaled(tmp_path, own_sql_items.snapshot("items"))
    own_sql_items.run("ALTER TABLE items DISABLE CHANGE_TRACKING")
    assert [fault.code for fault in found(home, own_sql_items.source("items"))] == ["TABLE_NOT_TRACKED"]
