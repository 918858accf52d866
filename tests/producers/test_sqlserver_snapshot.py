"""Snapshots of SQL Server: chunks by key, views, bounds, and where they go on."""

import json
from collections.abc import Sequence
from contextlib import closing

import pytest

from fluxion.errors import PositionLostError, SourceNotReadyError
from producers.source import Bound, Capture
from producers.sources.sqlserver import chunks, estimate
from producers.sources.sqlserver.catalogue import TableShape
from producers.sources.sqlserver.keyset import steps
from producers.sources.sqlserver.values import TableColumn
from tests.producers.sql_shop import SqlShop, changes, state_of, told

SINCE = "2026-01-10T00:00:00-04:00"


def _keys(captures: Sequence[Capture]) -> list[tuple[str | None, ...]]:
    return [tuple(values[name] for name in ("a", "b")) for _, _, values in told(captures)]


@pytest.mark.parametrize(
    ("definition", "literals"),
    [
        ("a int, b int", ["1, 1", "1, 2", "2, -5", "2, 0", "10, 1"]),
        ("a bigint, b smallint", ["-9223372036854775808, 1", "0, 1", "5000000000, 1", "5000000000, 2"]),
        ("a nvarchar(20), b int", ["N'', 1", "N'a', 2", "N'ab', 1", "N'b''', 1", "N'ñ', 1", "N'ñ', 2"]),
        ("a char(6), b varchar(9)", ["'ab', ''", "'ab', 'x'", "'b', 'a'", "'b', 'z z'"]),
        ("a decimal(18,4), b money", ["-1.5, 1", "0, 0.01", "0, 0.1", "123456789.1234, 1"]),
        ("a date, b datetime", ["'2024-01-02', '2024-01-02T03:04:05.123'", "'2024-01-02', '2024-01-02T03:04:05.127'", "'2025-01-01', '2024-01-01'"]),
        ("a datetime2(6), b time(6)", ["'2024-01-02T03:04:05.000001', '00:00'", "'2024-01-02T03:04:05.000002', '23:59:59.5'"]),
        ("a datetimeoffset(3), b bit", ["'2024-01-02T03:04:05+02:00', 0", "'2024-01-02T03:04:05+02:00', 1", "'2024-01-02T02:04:05-04:00', 0"]),
        ("a uniqueidentifier, b varbinary(8)", ["'00000000-0000-0000-0000-000000000001', 0x01", "'00000000-0000-0000-0000-000000000001', 0x0102"]),
        ("a float, b real", ["-1e300, 1", "0.1, 0.5", "0.1, 1.5", "0.30000000000000004, 1"]),
    ],
)  # fmt: skip
def test_each_kind_of_key_is_walked_row_by_row(
    sql_shop: SqlShop, monkeypatch: pytest.MonkeyPatch, definition: str, literals: list[str]
) -> None:
    sql_shop.create(f"t ({definition}, v int, primary key (a, b))")
    sql_shop.run(*(f"INSERT INTO t VALUES ({literal}, {number})" for number, literal in enumerate(literals)))
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 1)
    captures = sql_shop.snapshot("t")
    assert [len(capture.rows) for capture in captures] == [1] * len(literals) + [0]
    assert [values["v"] for _, _, values in told(captures)] == [str(number) for number in range(len(literals))]
    following = list(sql_shop.source("t").snapshot(captures[0].position, frozenset({"t"}), {}))
    assert told(following) == told(captures[1:])


def test_a_key_is_read_in_steps_each_of_which_is_one_seek() -> None:
    columns = (
        TableColumn("tienda", "int", "int", None, 1),
        TableColumn("nro", "varchar", "varchar(9)", "Modern_Spanish_CI_AS", 2),
    )
    assert [(step.condition, step.parameters) for step in steps(columns, ("1", "a"))] == [
        ("t.[tienda] = CAST(? AS int) AND t.[nro] > CAST(? COLLATE Modern_Spanish_CI_AS AS varchar(9))", ("1", "a")),
        ("t.[tienda] > CAST(? AS int)", ("1",)),
    ]
    with pytest.raises(PositionLostError, match="cannot be read"):
        steps((TableColumn("b", "binary", "binary(2)", None, 1),), ("no hex",))


def test_a_key_in_another_order_than_the_columns_is_walked_in_its_own(sql_shop: SqlShop) -> None:
    sql_shop.create("t (b int, a int, v int, primary key (a, b))")
    sql_shop.run("INSERT INTO t VALUES (2, 1, 0), (1, 2, 0), (1, 1, 0)")
    captures = sql_shop.snapshot("t")
    assert _keys(captures) == [("1", "1"), ("1", "2"), ("2", "1")]
    assert captures[0].layouts[0].key == ["b", "a"]
    assert json.loads(captures[-1].position)["by"] == ["a", "b"]


