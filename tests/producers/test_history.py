"""How far back a first snapshot reads the tables of Stellar's own databases."""

from fluxion.clock import SystemClock
from producers.history import bounds_of
from producers.home import BoundSection, SnapshotSection
from schemas.mapping import load
from tests.producers.sql_shop import SqlShop, told

BOUNDS = bounds_of(load("stellar-vad"))
KEY = ("c_Caja", "c_Numero", "c_Sucursal", "c_Concepto")
OLD, NEW = "DATEADD(day, -200, GETDATE())", "DATEADD(day, -2, GETDATE())"


def test_tenders_are_bounded_by_their_tickets_though_they_do_not_say_of_which_kind_these_are() -> None:
    tenders = BoundSection(
        table="MA_DETALLEPAGO", column="f_Fecha", header="MA_PAGOS",
        link=("c_Caja", "c_Factura", "c_Localidad"), key=("c_Caja", "c_Numero", "c_Sucursal"),
    )  # fmt: skip
    lines = BoundSection(
        table="MA_TRANSACCION", column="f_Fecha", header="MA_PAGOS",
        link=("c_Caja", "c_Numero", "c_Localidad", "c_Concepto"), key=KEY,
    )  # fmt: skip
    assert list(BOUNDS) == [BoundSection(table="MA_PAGOS", column="f_Fecha"), tenders, lines]


def test_tenders_of_old_tickets_are_not_read_and_those_of_new_ones_all_are(sql_shop: SqlShop) -> None:
    ticket = "c_Caja varchar(5), c_Numero varchar(9), c_Sucursal varchar(9), c_Concepto varchar(3), f_Fecha datetime"
    tender = "ID int PRIMARY KEY, c_Caja varchar(5), c_Factura varchar(9), c_Localidad varchar(9), n_Monto float"
    sql_shop.create(f"MA_PAGOS ({ticket}, PRIMARY KEY ({', '.join(KEY)}))", f"MA_DETALLEPAGO ({tender})")
    for number, kind, sold in (("1", "VEN", OLD), ("2", "VEN", NEW), ("3", "VEN", OLD), ("3", "DEV", NEW)):
        sql_shop.run(f"INSERT INTO MA_PAGOS VALUES (N'01', N'{number}', N'S', N'{kind}', {sold})")
    for row, number in enumerate("1223"):
        sql_shop.run(f"INSERT INTO MA_DETALLEPAGO VALUES ({row}, N'01', N'{number}', N'S', 1)")
    bounds = SnapshotSection(history_days=90, bounds=BOUNDS[:2]).at(SystemClock())
    captures = list(sql_shop.source(*bounds).snapshot(None, frozenset(bounds), bounds))
    read = [row["c_Factura"] for _, table, row in told(captures) if table == "MA_DETALLEPAGO"]
    assert read == ["2", "2", "3"], "one more, whose number a new return has too, and none less"
    (end,) = [end for capture in captures for end in capture.ends if end.table == "MA_DETALLEPAGO"]
    assert end.since is not None
