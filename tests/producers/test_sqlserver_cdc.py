"""What Change Data Capture tells: transactions, images, capture instances through a change of the schema, large windows."""

import itertools
import time
import tracemalloc
from collections import deque
from contextlib import closing

import pytest

from fluxion.errors import DataValidationError
from producers.sources.sqlserver import cdc, cdc_window
from producers.sources.sqlserver.catalogue import TableShape
from producers.sources.sqlserver.cdc_changes import instance_query
from producers.sources.sqlserver.cdc_instances import Instance
from producers.sources.sqlserver.cdc_position import NO_LSN, Captured, parse_captured
from producers.sources.sqlserver.values import TableColumn
from tests.producers.cdc_shop import DISABLE, ITEMS, LINES, CdcShop
from tests.producers.sql_shop import SqlShop, changes, state_of, told, whole
from tests.producers.test_sqlserver_types import KINDS

# Transactions --------------------------------------------------------------------------------------------------------


def test_a_transaction_is_one_capture_in_its_own_order_with_the_time_of_its_commit(cdc_items: CdcShop) -> None:
    cdc_items.create(LINES)
    start, begun = cdc_items.now("items", "lines"), time.time()
    cdc_items.as_one(
        "INSERT INTO items VALUES (3, N'tres', 3)",
        "INSERT INTO lines VALUES (3, 1, 0.5)",
        "UPDATE items SET price = 9 WHERE id = 3",
        "DELETE FROM items WHERE id = 2",
    )
    cdc_items.run("UPDATE lines SET qty = 2")
    first, second = changes(cdc_items.stream(start, "items", "lines"), 2)
    assert told([first]) == [
        ("c", "items", {"id": "3", "name": "tres", "price": "3.0000"}),
        ("c", "lines", {"sale": "3", "line": "1", "qty": "0.500"}),
        ("u", "items", {"id": "3", "name": "tres", "price": "9.0000"}),
        ("d", "items", {"id": "2", "name": "dos", "price": "2.0000"}),
    ]
    assert told([second]) == [("u", "lines", {"sale": "3", "line": "1", "qty": "2.000"})]
    assert (first.kind, first.part, first.last_part, first.resnapshot) == ("stream", 0, True, [])
    for capture in (first, second):
        (when,) = {row.source_time for row in capture.rows}
        assert when is not None
        assert begun - 0.01 <= when / 1e6 <= time.time()


def test_the_time_of_a_commit_is_in_utc(cdc_items: CdcShop, monkeypatch: pytest.MonkeyPatch) -> None:
    start, begun = cdc_items.now("items"), time.time()
    cdc_items.run("UPDATE items SET price = 5 WHERE id = 1")
    monkeypatch.setattr(cdc_window, "_CLOCK", "SELECT DATEADD(minute, -270, GETUTCDATE()), GETUTCDATE()")
    (capture,) = changes(cdc_items.stream(start, "items"), 1)
    assert 270 * 60 - 1 < (capture.rows[0].source_time or 0) / 1e6 - begun < 270 * 60 + 60


@pytest.mark.parametrize("own_seqval", [False, True], ids=["shared seqval", "own seqval"])
@pytest.mark.parametrize("key_as_update", [False, True], ids=["1+2", "3+4"])
def test_a_changed_key_is_a_delete_and_a_create_however_it_is_logged(
    cdc_items: CdcShop,
    own_seqval: bool,  # noqa: FBT001 -- a parameter
    key_as_update: bool,  # noqa: FBT001 -- a parameter
) -> None:
    cdc_items.log_updates(own_seqval=own_seqval, key_as_update=key_as_update)
    try:
        start = cdc_items.now("items")
        cdc_items.as_one("UPDATE items SET price = price + 1", "UPDATE items SET id = 7, price = 5 WHERE id = 1")
    finally:
        cdc_items.log_updates(own_seqval=False, key_as_update=False)
    (capture,) = changes(cdc_items.stream(start, "items"), 1)
    assert told([capture]) == [
        ("u", "items", {"id": "1", "name": "uno", "price": "2.0000"}),
        ("u", "items", {"id": "2", "name": "dos", "price": "3.0000"}),
        ("d", "items", {"id": "1", "name": "uno", "price": "2.0000"}),
        ("c", "items", {"id": "7", "name": "uno", "price": "5.0000"}),
    ]


