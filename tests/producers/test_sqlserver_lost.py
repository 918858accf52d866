"""What Change Tracking can lose, and what is said and done then: never a silent gap."""

import json
from typing import Any

import pytest

from fluxion.errors import (
    AccessDeniedError,
    AnotherSourceError,
    DependencyDownError,
    PositionLostError,
    SourceNotReadyError,
)
from producers.source import Capture
from producers.sources.sqlserver import SQLServerConfig, stream
from producers.sources.sqlserver.connection import Link
from producers.sources.sqlserver.identity import Identity
from producers.sources.sqlserver.position import Tracked, TrackedPosition, parse, parse_chunk
from producers.sources.sqlserver.tracking import TableState, Tracking, demand_tracked, demand_version, lost, position_of
from tests.producers.sql_shop import SqlShop, changes, state_of, told

HERE = Identity("server", "2026-01-31T08:00:00")


@pytest.fixture
def two(sql_items: SqlShop) -> SqlShop:
    """Two tables, of which one is going to lose its changes."""
    return with_stock(sql_items)


@pytest.fixture
def aging(own_sql_items: SqlShop) -> SqlShop:
    """The same, in a database whose clock is moved."""
    return with_stock(own_sql_items)


def with_stock(shop: SqlShop) -> SqlShop:
    shop.create("stock (id int primary key, units int)")
    shop.run("INSERT INTO stock VALUES (1, 10)")
    return shop


def _reread(shop: SqlShop, *captures: Capture) -> dict[Any, Any]:
    """What is known after the table that was lost was read again."""
    (capture,) = [capture for capture in captures if capture.resnapshot]
    assert capture.resnapshot == ["items"]
    return state_of(list(shop.source("items", "stock").resnapshot(None, frozenset(capture.resnapshot), {})))


def _goes_on(shop: SqlShop, captures: Any) -> None:
    """The other table's changes were told, and both go on."""
    shop.run("UPDATE items SET price = price + 1", "UPDATE stock SET units = units + 1")
    tables = {table for _, table, _ in told(changes(captures, 1))}
    while tables != {"items", "stock"}:
        tables |= {table for _, table, _ in told(changes(captures, 1))}


def test_a_truncated_table_is_read_again_and_the_others_go_on(two: SqlShop) -> None:
    captures = two.stream(two.now("items", "stock"), "items", "stock")
    two.run("TRUNCATE TABLE items", "INSERT INTO items VALUES (9, N'nueve', 9)", "UPDATE stock SET units = 3")
    found = changes(captures, 1)
    while not any(capture.rows for capture in found) or not any(capture.resnapshot for capture in found):
        found += changes(captures, 1)
    assert ("u", "stock", {"id": "1", "units": "3"}) in told(found)
    assert ("items", "9") in _reread(two, *found)
    _goes_on(two, captures)


def test_a_truncation_while_nobody_looked_is_noticed(two: SqlShop) -> None:
    start = two.now("items", "stock")
    two.run("TRUNCATE TABLE items")
    assert _reread(two, *changes(two.stream(start, "items", "stock"), 1)) == {}


def test_a_table_that_was_dropped_and_created_again_is_read_again(two: SqlShop) -> None:
    start = two.now("items", "stock")
    two.run("DROP TABLE items")
    two.create("items (id int primary key, renamed nvarchar(20), price decimal(18,4))")
    two.run("INSERT INTO items VALUES (4, N'cuatro', 4)")
    captures = two.stream(start, "items", "stock")
    assert _reread(two, *changes(captures, 1)) == {("items", "4"): ("4", "cuatro", "4.0000")}
    _goes_on(two, captures)


def test_a_table_that_was_not_tracked_for_a_while_is_read_again(two: SqlShop) -> None:
    start = two.now("items", "stock")
    two.run("UPDATE items SET price = 5 WHERE id = 1")
    two.run("ALTER TABLE items DISABLE CHANGE_TRACKING", "UPDATE items SET price = 6 WHERE id = 1")
    with pytest.raises(SourceNotReadyError, match="change tracking is off for the table items") as fault:
        list(two.stream(start, "items", "stock"))
    assert "ENABLE CHANGE_TRACKING" in fault.value.mend
    two.track("items")
    captures = two.stream(start, "items", "stock")
    assert _reread(two, *changes(captures, 1))["items", "1"] == ("1", "uno", "6.0000")
    _goes_on(two, captures)


