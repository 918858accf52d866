"""What Change Data Capture can lose, and what is said and done then: never a silent gap; and what `check` finds."""

import json
from collections.abc import Callable, Iterator

import pytest

from fluxion.errors import AnotherSourceError, DependencyDownError, PositionLostError, SourceNotReadyError
from producers.source import Capture, Fault
from producers.sources.sqlserver import SQLServerConfig, edition, stream
from producers.sources.sqlserver.cdc_check import hidden
from producers.sources.sqlserver.cdc_instances import Instance, Instances, standing
from producers.sources.sqlserver.cdc_position import Captured, CapturedPosition, parse_captured
from producers.sources.sqlserver.connection import Link
from producers.sources.sqlserver.identity import Identity
from tests.producers.cdc_shop import DISABLE, ITEMS, LINES, CdcShop
from tests.producers.sql_shop import SqlShop, changes, state_of, told

HERE = Identity("server", "2026-01-31T08:00:00")
FIRST, SECOND = DISABLE.format("fluxion_dbo_items"), DISABLE.format("fluxion_dbo_items_2")


@pytest.fixture
def two(cdc_items: CdcShop) -> CdcShop:
    """Two tables, of which one is going to lose its changes."""
    cdc_items.create(LINES)
    cdc_items.run("INSERT INTO lines VALUES (1, 1, 1)")
    return cdc_items


def _reread(shop: CdcShop, captures: Iterator[Capture]) -> dict[tuple[str | None, ...], tuple[str | None, ...]]:
    """What is known after the table that was lost was read again, and that both tables go on."""
    (capture,) = changes(captures, 1)
    assert (capture.resnapshot, capture.rows) == (["items"], [])
    again = list(shop.shop.source("items", "lines", method="cdc").resnapshot(None, frozenset({"items"}), {}))
    shop.run("INSERT INTO items (id) VALUES (90)", "INSERT INTO lines VALUES (90, 1, 1)")
    found = changes(captures, 1)
    while ("lines", "90", "1") not in state_of(found):
        found += changes(captures, 1)
    assert ("items", "90") in state_of(found)
    assert not any(one.resnapshot for one in found), "it is asked for once"
    behind = changes(shop.stream(capture.position, "items", "lines"), len(found))
    assert told(behind) == told(found), "also behind the Capture that asks for it"
    return state_of(again)


# A table's changes ---------------------------------------------------------------------------------------------------


def test_changes_that_were_cleaned_up_before_we_read_them_are_read_again(two: CdcShop) -> None:
    start = two.now("items", "lines")
    two.run("DELETE FROM items WHERE id = 2", "UPDATE items SET price = 3 WHERE id = 1", "UPDATE lines SET qty = 2")
    two.clean_up()
    assert _reread(two, two.stream(start, "items", "lines")) == {("items", "1"): ("1", "uno", "3.0000")}


def test_a_clean_up_of_what_was_read_loses_nothing(two: CdcShop) -> None:
    two.run("UPDATE items SET price = 3 WHERE id = 1")
    start = two.now("items", "lines")
    two.clean_up()
    two.run("UPDATE items SET price = 4 WHERE id = 1")
    (capture,) = changes(two.stream(start, "items", "lines"), 1)
    assert (capture.resnapshot, len(capture.rows)) == ([], 1)


def test_an_instance_that_was_dropped_and_made_again_is_a_loss(two: CdcShop) -> None:
    start = two.now("items", "lines")
    two.run(FIRST, "UPDATE items SET price = 5 WHERE id = 1")
    with pytest.raises(SourceNotReadyError, match="the table items has no capture instance") as fault:
        list(two.stream(start, "items", "lines"))
    assert "prepare SYSTEM --method cdc" in fault.value.mend
    two.shop.capture("items")
    assert _reread(two, two.stream(start, "items", "lines"))["items", "1"] == ("1", "uno", "5.0000")


def test_an_old_instance_that_is_dropped_before_it_was_read_is_a_loss(two: CdcShop) -> None:
    start = two.now("items", "lines")
    two.run("UPDATE items SET price = 5 WHERE id = 1")
    two.shop.capture("items", instance="fluxion_dbo_{}_2")
    two.run(FIRST, "UPDATE items SET price = 6 WHERE id = 2")
    known = _reread(two, two.stream(start, "items", "lines"))
    assert known == {("items", "1"): ("1", "uno", "5.0000"), ("items", "2"): ("2", "dos", "6.0000")}


def test_a_table_that_was_dropped_and_created_again_is_read_again(two: CdcShop) -> None:
    start = two.now("items", "lines")
    two.run("DROP TABLE items")
    two.create(ITEMS)
    two.run("INSERT INTO items VALUES (4, N'cuatro', 4)")
    assert _reread(two, two.stream(start, "items", "lines")) == {("items", "4"): ("4", "cuatro", "4.0000")}