def test_a_key_that_was_deleted_and_inserted_again_ends_right(cdc_items: CdcShop) -> None:
    start = cdc_items.now("items")
    cdc_items.as_one("DELETE FROM items WHERE id = 1", "INSERT INTO items VALUES (1, N'otra', 5)")
    assert state_of(changes(cdc_items.stream(start, "items"), 1)) == {("items", "1"): ("1", "otra", "5.0000")}


@pytest.mark.parametrize("key_as_update", [False, True], ids=["1+2", "3+4"])
def test_what_an_image_does_not_tell_is_never_told_as_null(sql_shop: SqlShop, key_as_update: bool) -> None:  # noqa: FBT001 -- a parameter
    shop = CdcShop(sql_shop)
    shop.create("notes (id int primary key, n int, long nvarchar(max))")
    shop.run("INSERT INTO notes VALUES (1, 1, N'largo')")
    shop.log_updates(own_seqval=False, key_as_update=key_as_update)
    try:
        start = shop.now("notes")
        shop.run("UPDATE notes SET n = 2", "UPDATE notes SET id = 9", "DELETE FROM notes")
    finally:
        shop.log_updates(own_seqval=False, key_as_update=False)
    updated, deleted, created, gone = told(changes(shop.stream(start, "notes"), 3))
    assert updated == ("u", "notes", {"id": "1", "n": "2", "long": "largo"})
    assert deleted == ("d", "notes", {"id": "1", "n": "2"} | ({} if key_as_update else {"long": "largo"}))
    assert created == ("c", "notes", {"id": "9", "n": "2", "long": "largo"})
    assert gone == ("d", "notes", {"id": "9", "n": "2", "long": "largo"})


def test_every_type_is_told_as_a_snapshot_tells_it(sql_shop: SqlShop) -> None:
    shop = CdcShop(sql_shop)
    shop.create(f"tipos (id int primary key, {', '.join(f'{name} {kind[0]} NULL' for name, kind in KINDS.items())})")
    start = shop.now("tipos")
    literals = ", ".join(literal for _, literal, _, _ in KINDS.values())
    shop.run(f"INSERT INTO tipos (id, {', '.join(KINDS)}) VALUES (1, {literals})")
    ((_, _, values),) = told(changes(shop.stream(start, "tipos"), 1))
    assert values == {"id": "1"} | {name: text for name, (_, _, _, text) in KINDS.items()}


def test_what_a_deleted_row_never_tells_is_left_out() -> None:
    columns = [TableColumn("id", "int", "int", None, 1), TableColumn("old", "ntext", "ntext", None, 0)]
    shape = TableShape("notes", "[dbo].[notes]", tuple(columns), ())
    instance = Instance("i", Captured("i", 1, 2, "", ""), NO_LSN, frozenset())
    rows = [(NO_LSN, NO_LSN, 1, 7, None), (NO_LSN, NO_LSN, 2, 7, "nuevo")]
    found = instance_query(shape, instance).read(rows, deque())
    assert [(change.op, change.values, len(change.layout.columns)) for change in found] == [
        ("d", ["7"], 1),
        ("c", ["7", "nuevo"], 2),
    ]


def test_a_value_that_does_not_fit_its_type_is_a_fault_of_the_row() -> None:
    columns = (TableColumn("id", "int", "int", None, 1), TableColumn("m", "money", "money", None, 0))
    instance = Instance("i", Captured("i", 1, 2, "", ""), NO_LSN, frozenset())
    with pytest.raises(DataValidationError, match="a row of pagos cannot be read"):
        instance_query(TableShape("pagos", "[dbo].[pagos]", columns, ()), instance).read(
            [(NO_LSN, NO_LSN, 2, 7, 0.1)], deque()
        )


# Where it begins -----------------------------------------------------------------------------------------------------


def test_a_new_database_is_captured_from_before_its_first_transaction(own_sql_shop: SqlShop) -> None:
    shop = CdcShop(own_sql_shop)
    shop.create(ITEMS)
    start = shop.now("items")
    assert parse_captured(start).number == NO_LSN
    captures = shop.stream(start, "items")
    next(captures)
    own_sql_shop.run("INSERT INTO items VALUES (1, N'uno', 1)")
    (capture,) = changes(captures, 1)
    assert (capture.resnapshot, state_of([capture])) == ([], {("items", "1"): ("1", "uno", "1.0000")})