def test_what_happens_to_an_idle_table_is_noticed_too(two: SqlShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LOOK_S", 0.2)
    captures = two.stream(two.now("items", "stock"), "items", "stock")
    next(captures)
    two.run("ALTER TABLE items DISABLE CHANGE_TRACKING")
    with pytest.raises(SourceNotReadyError, match="items"):
        list(captures)


def test_a_table_that_was_captured_only_later_is_read(two: SqlShop) -> None:
    captures = two.stream(two.now("stock"), "items", "stock")
    assert len(_reread(two, *changes(captures, 1))) == 2
    _goes_on(two, captures)


def test_a_table_whose_changes_expired_while_we_were_away_is_read_again(aging: SqlShop) -> None:
    start = aging.now("items", "stock")
    aging.run("UPDATE items SET price = 2 WHERE id = 1", "DELETE FROM items WHERE id = 2")
    aging.database.advance_clock(3 * 24 * 60)
    aging.run("UPDATE items SET price = 3 WHERE id = 1")
    captures = aging.stream(start, "items", "stock")
    (capture,) = changes(captures, 1)
    assert capture.resnapshot == ["items", "stock"]
    again = list(aging.source("items", "stock").resnapshot(None, frozenset({"items", "stock"}), {}))
    assert state_of(again)["items", "1"] == ("1", "uno", "3.0000")
    assert [end.table for chunk in again for end in chunk.ends] == ["items", "stock"]
    _goes_on(aging, captures)


def test_what_is_not_older_than_the_retention_is_streamed(aging: SqlShop) -> None:
    aging.run("UPDATE items SET price = 2 WHERE id = 1")
    start = aging.now("items", "stock")
    aging.database.advance_clock(3 * 24 * 60)
    aging.run("UPDATE items SET price = 3 WHERE id = 1")
    (capture,) = changes(aging.stream(start, "items", "stock"), 1)
    assert (capture.resnapshot, len(capture.rows)) == ([], 1)


def test_a_table_that_is_altered_under_a_poll_is_asked_for_again(two: SqlShop, monkeypatch: pytest.MonkeyPatch) -> None:
    captures = two.stream(two.now("items", "stock"), "items", "stock")
    next(captures)
    states = Tracking.states

    def dropped_meanwhile(self: Tracking, link: Link) -> dict[str, TableState]:
        found = states(self, link)
        two.run("DROP TABLE items")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Tracking, "states", dropped_meanwhile)
        two.run("UPDATE stock SET units = 4")
        with pytest.raises(DependencyDownError, match="altered while its changes were read"):
            list(captures)
    with pytest.raises(SourceNotReadyError, match="no table items"):
        list(two.stream(two.now("stock"), "items"))


# The database --------------------------------------------------------------------------------------------------------


def test_a_database_that_was_created_anew_is_not_gone_on_with(sql_items: SqlShop) -> None:
    start = sql_items.now("items")
    older = json.loads(start)
    older["database"][1] = "2020-01-01T00:00:00"
    for position in (json.dumps(older), json.dumps(older | {"version": 10**6})):
        with pytest.raises(PositionLostError, match="restored"):
            list(sql_items.stream(position, "items"))


def test_versions_that_went_back_are_a_lost_position(sql_items: SqlShop) -> None:
    ahead = json.loads(sql_items.now("items")) | {"version": 10**6}
    with pytest.raises(PositionLostError, match="gone back from version 1000000"):
        list(sql_items.stream(json.dumps(ahead), "items"))
    chunk = json.loads(sql_items.snapshot("items")[0].position) | {"start": json.dumps(ahead)}
    with pytest.raises(PositionLostError, match="gone back from version 1000000"):
        list(sql_items.source("items").snapshot(json.dumps(chunk), frozenset({"items"}), {}))


def test_versions_that_go_back_under_the_stream_are_a_lost_position() -> None:
    assert demand_version(7, 7) == 7
    with pytest.raises(PositionLostError, match="gone back"):
        demand_version(6, 7)