def test_long_values_make_smaller_chunks(sql_shop: SqlShop) -> None:
    sql_shop.create("notes (id int primary key, t nvarchar(max))")
    with closing(sql_shop.link()) as link:
        for number in range(5):
            link.execute("INSERT INTO notes VALUES (?, ?)", number, "x" * (chunks.CHUNK_CHARACTERS // 2))
    assert [len(capture.rows) for capture in sql_shop.snapshot("notes")] == [2, 2, 1]


def test_a_first_run_is_of_one_moment(sql_items: SqlShop) -> None:
    sql_items.create("later (id int primary key)")
    captures = sql_items.source("items", "later").snapshot(None, frozenset({"items", "later"}), {})
    found = [next(captures)]
    sql_items.run("INSERT INTO later VALUES (1)", "UPDATE items SET price = 50 WHERE id = 1")
    found += captures
    assert state_of(found)["items", "1"] == ("1", "uno", "1.0000")
    assert not [row for capture in found for row in capture.rows if capture.layouts[row.layout].table == "later"]
    (streamed,) = changes(sql_items.stream(found[0].stream_start or "", "items", "later"), 1)
    assert len(streamed.rows) == 2


def test_a_run_goes_on_on_a_new_view_and_keeps_its_beginning(
    sql_items: SqlShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 1)
    first = next(sql_items.source("items").snapshot(None, frozenset({"items"}), {}))
    sql_items.run("UPDATE items SET price = 50", "INSERT INTO items VALUES (3, N'tres', 3)")
    following = list(sql_items.source("items").snapshot(first.position, frozenset({"items"}), {}))
    assert [(values["id"], values["price"]) for _, _, values in told(following)] == [("2", "50.0000"), ("3", "3.0000")]
    assert {capture.stream_start for capture in following} == {first.stream_start}
    (streamed,) = changes(sql_items.stream(first.stream_start or "", "items"), 1)
    assert state_of([first, *following, streamed])["items", "1"] == ("1", "uno", "50.0000")


def test_a_rereading_sees_at_each_chunk_what_the_stream_has_told(
    sql_items: SqlShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 1)
    source = sql_items.source("items")
    captures = source.stream(sql_items.now("items"))
    again = source.resnapshot(None, frozenset({"items"}), {})
    next(again)
    sql_items.run("UPDATE items SET price = 77 WHERE id = 2")
    changes(captures, 1)
    chunk = next(again)
    assert told([chunk]) == [("r", "items", {"id": "2", "name": "dos", "price": "77.0000"})]
    assert chunk.stream_start is None


def test_a_table_whose_key_changes_in_the_middle_begins_anew(
    sql_shop: SqlShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 1)
    sql_shop.create("t (a int, b int, primary key (a))")
    sql_shop.run("INSERT INTO t VALUES (1, 9), (2, 8)")
    again = sql_shop.source("t").resnapshot(None, frozenset({"t"}), {})
    assert _keys([next(again)]) == [("1", "9")]
    sql_shop.run("DROP TABLE t")
    sql_shop.create("t (a int, b int, primary key (b))")
    sql_shop.run("INSERT INTO t VALUES (1, 9), (2, 8)")
    assert _keys(list(again)) == [("2", "8"), ("1", "9")]


def test_tables_without_key_or_tracking_are_refused(sql_shop: SqlShop) -> None:
    sql_shop.run("CREATE TABLE dbo.heap (id int)", "CREATE TABLE dbo.silent (id int primary key)")
    for table in ("heap", "silent", "missing"):
        with pytest.raises(SourceNotReadyError, match=table):
            sql_shop.snapshot(table)
    with pytest.raises(SourceNotReadyError, match="heap has no primary key") as fault:
        list(sql_shop.source("heap").resnapshot(None, frozenset({"heap"}), {}))
    assert fault.value.mend.startswith("ALTER TABLE [dbo].[heap] ADD PRIMARY KEY")


# Bounds --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def sales(sql_shop: SqlShop) -> SqlShop:
    sql_shop.create(
        "ventas (id int primary key, fecha datetime2(3), dia date, momento datetimeoffset(3), d datetime, s smalldatetime)",
        "detalle (venta int, linea int, primary key (venta, linea))",
    )
    for number, day in enumerate(["2026-01-09", "2026-01-10", "2026-02-01"], start=1):
        moment = f"'{day}T00:00:00'"
        sql_shop.run(
            f"INSERT INTO ventas VALUES ({number}, {moment}, '{day}', '{day}T00:00:00-04:00', {moment}, {moment})",
            f"INSERT INTO detalle VALUES ({number}, 1), ({number}, 2)",
        )
    sql_shop.run("INSERT INTO ventas (id) VALUES (4)")
    return sql_shop


@pytest.mark.parametrize(
    ("column", "since"),
    [
        ("fecha", "2026-01-10T00:00:00"),
        ("dia", "2026-01-10"),
        ("momento", "2026-01-10T04:00:00Z"),
        ("d", "2026-01-10T00:00:00"),
        ("s", "2026-01-10T00:00:00"),
    ],
)
@pytest.mark.parametrize("window", [2, 20_000])
def test_a_bound_reads_what_is_new_and_what_has_no_date(
    sales: SqlShop, monkeypatch: pytest.MonkeyPatch, column: str, since: str, window: int
) -> None:
    monkeypatch.setattr(chunks, "WINDOW_ROWS", window)
    captures = list(sales.source("ventas").snapshot(None, frozenset({"ventas"}), {"ventas": Bound(column, SINCE)}))
    assert [values["id"] for _, _, values in told(captures)] == ["2", "3", "4"]
    (end,) = captures[-1].ends
    assert end.since is not None
    assert (end.since.column, end.since.value) == (column, since)


@pytest.mark.parametrize("window", [1, 20_000])
def test_lines_follow_their_header_and_come_behind_it(
    sales: SqlShop, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(chunks, "WINDOW_ROWS", window)
    bounds = {"detalle": Bound("fecha", SINCE, header="ventas", link=("venta",)), "ventas": Bound("fecha", SINCE)}
    captures = list(sales.source("ventas", "detalle").snapshot(None, frozenset(bounds), bounds))
    tables = [table for _, table, _ in told(captures)]
    assert tables == ["ventas"] * 3 + ["detalle"] * 4
    assert {values["venta"] for _, table, values in told(captures) if table == "detalle"} == {"2", "3"}
    middle = len(captures) // 2
    following = list(sales.source("ventas", "detalle").snapshot(captures[middle].position, frozenset(bounds), bounds))
    assert told(following) == told(captures[middle + 1 :])


def test_a_bound_that_does_not_fit_the_tables_is_refused(sales: SqlShop) -> None:
    for bound, message in (
        (Bound("nada", SINCE), "has no column nada"),
        (Bound("fecha", SINCE, header="ventas", link=("venta", "linea")), "names its ventas by"),
    ):
        with pytest.raises(SourceNotReadyError, match=message):
            list(
                sales.source("ventas", "detalle").snapshot(
                    None, frozenset({"ventas", "detalle"}), {"detalle": bound, "ventas": bound}
                )
            )


def test_a_bound_on_a_column_without_dates_reads_the_whole_table(sales: SqlShop) -> None:
    captures = list(sales.source("ventas").snapshot(None, frozenset({"ventas"}), {"ventas": Bound("id", SINCE)}))
    assert len(told(captures)) == 4
    assert captures[-1].ends[0].since is None


def test_an_estimate_counts_what_is_in_bounds(sales: SqlShop) -> None:
    source = sales.source("ventas", "detalle")
    assert source.estimate(frozenset({"ventas", "detalle"}), {}) == 10
    bounds = {"detalle": Bound("fecha", SINCE, header="ventas", link=("venta",)), "ventas": Bound("fecha", SINCE)}
    assert source.estimate(frozenset(bounds), bounds) == round(3 + 6 * 3 / 4)


def test_a_count_that_would_have_to_wait_is_given_up(sales: SqlShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "COUNT_S", 1)
    with closing(sales.link()) as register:
        register.execute("BEGIN TRANSACTION")
        register.execute("ALTER TABLE ventas ADD nuevo int NULL")
        assert sales.source("ventas", "detalle").estimate(frozenset({"ventas", "detalle"}), {}) == 6
        register.execute("ROLLBACK")


def test_a_table_is_found_however_its_name_is_spelled(sql_items: SqlShop) -> None:
    captures = sql_items.snapshot("Items")
    assert captures[0].layouts[0].table == "Items"
    assert captures[0].ends[0].table == "Items"
    sql_items.run("UPDATE items SET price = 2 WHERE id = 1")
    (change,) = changes(sql_items.stream(captures[0].stream_start or "", "Items"), 1)
    assert change.layouts[0].table == "Items"
    assert sql_items.source("Items").catalogue()["Items"].key == ("id",)


def test_a_shape_without_a_captured_key_has_none() -> None:
    columns = (TableColumn("id", "int", "int", None, 1),)
    left_out = (TableColumn("v", "sql_variant", "sql_variant", None, 2),)
    assert TableShape("t", "[dbo].[t]", columns, left_out).key == ()
    assert TableShape("t", "[dbo].[t]", columns, ()).key == columns