@pytest.mark.parametrize("above", [True, False])
def test_a_stream_begins_right_whether_the_least_lsn_is_above_the_last_or_not(sql_shop: SqlShop, above: bool) -> None:  # noqa: FBT001 -- a parameter
    shop = CdcShop(sql_shop)
    shop.create(LINES)
    shop.run("INSERT INTO lines VALUES (1, 1, 1)")
    shop.create(ITEMS)
    if not above:
        shop.run("INSERT INTO lines VALUES (1, 2, 1)")
    position = parse_captured(start := shop.now("items", "lines"))
    assert (position.tables["items"].start > position.lsn) is above
    # What goes on in between, also behind a position that lies below the instance.
    shop.run("INSERT INTO lines VALUES (1, 3, 1)", "INSERT INTO items VALUES (1, N'uno', 1)")
    lines, items = changes(shop.stream(start, "items", "lines"), 2)
    assert [set(state_of([one])) for one in (lines, items)] == [{("lines", "1", "3")}, {("items", "1")}]
    (again,) = changes(shop.stream(lines.position, "items", "lines"), 1)
    assert (told([again]), again.resnapshot) == (told([items]), [])


def test_what_the_capture_job_has_not_read_yet_comes_when_it_has(cdc_items: CdcShop) -> None:
    captures = cdc_items.stream(cdc_items.now("items"), "items")
    cdc_items.run("EXEC sys.sp_cdc_stop_job @job_type = N'capture'")
    try:
        cdc_items.run("UPDATE items SET price = 5 WHERE id = 1", "DELETE FROM items WHERE id = 2")
        assert [next(captures).rows for _ in range(2)] == [[], []]
        cdc_items.run("EXEC sys.sp_cdc_scan")
        assert [len(capture.rows) for capture in changes(captures, 2)] == [1, 1]
    finally:
        cdc_items.run("EXEC sys.sp_cdc_start_job @job_type = N'capture'")


# Two capture instances -----------------------------------------------------------------------------------------------


def test_a_new_column_comes_from_the_second_instance_also_in_one_window(cdc_items: CdcShop) -> None:
    start = cdc_items.now("items")
    cdc_items.run("UPDATE items SET price = 2 WHERE id = 1", "ALTER TABLE items ADD zone varchar(9) NULL")
    cdc_items.run("UPDATE items SET zone = 'norte' WHERE id = 1")
    cdc_items.shop.capture("items", instance="fluxion_dbo_{}_2")
    cdc_items.run("UPDATE items SET zone = 'sur' WHERE id = 1", "INSERT INTO items VALUES (3, N'tres', 3, 'este')")
    captures = cdc_items.stream(start, "items")
    found = changes(captures, 4)
    uno = {"id": "1", "name": "uno", "price": "2.0000"}
    assert told(found) == [
        ("u", "items", uno),
        ("u", "items", uno),  # the first instance does not have it
        ("u", "items", uno | {"zone": "sur"}),
        ("c", "items", {"id": "3", "name": "tres", "price": "3.0000", "zone": "este"}),
    ]
    for place, capture in enumerate(found[:-1]):
        assert told(changes(cdc_items.stream(capture.position, "items"), 3 - place)) == told(found[place + 1 :])
    cdc_items.run(DISABLE.format("fluxion_dbo_items"), "DELETE FROM items WHERE id = 3")
    (capture,) = changes(captures, 1)
    assert ([row.op for row in capture.rows], capture.resnapshot) == (["d"], [])


def test_a_column_that_was_dropped_and_added_again_is_not_told_as_null(cdc_items: CdcShop) -> None:
    start = cdc_items.now("items")
    cdc_items.run("ALTER TABLE items DROP COLUMN name", "ALTER TABLE items ADD name nvarchar(20) NULL")
    cdc_items.run("UPDATE items SET name = N'nuevo' WHERE id = 1")
    assert told(changes(cdc_items.stream(start, "items"), 1)) == [("u", "items", {"id": "1", "price": "1.0000"})]


