"""An agent's process on a Stellar shop: killed at chosen moments, and its password changed while it streams."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from control.registry import NewSystem, add_system, add_tenant
from deploy.demo.line import Line
from deploy.demo.stellar import SCHEMA, TABLES
from fluxion.clock import SystemClock
from fluxion.postgres import APP, connect
from producers.home import JOURNAL
from producers.standing import read_again
from schemas.mapping import load
from schemas.status import Status
from tests.conftest import Cloud
from tests.producers.shipping import records_of
from tests.producers.sql_shop import SqlShop
from tests.producers.till import Till, statuses_of, until
from tests.support import sqlserver as sql_servers
from tests.support.local import free_base_port
from tests.support.tds.run import Standin, running

pytestmark = pytest.mark.processes

NO_KAFKA = "127.0.0.1:1"


class StellarTill(Till):
    """An enrolled agent's folder, and the Stellar shop that it captures by way of a line, under a login of its own."""

    def __init__(self, cloud: Cloud, stellar: SqlShop, log: Path, line: Line, port: int, home: Path) -> None:
        self.cloud, self.stellar, self.line, self.home = cloud, stellar, line, home
        self._log = log
        self.user = stellar.database.name  # nobody else's
        stellar.run(
            f"CREATE LOGIN [{self.user}] WITH PASSWORD = N'uno'", f"CREATE USER [{self.user}] FOR LOGIN [{self.user}]"
        )
        self.environment = {**cloud.environment, "FLUXION_SOURCE_PASSWORD": "uno"}
        place = {"host": "127.0.0.1", "port": port, "user": self.user, "database": stellar.database.name}
        with connect(cloud.stack.postgres, APP) as link:
            self.system_id = add_system(link, add_tenant(link, "T"), NewSystem("S", load("stellar"), place, {}))
        self.enrol()

    def sell(self, sale: int) -> None:
        """One sale of two lines, in one transaction."""
        line = (
            "INSERT INTO detalle_ventas (venta_id, codigo_producto, cantidad, precio_unitario) VALUES ({}, 'A{}', 1, 5)"
        )
        self.stellar.run(
            "BEGIN TRAN",
            "INSERT INTO ventas (numero_factura, fecha_venta, subtotal, iva, total, forma_pago)"
            f" VALUES ('F{sale}', GETDATE(), 10, 1.6, 11.6, N'EFECTIVO')",
            *(line.format(sale, product) for product in (1, 2)),
            "COMMIT",
        )

    def wait_until_current(self) -> None:
        """Until the agent streams, and has read and shipped everything that the shop committed before this call."""
        ((last,),) = self.stellar.run("SELECT CHANGE_TRACKING_CURRENT_VERSION()")

        def is_current() -> bool:
            status = self.standing()
            reached = json.loads(str(status["position"] or "{}")).get("version", -1)
            return status["doing"] == "streaming" and reached >= last and not status["unshipped"]

        until(is_current, "the agent is current")

    @contextmanager
    def unable_to_store(self) -> Iterator[None]:
        """Somebody else holds the journal in the block."""
        with closing(sqlite3.connect(self.home / JOURNAL, isolation_level=None)) as other:
            other.execute("begin immediate")
            yield
            other.execute("rollback")

    @contextmanager
    def read_whole(self) -> Iterator[None]:
        """When the block is left, changes were read by a poll that began in it, up to the end of that poll."""
        before = len(self._log.read_text())

        def is_read() -> bool:
            return "COMMIT TRANSACTION" in self._log.read_text()[before:].partition("CHANGETABLE(CHANGES")[2]

        yield
        until(is_read, "the changes are read")