def test_a_table_that_was_captured_only_later_is_read(two: CdcShop) -> None:
    assert len(_reread(two, two.stream(two.now("lines"), "items", "lines"))) == 2


def test_an_idle_table_that_is_captured_no_more_is_noticed(two: CdcShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LOOK_S", 0.2)
    captures = two.stream(two.now("items", "lines"), "items", "lines")
    next(captures)
    two.run(FIRST)
    with pytest.raises(SourceNotReadyError, match="items"):
        list(captures)


def test_an_instance_whose_beginning_is_not_known_yet_is_waited_for(two: CdcShop) -> None:
    start = two.now("items", "lines")
    two.run("UPDATE cdc.change_tables SET start_lsn = NULL WHERE capture_instance = 'fluxion_dbo_items'")
    for way in (lambda: two.now("items"), lambda: list(two.stream(start, "items", "lines"))):
        with pytest.raises(DependencyDownError, match="capture of the table items has not begun"):
            way()


def test_a_key_that_is_not_captured_is_told_and_not_passed_over(sql_shop: SqlShop) -> None:
    shop = CdcShop(sql_shop)
    shop.run(f"CREATE TABLE dbo.{LINES}")
    shop.create(ITEMS)
    enable = "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'lines', @role_name = NULL"
    shop.run(f"{enable}, @capture_instance = N'fluxion_dbo_lines', @captured_column_list = N'sale, qty'")
    start = shop.now("lines")
    shop.run("INSERT INTO lines VALUES (1, 1, 1)")
    with pytest.raises(SourceNotReadyError, match="does not have the primary key of the table lines"):
        list(shop.stream(start, "lines"))


@pytest.mark.parametrize("what", ["313", "208"])
def test_what_is_cleaned_up_or_dropped_under_a_poll_is_asked_for_again(
    two: CdcShop, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    start = two.now("items", "lines")
    two.run("UPDATE items SET price = 3 WHERE id = 1", "UPDATE items SET price = 4 WHERE id = 1")
    demanded = Instances.demanded

    def then_gone(self: Instances, link: Link) -> dict[str, list[Instance]]:
        found = demanded(self, link)
        two.clean_up() if what == "313" else two.run(FIRST)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Instances, "demanded", then_gone)
        with pytest.raises(DependencyDownError, match=rf"altered while its changes were read.*{what}"):
            list(two.stream(start, "items", "lines"))
    if what == "208":
        two.shop.capture("items")
    assert _reread(two, two.stream(start, "items", "lines"))["items", "1"] == ("1", "uno", "4.0000")


def _instance(number: int, start: int, name: str = "fluxion_dbo_items") -> Instance:
    lsn = start.to_bytes(10)
    return Instance(name, Captured(name, number, 7, f"2026-01-{number:02}", lsn.hex()), lsn, frozenset())


@pytest.mark.parametrize(
    ("known", "found", "older", "lost"),
    [
        ((1, 50), [(1, 50)], None, None),
        ((1, 50), [(1, 101)], None, None),  # cleaned up to just behind us
        ((1, 50), [(1, 102)], None, "cleaned up"),
        ((1, 150), [(1, 150)], None, None),  # above us already when the position was taken
        ((1, 150), [(1, 151)], None, "cleaned up"),
        ((1, 50), [(2, 150)], None, "dropped before it was read"),
        ((1, 50), [(2, 101)], None, None),
        ((1, 50), [(1, 50), (2, 150)], 1, None),
        ((1, 50), [(1, 50), (2, 90)], None, None),
        ((1, 150), [(1, 150), (2, 170)], 1, None),
        ((1, 50), [(1, 102), (2, 150)], None, "cleaned up"),
    ],
)
def test_a_loss_is_told_by_where_the_instances_begin(
    known: tuple[int, int], found: list[tuple[int, int]], older: int | None, lost: str | None
) -> None:
    position = CapturedPosition(HERE, (100).to_bytes(10).hex(), {"items": _instance(*known).kept})
    its = standing(position, "items", [_instance(*one) for one in found])
    assert its.target.kept.table == found[-1][0]
    assert (its.older and its.older.kept.table) == older
    assert (its.lost is None) is (lost is None)
    assert (lost or "") in (its.lost or "")


# The database --------------------------------------------------------------------------------------------------------


def _older(position: str) -> str:
    database = json.loads(position)["database"]
    return json.dumps(json.loads(position) | {"database": [database[0], "2020-01-01T00:00:00", *database[2:]]})


def _other(position: str) -> str:
    database = json.loads(position)["database"]
    return json.dumps(json.loads(position) | {"database": ["0123456789abcdef", *database[1:]]})


def _ahead(position: str) -> str:
    return json.dumps(json.loads(position) | {"lsn": "ff" * 10})


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (_older, PositionLostError, "restored"),
        (_other, AnotherSourceError, "another SQL Server database"),
        (_ahead, PositionLostError, "gone back from LSN ffff"),
    ],
)
def test_another_or_an_older_database_is_never_gone_on_with(
    cdc_items: CdcShop, change: Callable[[str], str], error: type[Exception], says: str
) -> None:
    position = change(cdc_items.now("items"))
    with pytest.raises(error, match=says):
        list(cdc_items.stream(position, "items"))