def test_another_database_is_never_gone_on_with_by_itself(sql_items: SqlShop) -> None:
    position = json.loads(sql_items.now("items"))
    position["database"][0] = "0123456789abcdef"
    with pytest.raises(AnotherSourceError, match="another SQL Server database"):
        list(sql_items.stream(json.dumps(position), "items"))
    chunk = json.loads(sql_items.snapshot("items")[0].position)
    chunk["database"][0] = "0123456789abcdef"
    with pytest.raises(AnotherSourceError):
        list(sql_items.source("items").resnapshot(json.dumps(chunk), frozenset({"items"}), {}))


def test_a_database_whose_change_tracking_was_switched_off_has_lost_the_position(own_sql_items: SqlShop) -> None:
    start = own_sql_items.now("items")
    captures = own_sql_items.stream(start, "items")
    next(captures)
    own_sql_items.run(
        "ALTER TABLE items DISABLE CHANGE_TRACKING",
        f"ALTER DATABASE {own_sql_items.database.name} SET CHANGE_TRACKING = OFF",
    )
    with pytest.raises(PositionLostError, match="switched off for the database"):
        list(captures)
    with pytest.raises(SourceNotReadyError, match="change tracking is off for the database"):
        own_sql_items.snapshot("items")


@pytest.mark.parametrize("text", ["", "{}", '{"server": "x"}', "gtid"])
def test_a_position_that_cannot_be_read_is_lost(text: str) -> None:
    for read in (parse, parse_chunk):
        with pytest.raises(PositionLostError, match="cannot be read"):
            read(text)


# Both ways of what nobody has seen on a real server ------------------------------------------------------------------


def test_identity_is_told_by_what_can_be_seen() -> None:
    seen = Identity("server", HERE.created, "guid", "fork")
    assert HERE.verify(seen) == seen
    assert seen.verify(HERE) == seen, "what is hidden now is not forgotten"
    with pytest.raises(AnotherSourceError):
        seen.verify(Identity("server", HERE.created, "other", "fork"))
    with pytest.raises(PositionLostError, match="restored") as fault:
        seen.verify(Identity("server", HERE.created, "guid", "other"))
    assert not isinstance(fault.value, AnotherSourceError)


def _lost(before: Tracked, now: Tracked, least: int | None, version: int = 100) -> bool:
    position = TrackedPosition(HERE, version, {"items": before})
    return lost("items", position, TableState(now, least)) is not None


@pytest.mark.parametrize("begin", [50, 101, 102])
@pytest.mark.parametrize("least", [0, 50, 100, 101, 102])
def test_a_truncation_is_told_by_either_of_its_marks(begin: int, least: int) -> None:
    """However far it raises the least version, and whether it moves the beginning or not."""
    assert _lost(Tracked(7, 50), Tracked(7, begin), least) == (begin != 50 or least > 100)


def test_a_least_version_above_the_current_one_is_lost_once() -> None:
    now = TableState(Tracked(7, 50), 103)
    after = position_of(HERE, 102, {"items": now})
    assert lost("items", TrackedPosition(HERE, 100, {"items": Tracked(7, 50)}), now) is not None
    assert lost("items", after, now) is None
    assert lost("items", after, TableState(Tracked(7, 50), 104)) is not None


def test_another_table_of_the_same_name_is_a_loss_whatever_its_versions_say() -> None:
    assert _lost(Tracked(7, 50), Tracked(8, 50), 0)


def test_a_new_log_of_changes_is_a_loss_even_where_the_versions_look_whole() -> None:
    """Off and on again for the whole database: the count of versions may begin anew and pass the old place."""
    assert _lost(Tracked(7, 0, log=1), Tracked(7, 0, log=2), 0)
    assert not _lost(Tracked(7, 0, log=1), Tracked(7, 0, log=1), 0)
    assert not _lost(Tracked(7, 0, log=None), Tracked(7, 0, log=2), 0), "seen for the first time"


def test_changes_that_may_not_be_seen_are_never_taken_for_none() -> None:
    config = SQLServerConfig("caja", 1433, "cdc", "stellar", frozenset({"items"}))
    with pytest.raises(AccessDeniedError, match="may not read the changes") as fault:
        demand_tracked(config, {"items": TableState(Tracked(7, 0), None)})
    assert fault.value.mend == "GRANT VIEW CHANGE TRACKING ON [dbo].[items] TO [cdc]"
    with pytest.raises(SourceNotReadyError, match="there is no table items"):
        demand_tracked(config, {})
