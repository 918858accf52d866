"""Columns and tables that change while the log is read, or while nobody reads it."""

from tests.producers.conftest import Shop, ends, gtids, rows, said, take

# Columns -------------------------------------------------------------------------------------------------------------


def test_columns_added_dropped_renamed_and_reordered_keep_their_own_values(items: Shop) -> None:
    start = items.now("items")
    items.run(
        "insert into items values (3, 'tres', 3)",
        "alter table items add column stock int after id",
        "insert into items values (4, 40, 'cuatro', 4)",
        "alter table items modify price decimal(18,4) after id, modify stock int after name",
        "insert into items values (5, 5, 'cinco', 50)",
        "alter table items change name title varchar(30), drop column price",
        "update items set title = 'CINCO' where id = 5",
    )
    captures = [capture for capture in said(items.source("items").stream(start), 7) if capture.rows]
    named = [
        {column.name: value for column, value in zip(capture.layouts[0].columns, capture.rows[0].values, strict=True)}
        for capture in captures
    ]
    assert named == [
        {"id": "3", "name": "tres", "price": "3.0000"},
        {"id": "4", "name": "cuatro", "price": "4.0000", "stock": "40"},
        {"id": "5", "name": "cinco", "price": "5.0000", "stock": "50"},
        {"id": "5", "title": "CINCO", "stock": "50"},
    ]


def test_columns_reordered_while_nobody_read_are_never_swapped(items: Shop) -> None:
    items.run("alter table items add cost decimal(18,4) default 7")
    source = items.source("items")
    stream = source.stream(items.now("items"))
    items.run("insert into items values (3, 'tres', 3, 30)")
    position = take(stream, 1)[0].position
    source.close()
    items.run(
        "insert into items values (4, 'cuatro', 4, 40)",
        "alter table items modify cost decimal(18,4) after name",
        "insert into items values (5, 'cinco', 50, 5)",
    )
    before, after = take(items.source("items").stream(position), 2)
    for capture, (price, cost) in ((before, ("4.0000", "40.0000")), (after, ("5.0000", "50.0000"))):
        named = dict(zip([c.name for c in capture.layouts[0].columns], capture.rows[0].values, strict=True))
        assert (named["price"], named["cost"]) == (price, cost)


def test_a_change_of_columns_that_moves_values_asks_for_the_table_again(items: Shop) -> None:
    start = items.now("items")
    items.run(
        "alter table items add stock int default 5",
        "alter table items add index (name)",
        "alter table items comment 'x'",
    )
    items.run("insert into items values (3, 'x', 1, 1)")
    changed, inserted = said(items.source("items").stream(start), 2)
    assert (changed.rows, ends(changed), changed.resnapshot) == ([], [], ["items"])
    assert inserted.resnapshot == []


# Tables --------------------------------------------------------------------------------------------------------------


def test_tables_emptied_as_wholes_are_ended_at_their_place(items: Shop) -> None:
    items.run("create table other (id int primary key)")
    start = items.now("items")
    items.run(
        "insert into items values (3, 'x', 1)",
        "truncate other",
        "truncate table items",
        "insert into items values (4, 'x', 1)",
        "drop table if exists missing, items",
    )
    captures = said(items.source("items").stream(start), 4)
    assert [(ends(capture), rows([capture]) != []) for capture in captures] == [
        ([], True), (["items"], False), ([], True), (["items"], False),
    ]  # fmt: skip
    assert all(capture.resnapshot == [] for capture in captures)
    following = said(items.source("items").stream(captures[1].position), 1)
    assert rows(following) == rows(captures[2:3])


def test_a_dropped_database_ends_every_table(items: Shop) -> None:
    items.run("create table sales (id int primary key)")
    start = items.now("items", "sales")
    items.run(f"drop database {items.database}", f"create database {items.database}")
    (capture,) = said(items.source("items", "sales").stream(start), 1)
    assert ends(capture) == ["items", "sales"]


def test_a_table_created_anew_with_rows_ends_in_front_of_them(items: Shop) -> None:
    start = items.now("items")
    items.run("create or replace table items (id int primary key, name varchar(9)) as select 9 as id, 'nueve' as name")
    end, created = said(items.source("items").stream(start), 2)
    assert (ends(end), end.rows, end.part, end.last_part) == (["items"], [], 0, False)
    assert rows([created]) == [("c", "items", ("9", "nueve"))]
    assert (ends(created), created.part, created.last_part) == ([], 1, True)
    assert gtids(end.position) == gtids(start)


def test_another_table_renamed_to_a_captured_name_is_read_again(items: Shop) -> None:
    start = items.now("items")
    items.run(
        "create table items_new like items",
        "insert into items_new values (1, 'uno', 10), (7, 'siete', 7)",
        "rename table items to items_old, items_new to items",
        "update items set price = 11 where id = 1",
        "alter table items rename to items_gone",
    )
    renamed, updated, gone = said(items.source("items").stream(start), 3)
    assert (renamed.rows, ends(renamed), renamed.resnapshot) == ([], [], ["items"])
    assert rows([updated]) == [("u", "items", ("1", "uno", "11.0000"))]
    assert (ends(gone), gone.resnapshot) == (["items"], [])