def test_a_position_of_another_method_is_lost_and_says_so(cdc_items: CdcShop) -> None:
    cdc_items.shop.track("items")
    with pytest.raises(PositionLostError, match="taken by another method than Change Data Capture"):
        list(cdc_items.stream(cdc_items.shop.now("items"), "items"))
    with pytest.raises(PositionLostError):
        list(cdc_items.shop.stream(cdc_items.now("items"), "items"))


@pytest.mark.parametrize("text", ["", "{}", '{"server": "x"}', "gtid", "7"])
def test_a_position_that_cannot_be_read_is_lost(text: str) -> None:
    with pytest.raises(PositionLostError, match="cannot be read"):
        parse_captured(text)


def test_an_lsn_that_is_none_is_lost() -> None:
    for lsn in ("", "00", "zz" * 10):
        with pytest.raises(PositionLostError, match="is no LSN"):
            parse_captured(CapturedPosition(HERE, lsn, {}).text())


def test_a_database_whose_capture_was_switched_off_stops_the_stream(own_cdc_items: CdcShop) -> None:
    start = own_cdc_items.now("items")
    own_cdc_items.run("EXEC sys.sp_cdc_disable_db")
    for way in (lambda: own_cdc_items.now("items"), lambda: list(own_cdc_items.stream(start, "items"))):
        with pytest.raises(SourceNotReadyError, match="Change Data Capture is off for the database"):
            way()


# What `check` finds --------------------------------------------------------------------------------------------------


def _faults(shop: SqlShop, *tables: str) -> dict[str, Fault]:
    return {fault.code: fault for fault in shop.source(*tables, method="cdc").check()}


def test_every_fault_comes_at_once_and_its_mend_mends_it(own_sql_shop: SqlShop) -> None:
    own_sql_shop.run(f"CREATE TABLE dbo.{ITEMS}")
    faults = _faults(own_sql_shop, "items")
    assert set(faults) == {"CDC_OFF", "TABLE_NOT_CAPTURED"}
    assert not any(fault.warning for fault in faults.values())
    own_sql_shop.run(faults["CDC_OFF"].mend)
    own_sql_shop.run(_faults(own_sql_shop, "items")["TABLE_NOT_CAPTURED"].mend)
    own_sql_shop.run("ALTER TABLE items ADD zone varchar(9) NULL", "INSERT INTO items (id) VALUES (1)")
    own_sql_shop.database.advance_clock(20)
    warnings = _faults(own_sql_shop, "items")
    assert set(warnings) == {"RETENTION", "COLUMNS_NOT_CAPTURED", "CAPTURE_LATE"}
    assert all(fault.warning for fault in warnings.values())
    assert "3 days" in warnings["RETENTION"].message
    assert "does not have the column zone" in warnings["COLUMNS_NOT_CAPTURED"].message
    own_sql_shop.run(warnings["RETENTION"].mend, warnings["COLUMNS_NOT_CAPTURED"].mend)
    own_sql_shop.run("INSERT INTO items (id) VALUES (2)")
    assert _faults(own_sql_shop, "items") == {}


def test_a_server_that_does_not_sell_it_is_the_only_fault(cdc_items: CdcShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edition, "_PROPERTIES", "SELECT 'Express Edition (64-bit)', 4, '15.0.2000.5'")
    fault = _faults(cdc_items.shop, "items")["CDC_UNAVAILABLE"]
    assert (fault.warning, "method = 'change_tracking'" in fault.mend) == (False, True)
    assert "SQL Server 2019 Express Edition (64-bit) has no Change Data Capture" in fault.message


def test_a_table_that_is_captured_but_not_for_us_names_the_role() -> None:
    config = SQLServerConfig("caja", 1433, "lector", "stellar", frozenset({"items"}), method="cdc")
    assert hidden(config, "items").mend == "ALTER ROLE [fluxion_cdc] ADD MEMBER [lector]"