@pytest.fixture(scope="module")
def server(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    """A stand-in that writes down every statement: so a test sees what the agent has read."""
    postgres = sql_servers.superuser(cloud.stack.postgres)
    folder = tmp_path_factory.mktemp("sqlserver")
    with running(postgres, folder, databases=(), options=["--verbose"]) as standin:
        yield standin


@pytest.fixture
def till(cloud: Cloud, server: Standin, tmp_path: Path) -> Iterator[StellarTill]:
    port = free_base_port()
    line = Line(port, server.port)
    line.open()
    with sql_servers.database(server) as database:
        stellar = SqlShop(database)
        try:
            stellar.run(*(part for part in SCHEMA.split(";") if part.strip()))
            stellar.track(*TABLES)
            stellar.run("INSERT INTO categorias VALUES (1, N'Víveres')")
            stellar.run(*(f"INSERT INTO productos VALUES ('A{n}', N'a', 5, 9, NULL, 1, 1)" for n in range(1, 6)))
            yield StellarTill(cloud, stellar, server.log, line, port, tmp_path / "agent")
        finally:
            stellar.close()
            line.close()


def everything_once(till: StellarTill) -> None:
    """Demand that the journal took each row of the shop once, and the topic each row and each sequence once."""
    key_of = {"productos": "codigo"}
    there = {
        (table, str(key))
        for table in TABLES
        for (key,) in till.stellar.run(f"SELECT {key_of.get(table, 'id')} FROM {table}")
    }
    records = records_of(till.cloud, till.system_id)
    brought = Counter(
        (layout.table, str(row.values[[column.name for column in layout.columns].index(layout.key[0])]))
        for record in records
        for row in record.rows
        for layout in [record.layouts[row.layout]]
    )
    assert brought == Counter(there)
    assert till.standing()["rows"] == len(there)
    sequences = [record.sequence for record in records]
    assert sequences == sorted(set(sequences))


# Killed --------------------------------------------------------------------------------------------------------------


def test_killed_between_read_and_journal_it_reads_the_same_again(till: StellarTill) -> None:
    with till.running() as agent:
        till.wait_until_current()
        before = till.standing()
        with till.unable_to_store():
            with till.read_whole():
                till.sell(1)
            agent.kill()
            agent.wait()
    assert (till.standing()["rows"], till.standing()["sequence"]) == (before["rows"], before["sequence"])
    with till.running():
        till.wait_until_current()
    everything_once(till)


def test_killed_between_journal_and_ship_it_ships_what_the_journal_has(till: StellarTill) -> None:
    till.environment["FLUXION_KAFKA"] = NO_KAFKA
    with till.running() as agent:
        until(lambda: till.standing()["doing"] == "streaming", "the shop is captured")
        till.sell(1)
        until(lambda: till.standing()["rows"] == 6 + 3, "the sale is captured")
        agent.kill()
        agent.wait()
    assert till.standing()["acknowledged"] == 0
    assert records_of(till.cloud, till.system_id) == []
    till.environment["FLUXION_KAFKA"] = till.cloud.stack.kafka
    with till.running():
        till.wait_until_current()
        till.sell(2)
        till.wait_until_current()
    everything_once(till)


# The password --------------------------------------------------------------------------------------------------------


def test_a_password_that_is_changed_on_a_running_server_is_told_and_nothing_is_lost(
    till: StellarTill, capfd: pytest.CaptureFixture[str]
) -> None:
    """Who is connected stays so; the next login is refused, and a person has to give the new password."""
    with till.running() as agent:
        till.wait_until_current()
        till.stellar.run(f"ALTER LOGIN [{till.user}] WITH PASSWORD = N'dos'")
        till.sell(1)
        till.wait_until_current()
        till.line.cut()
        till.line.mend()
        assert agent.wait(20) == 78
    demand_clear_words(till, capfd.readouterr().err)
    stored = till.standing()
    till.sell(2)
    again = till.fluxion("agent", "run", "--home", str(till.home), check=False)
    assert again.returncode == 78
    demand_clear_words(till, again.stderr)
    assert [till.standing()[name] for name in ("rows", "position")] == [stored["rows"], stored["position"]]
    assert till.standing()["reason"] == f"{refusal(till).message}; {refusal(till).mend}"
    till.environment["FLUXION_SOURCE_PASSWORD"] = "dos"
    with till.running():
        till.wait_until_current()
        until(lambda: told(till, "source")[-1] == "source_recovered", "it takes back what the process before it said")
    assert till.standing()["reason"] is None
    everything_once(till)
    assert told(till, "job_f") == ["job_finished"], "nothing was read anew"


def demand_clear_words(till: StellarTill, said: str) -> None:
    """The last line, and the status event, name the login and where its password is set; never the password."""
    last = said.strip().splitlines()[-1]
    assert last.startswith("fluxion: SQL Server at 127.0.0.1:")
    assert f"refuses the login '{till.user}'" in last
    assert "FLUXION_SOURCE_PASSWORD" in last
    assert "Traceback" not in said
    assert "uno" not in said
    assert last == f"fluxion: {refusal(till).message}; {refusal(till).mend}"


def told(till: StellarTill, kinds: str) -> list[str]:
    """The kinds of its status events that begin so."""
    return [event.kind for event in statuses_of(till) if event.kind.startswith(kinds)]


def refusal(till: StellarTill) -> Status:
    found = [event for event in statuses_of(till) if event.kind == "source_error" and event.code == "ACCESS_DENIED"]
    return found[-1]


def test_a_table_that_cannot_be_read_again_with_the_old_password_keeps_nobody_from_streaming(till: StellarTill) -> None:
    with till.running():
        till.wait_until_current()
        till.stellar.run(f"ALTER LOGIN [{till.user}] WITH PASSWORD = N'dos'")
        read_again(till.home, ["categorias"], SystemClock())
        until(lambda: told(till, "job_failed") != [], "it says so")
        assert {event.code for event in statuses_of(till) if event.kind == "job_failed"} == {"ACCESS_DENIED"}
        till.sell(1)
        till.wait_until_current()
    till.environment["FLUXION_SOURCE_PASSWORD"] = "dos"
    with till.running():
        until(lambda: till.standing()["job"] is None, "the table is read again")
        till.wait_until_current()
    assert told(till, "job_f") == ["job_finished", "job_failed", "job_finished"]