def test_an_instance_of_ours_is_preferred_to_one_of_somebody_else(cdc_items: CdcShop) -> None:
    cdc_items.shop.capture("items", instance="others_{}")
    assert parse_captured(cdc_items.now("items")).tables["items"].instance == "fluxion_dbo_items"
    cdc_items.run(DISABLE.format("fluxion_dbo_items"))
    assert parse_captured(cdc_items.now("items")).tables["items"].instance == "others_items"


# Many rows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 3, 2_000])
def test_a_window_of_any_size_tells_the_same_transactions(
    cdc_items: CdcShop, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    cdc_items.create(LINES)
    start = cdc_items.now("items", "lines")
    for sale in range(10, 14):
        lines = ", ".join(f"({sale}, {line}, 1)" for line in range(sale - 9))
        cdc_items.as_one(f"INSERT INTO items VALUES ({sale}, N'x', 1)", f"INSERT INTO lines VALUES {lines}")
        cdc_items.run(f"UPDATE lines SET qty = 2 WHERE sale = {sale}", f"UPDATE items SET price = 2 WHERE id = {sale}")
    monkeypatch.setattr(cdc_window, "WINDOW_ROWS", window)
    found = list(itertools.islice((one for one in cdc_items.stream(start, "items", "lines") if one.rows), 12))
    rows = [
        sorted(
            values["id"] or "" if table == "items" else f"{values['sale']}.{values['line']}"
            for _, table, values in told([one])
        )
        for one in found
    ]
    expected = []
    for sale in range(10, 14):
        lines_ = [f"{sale}.{line}" for line in range(sale - 9)]
        expected += [[f"{sale}", *lines_], lines_, [f"{sale}"]]
    assert rows == expected
    assert len({one.position for one in found}) == 12
    for place in (1, 10):
        rest = cdc_items.stream(found[place].position, "items", "lines")
        again = list(itertools.islice((one for one in rest if one.rows), 11 - place))
        assert [told([one]) for one in again] == [told([one]) for one in found[place + 1 :]]


def test_a_transaction_larger_than_a_window_comes_in_parts_of_bounded_memory(
    cdc_items: CdcShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdc_window, "WINDOW_ROWS", 500)
    cdc_items.create(LINES)
    start = cdc_items.now("items", "lines")
    cdc_items.run("UPDATE items SET price = 5 WHERE id = 1")
    cdc_items.shop.insert_numbers("items", "{n}, N'x', 1", 10, 6_000)
    cdc_items.run("DELETE FROM items WHERE id = 2")
    captures = cdc_items.stream(start, "items", "lines")
    (before,) = whole(captures)
    tracemalloc.start()
    try:
        numbers, seen, last, positions = [], 0, before, set[str]()
        for capture in captures:
            assert len(capture.rows) <= cdc.PART_ROWS
            numbers.append(capture.part)
            seen += sum(int(row.values[0] or 0) for row in capture.rows)
            last = capture
            if capture.last_part:
                break
            positions.add(capture.position)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (numbers, seen) == (list(range(12)), sum(range(10, 6_010)))
    assert len(positions) == 1
    assert peak < 2_000_000, "all rows together are more than 4 MB"
    assert [row.op for row in whole(captures)[0].rows] == ["d"]
    assert [row.op for row in whole(cdc_items.stream(last.position, "items", "lines"))[0].rows] == ["d"]
    again = cdc_items.stream(positions.pop(), "items", "lines")
    assert next(one for one in again if one.rows).rows[0].values[0] == "10"


def test_long_values_make_smaller_parts_and_windows(sql_shop: SqlShop) -> None:
    shop = CdcShop(sql_shop)
    shop.create("notes (id int primary key, t nvarchar(max))")
    start = shop.now("notes")
    long = "x" * (cdc.PART_CHARACTERS // 2)
    with closing(shop.shop.link()) as link:
        link.execute("BEGIN TRANSACTION")
        for number in range(1, 6):
            link.execute("INSERT INTO notes VALUES (?, ?)", number, long)
        link.execute("COMMIT")
    shop.run("DELETE FROM notes WHERE id = 1")
    captures = shop.stream(start, "notes")
    parts = whole(captures)
    assert [len(part.rows) for part in parts] == [2, 2, 1]
    assert [part.last_part for part in parts] == [False, False, True]
    assert [row.op for row in whole(captures)[0].rows] == ["d"]
