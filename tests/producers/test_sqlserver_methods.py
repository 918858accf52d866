"""An agent's process on SQL Server by each method but the default, killed again and again while the shop sells."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from control.registry import NewSystem, add_system, add_tenant
from deploy.demo.stellar import SCHEMA, TABLES
from fluxion.postgres import APP, connect
from schemas.mapping import load
from tests.conftest import Cloud
from tests.producers.shipping import records_of
from tests.producers.sql_shop import SqlShop
from tests.producers.till import Till, until
from tests.support.sqlserver import Database

pytestmark = pytest.mark.processes

KILLS, SALES = 3, 4
Rows = dict[tuple[str | None, ...], dict[str, str | None]]


class MethodTill(Till):
    """An enrolled agent's folder, and the Stellar shop that it captures by `method`."""

    def __init__(self, cloud: Cloud, stellar: SqlShop, method: str, home: Path) -> None:
        self.cloud, self.stellar, self.home = cloud, stellar, home
        server = stellar.database.server
        self.environment = {**cloud.environment, "FLUXION_SOURCE_PASSWORD": server.password}
        place: dict[str, Any] = {
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "database": stellar.database.name,
            "options": {"method": method, **({"compare_s": "1"} if method == "rowversion" else {})},
        }
        with connect(cloud.stack.postgres, APP) as link:
            self.system_id = add_system(link, add_tenant(link, "T"), NewSystem("S", load("stellar"), place, {}))
        self.enrol()

    def sell(self, sale: int) -> None:
        """One sale of two lines, in one transaction."""
        line = (
            "INSERT INTO detalle_ventas (venta_id, codigo_producto, cantidad, precio_unitario) VALUES ({}, 'A1', 1, 5)"
        )
        self.stellar.run(
            "BEGIN TRAN",
            "INSERT INTO ventas (numero_factura, fecha_venta, subtotal, iva, total, forma_pago)"
            f" VALUES ('F{sale}', GETDATE(), 10, 1.6, 11.6, N'EFECTIVO')",
            *([line.format(sale)] * 2),
            "COMMIT",
        )

    def told(self) -> Rows:
        """What is known of the shop by what the topic has, in the order of versions."""
        rows = [
            (row.version or 0, row.op, record.layouts[row.layout], row.values)
            for record in records_of(self.cloud, self.system_id)
            for row in record.rows
        ]
        known: Rows = {}
        for _, op, layout, values in sorted(rows, key=lambda row: row[0]):
            by_name = dict(zip((column.name for column in layout.columns), values, strict=True))
            key = (layout.table, *(by_name[name] for name in layout.key))
            if op == "d":
                known.pop(key, None)
            else:
                known.setdefault(key, {}).update(by_name)
        return known

    def wait_for_more_than(self, rows: int) -> None:
        until(lambda: len(self.told()) > rows, "it tells something")

    def there(self) -> Rows:
        """What the shop's tables hold."""
        found: Rows = {}
        for capture in self.stellar.source(*TABLES).resnapshot(None, frozenset(TABLES), {}):
            for row in capture.rows:
                layout = capture.layouts[row.layout]
                by_name = dict(zip((column.name for column in layout.columns), row.values, strict=True))
                found[(layout.table, *(by_name[name] for name in layout.key))] = by_name
        return found


@pytest.fixture(params=["cdc", "rowversion"])
def till(request: pytest.FixtureRequest, cloud: Cloud, mssql: Database, tmp_path: Path) -> Iterator[MethodTill]:
    stellar = SqlShop(mssql)
    stellar.run(*(part for part in SCHEMA.split(";") if part.strip()))
    stellar.run(
        "INSERT INTO categorias VALUES (1, N'Víveres')", "INSERT INTO productos VALUES ('A1', N'a', 5, 9, NULL, 1, 1)"
    )
    if request.param == "cdc":
        stellar.capture(*TABLES)
    else:
        stellar.run(*(f"ALTER TABLE dbo.{table} ADD fluxion_rv rowversion" for table in TABLES))
    try:
        yield MethodTill(cloud, stellar, request.param, tmp_path / "agent")
    finally:
        stellar.close()


def test_what_an_agent_told_between_kills_is_what_the_shop_holds(till: MethodTill) -> None:
    number = 0
    for _ in range(KILLS):
        with till.running():
            known = len(till.told())
            for _ in range(SALES):
                number += 1
                till.sell(number)
            till.wait_for_more_than(known)
            till.stellar.run(f"UPDATE productos SET precio_venta = precio_venta + {number}")
        # (killed, as the block ends)
        till.stellar.run(
            f"DELETE FROM detalle_ventas WHERE venta_id = {number}", f"DELETE FROM ventas WHERE id = {number}"
        )
    with till.running(), suppress(AssertionError):
        until(lambda: till.told() == till.there(), "all is told")
    assert till.told() == till.there()
    assert len({key for key in till.there() if key[0] == "ventas"}) == KILLS * (SALES - 1)
