"""`fluxion system check` and `fluxion mapping` on a SQL Server: a key that is not told when its row is deleted."""

from pathlib import Path

import pytest

from deploy.demo.stellar import SCHEMA
from fluxion.postgres import STAGE, connect
from fluxion.registry import load_system
from tests.conftest import Cloud
from tests.control.preparing import new_system
from tests.support import local
from tests.support.sqlserver import Database

LINES = "sale: {lines: {key: [venta_id, codigo_producto]}}\n"
TICKETS = "sale: {key: numero_factura}\n"
REFUSED = "sale.lines.key: venta_id, codigo_producto are no columns of the primary key of 'detalle_ventas' (id)"


class Shop:
    """A Stellar database, and its systems in the registry."""

    def __init__(self, cloud: Cloud, database: Database, folder: Path) -> None:
        self._cloud, self._database, self._folder = cloud, database, folder
        database.run(*(part for part in SCHEMA.split(";") if part.strip()))
        for table in ("categorias", "productos", "ventas", "detalle_ventas"):
            database.run(f"ALTER TABLE {table} ENABLE CHANGE_TRACKING")

    def system(self, template: str = "stellar", *words: str) -> str:
        server = self._database.server
        place = ("--host", server.host, "--port", str(server.port), "--user", server.user)
        return new_system(self._cloud, template, *place, "--database", self._database.name, *words)

    def own(self, text: str) -> str:
        path = self._folder / "own.yaml"
        path.write_text(f"template: own\nversion: 1\nextends: stellar@1\n{text}", encoding="utf-8")
        return str(path)

    def run(self, *words: str) -> tuple[int, str]:
        password = {"FLUXION_SOURCE_PASSWORD": self._database.server.password}
        done = local.fluxion(*words, environment={**self._cloud.environment, **password}, check=False)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    def revision(self, system: str) -> int:
        with connect(self._cloud.stack.postgres, STAGE) as link:
            return load_system(link, system).mapping_revision


@pytest.fixture
def shop(cloud: Cloud, mssql: Database, tmp_path: Path) -> Shop:
    return Shop(cloud, mssql, tmp_path)


def test_the_template_of_the_database_fits_and_a_warning_of_the_source_is_no_fault(shop: Shop) -> None:
    code, said = shop.run("system", "check", shop.system())
    assert code == 0
    assert said.startswith("warning: changes are kept for 2 days")
    assert "the template fits its database" in said


def test_the_method_is_the_systems_or_the_one_that_is_asked_for(shop: Shop) -> None:
    system = shop.system("stellar", "--method", "cdc")
    code, said = shop.run("system", "check", system)
    assert (code, "Change Data Capture is off" in said) == (1, True)
    code, said = shop.run("system", "check", system, "--method", "rowversion")
    assert (code, "ADD [fluxion_rv] rowversion" in said) == (1, True)
    assert shop.run("system", "check", system, "--method", "change_tracking")[0] == 0
    own = ("--user", "fluxion")
    assert "sp_cdc_enable_db" in shop.run("system", "prepare", shop.system("stellar", "--method", "cdc", *own))[1]
    _, other = shop.run("system", "prepare", shop.system("stellar", *own), "--method", "cdc")
    assert other.rstrip().endswith('method = "cdc"')


def test_lines_by_a_key_that_is_not_told_are_refused_by_the_check_and_not_saved(shop: Shop) -> None:
    code, said = shop.run("system", "check", shop.system(shop.own(LINES)))
    assert code == 1
    assert REFUSED in said
    system = shop.system()
    code, said = shop.run("mapping", "save", system, shop.own(LINES))
    assert code == 1
    assert REFUSED in said
    assert "say `key: {primary: true}`" in said
    assert shop.revision(system) == 1


def test_a_ticket_by_such_a_key_is_warned_of_and_can_be_saved(shop: Shop) -> None:
    warning = "warning: sale.key: numero_factura is no column of the primary key of 'ventas' (id)"
    system = shop.system()
    code, said = shop.run("mapping", "save", system, shop.own(TICKETS))
    assert code == 0
    assert said.startswith(warning)
    assert shop.revision(system) == 2
    code, said = shop.run("system", "check", system)
    assert code == 0
    assert warning in said
    code, said = shop.run("mapping", "test", system, "--table", "ventas")
    assert code == 0
    assert said.startswith(warning)
