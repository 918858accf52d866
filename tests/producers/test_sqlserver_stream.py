"""What a poll of Change Tracking tells."""

import tracemalloc
from contextlib import closing

import pytest

from fluxion.errors import DataValidationError
from producers.sources.sqlserver import change_tracking, stream
from producers.sources.sqlserver.catalogue import TableShape
from producers.sources.sqlserver.changes import changes_query
from producers.sources.sqlserver.pace import FAST_S, SLOW_S, Pace
from producers.sources.sqlserver.position import parse
from producers.sources.sqlserver.values import TableColumn
from tests.producers.sql_shop import SqlShop, changes, state_of, told, whole


def test_a_poll_tells_what_was_committed_in_all_tables_as_one_capture(sql_items: SqlShop) -> None:
    sql_items.create("lines (sale int, line int, qty decimal(10,3), primary key (sale, line))")
    start = sql_items.now("items", "lines")
    with closing(sql_items.link()) as link:
        link.execute("BEGIN TRANSACTION")
        link.execute("INSERT INTO items VALUES (3, N'tres', 3)")
        link.execute("INSERT INTO lines VALUES (3, 1, 0.5), (3, 2, 1)")
        link.execute("COMMIT")
    sql_items.run("UPDATE items SET price = 9 WHERE id = 1", "DELETE FROM items WHERE id = 2")
    (capture,) = changes(sql_items.stream(start, "items", "lines"), 1)
    assert told([capture]) == [
        ("c", "items", {"id": "3", "name": "tres", "price": "3.0000"}),
        ("c", "lines", {"sale": "3", "line": "1", "qty": "0.500"}),
        ("c", "lines", {"sale": "3", "line": "2", "qty": "1.000"}),
        ("u", "items", {"id": "1", "name": "uno", "price": "9.0000"}),
        ("d", "items", {"id": "2"}),
    ]
    assert (capture.kind, capture.part, capture.last_part, capture.resnapshot) == ("stream", 0, True, [])
    assert [layout.key for layout in capture.layouts] == [["id"], ["sale", "line"], ["id"]]


@pytest.mark.parametrize("tracked", [True, False], ids=["before", "in between"])
def test_a_key_that_was_deleted_and_inserted_again_ends_right(sql_items: SqlShop, tracked: bool) -> None:  # noqa: FBT001 -- a parameter
    if not tracked:
        sql_items.run("DELETE FROM items WHERE id = 1")
    start = sql_items.now("items")
    sql_items.run("DELETE FROM items WHERE id = 1", "INSERT INTO items VALUES (1, N'otra', 5)")
    ended = state_of(changes(sql_items.stream(start, "items"), 1))
    assert ended == {("items", "1"): ("1", "otra", "5.0000")}


def test_a_row_that_came_and_went_between_two_polls_is_gone(sql_items: SqlShop) -> None:
    start = sql_items.now("items")
    sql_items.run("INSERT INTO items VALUES (5, N'efímero', 5)", "DELETE FROM items WHERE id = 5")
    sql_items.run("UPDATE items SET price = 3 WHERE id = 2")
    ended = state_of(changes(sql_items.stream(start, "items"), 1))
    assert ended == {("items", "2"): ("2", "dos", "3.0000")}


def test_a_changed_key_is_a_delete_and_a_create(sql_items: SqlShop) -> None:
    start = sql_items.now("items")
    sql_items.run("UPDATE items SET id = 7 WHERE id = 1")
    assert sorted(told(changes(sql_items.stream(start, "items"), 1)), reverse=True, key=lambda row: row[0]) == [
        ("d", "items", {"id": "1"}),
        ("c", "items", {"id": "7", "name": "uno", "price": "1.0000"}),
    ]


_SHAPE = TableShape(
    "items", "[dbo].[items]", (TableColumn("id", "varchar", "varchar(9)", None, 1), TableColumn("n", "int", "int", None, 0)), ()
)  # fmt: skip


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((5, "U", "a", "a", 1), [("u", ["a", "1"])]),
        ((5, "D", "a", None, None), [("d", ["a"])]),
        ((5, "I", "a", None, None), [("d", ["a"])]),  # I+D, told as I: the row is what decides
        ((5, "D", "a", "a", 1), [("u", ["a", "1"])]),  # D+I, told as D
        ((5, "I", "a", "a", None), [("c", ["a", None])]),  # D+I, told as I
        ((5, "U", "a", "A", 1), [("d", ["a"]), ("u", ["A", "1"])]),  # spelled another way: whichever comes first
        ((5, "D", "a", "A", 1), [("d", ["a"]), ("u", ["A", "1"])]),
    ],
)
def test_the_row_decides_whatever_the_server_says_was_done(
    row: tuple[object, ...], expected: list[tuple[str, list[str | None]]]
) -> None:
    assert [(change.op, change.values) for change in changes_query(_SHAPE).read([row])] == expected


def test_a_value_that_does_not_fit_its_type_is_a_fault_of_the_row() -> None:
    money = TableShape("p", "[dbo].[p]", (*_SHAPE.columns, TableColumn("m", "money", "money", None, 0)), ())
    with pytest.raises(DataValidationError, match="a row of p cannot be read"):
        changes_query(money).read([(5, "U", "a", "a", 1, 0.1)])


def test_columns_are_those_of_the_moment(sql_items: SqlShop) -> None:
    captures = sql_items.stream(sql_items.now("items"), "items")
    sql_items.run("UPDATE items SET price = 2 WHERE id = 1")
    before = changes(captures, 1)
    sql_items.run("ALTER TABLE items ADD zone varchar(9) NULL", "UPDATE items SET zone = 'sur' WHERE id = 1")
    sql_items.run("ALTER TABLE items DROP COLUMN name", "UPDATE items SET zone = 'este' WHERE id = 2")
    after = changes(captures, 1)
    while ("u", "items", {"id": "2", "price": "2.0000", "zone": "este"}) not in told(after):
        after += changes(captures, 1)
    assert told(before) == [("u", "items", {"id": "1", "name": "uno", "price": "2.0000"})]
    assert {"id": "1", "price": "2.0000", "zone": "sur"}.items() <= told(after)[0][2].items()


def test_a_poll_of_many_rows_comes_in_parts_of_bounded_memory(sql_items: SqlShop) -> None:
    start = sql_items.now("items")
    sql_items.insert_numbers("items", "{n}, N'x', 1", 10, 50_000)
    captures = sql_items.stream(start, "items")
    first = next(capture for capture in captures if capture.rows)
    tracemalloc.start()
    try:
        numbers, total, last = [first.part], sum(int(row.values[0] or 0) for row in first.rows), first
        del first
        while not last.last_part:
            assert last.position == start
            last = next(captures)
            assert len(last.rows) <= change_tracking.PART_ROWS
            numbers.append(last.part)
            total += sum(int(row.values[0] or 0) for row in last.rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert numbers == list(range(100))
    assert total == sum(range(10, 50_010))
    assert parse(last.position).version > parse(start).version
    assert peak < 5_000_000, "all rows together are more than 30 MB"


def test_long_values_make_smaller_parts(sql_shop: SqlShop) -> None:
    sql_shop.create("notes (id int primary key, t nvarchar(max))")
    start = sql_shop.now("notes")
    long = "x" * (change_tracking.PART_CHARACTERS // 2)
    with closing(sql_shop.link()) as link:
        link.execute("BEGIN TRANSACTION")
        for number in range(1, 6):
            link.execute("INSERT INTO notes VALUES (?, ?)", number, long)
        link.execute("COMMIT")
    parts = whole(sql_shop.stream(start, "notes"))
    assert [len(part.rows) for part in parts] == [2, 2, 1]
    assert [part.last_part for part in parts] == [False, False, True]


def test_changes_of_other_tables_move_the_position_only(sql_items: SqlShop) -> None:
    sql_items.create("other (id int primary key)")
    start = sql_items.now("items")
    sql_items.run("INSERT INTO other VALUES (1)")
    captures = sql_items.stream(start, "items")
    capture = next(capture for capture in captures if capture.position != start)
    assert (capture.rows, capture.resnapshot) == ([], [])


def test_polls_are_fast_while_changes_come_and_slow_when_idle() -> None:
    pace = Pace()
    waits = [pace.next(found=False) for _ in range(200)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (FAST_S, SLOW_S)
    assert pace.next(found=True) == FAST_S
    assert SLOW_S + stream.QUIET_S < 5
