"""What `check` finds, each with the statement that mends it; and which method is chosen, and why."""

import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from deploy.stack import Stack
from producers.home import AgentConfig, SourceSection, write_config
from producers.source import Fault
from producers.sources.sqlserver import SQLServerConfig, check, connection
from producers.sources.sqlserver.edition import Edition, choose
from tests.producers.sql_shop import SqlShop
from tests.support import local
from tests.support import sqlserver as sql_servers
from tests.support.tds.run import running

CONFIG = SQLServerConfig("caja", 1433, "cdc", "stellar", frozenset({"items"}))


def _faults(shop: SqlShop, *tables: str) -> dict[str, Fault]:
    return {fault.code: fault for fault in shop.source(*tables).check()}


def test_a_database_that_is_ready_has_no_fault_but_a_short_retention(own_sql_items: SqlShop) -> None:
    (fault,) = own_sql_items.source("items").check()
    assert (fault.code, fault.warning) == ("RETENTION", True)
    assert "2 days" in fault.message
    own_sql_items.run(fault.mend)
    assert own_sql_items.source("items").check() == []


def test_every_fault_comes_at_once_and_its_mend_mends_it(own_sql_shop: SqlShop) -> None:
    name = own_sql_shop.database.name
    own_sql_shop.run(
        f"ALTER DATABASE {name} SET CHANGE_TRACKING = OFF",
        f"ALTER DATABASE {name} SET ALLOW_SNAPSHOT_ISOLATION OFF",
        "CREATE TABLE dbo.items (id int primary key)",
        "CREATE TABLE dbo.heap (id int not null)",
    )
    faults = _faults(own_sql_shop, "items", "heap", "missing")
    assert set(faults) == {
        "CHANGE_TRACKING_OFF", "SNAPSHOT_ISOLATION_OFF", "TABLE_NOT_TRACKED", "NO_PRIMARY_KEY", "TABLE_MISSING",
    }  # fmt: skip
    assert "heap" in faults["NO_PRIMARY_KEY"].message
    assert "missing" in faults["TABLE_MISSING"].message
    for code in ("CHANGE_TRACKING_OFF", "SNAPSHOT_ISOLATION_OFF"):
        own_sql_shop.run(faults[code].mend)
    own_sql_shop.run(_faults(own_sql_shop, "items")["TABLE_NOT_TRACKED"].mend)
    assert own_sql_shop.source("items").check() == []


def test_a_login_that_is_refused_is_the_only_fault(sql_items: SqlShop) -> None:
    (fault,) = sql_items.source("items", password="mala").check()
    assert (fault.code, fault.warning) == ("ACCESS_DENIED", False)
    (fault,) = sql_items.source("items", database="nada").check()
    assert fault.code == "SOURCE_NOT_READY"


def test_a_server_that_is_away_is_told_within_ten_seconds(sql_items: SqlShop) -> None:
    begun = time.monotonic()
    (fault,) = sql_items.source("items", port=1).check()
    assert fault.code == "DEPENDENCY_DOWN"
    assert time.monotonic() - begun < 10


def test_a_server_that_says_nothing_is_told_within_ten_seconds(
    sql_items: SqlShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check.CHECK_S + check.QUESTION_S + connection.MARGIN_S < 10
    monkeypatch.setattr(check, "QUESTION_S", 1)
    monkeypatch.setattr(connection, "MARGIN_S", 0.2)
    begun = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (fault,) = sql_items.source("items", port=silent.getsockname()[1]).check()
    assert fault.code == "DEPENDENCY_DOWN"
    assert time.monotonic() - begun < 3


def test_a_check_leaves_nothing_behind(sql_items: SqlShop) -> None:
    start = sql_items.now("items")
    with closing(sql_items.link()) as register:
        register.execute("BEGIN TRANSACTION")
        register.execute("UPDATE items SET price = 2 WHERE id = 1")
        assert [fault.code for fault in sql_items.source("items").check()] == ["RETENTION"]
        register.execute("ROLLBACK")
    assert sql_items.now("items") == start


def test_the_catalogue_tells_columns_and_keys(sql_items: SqlShop) -> None:
    sql_items.run("CREATE TABLE dbo.heap (texto nvarchar(9))")
    found = sql_items.source("items").catalogue()
    assert (found["items"].columns, found["items"].key) == (("id", "name", "price"), ("id",))
    assert (found["heap"].columns, found["heap"].key) == (("texto",), ())


# The method ----------------------------------------------------------------------------------------------------------


def test_agent_check_captures_express_by_change_tracking_and_says_why(stack: Stack, tmp_path: Path) -> None:
    dsn = sql_servers.superuser(stack.postgres)
    with running(dsn, tmp_path, edition="express", databases=("stellar_db",)) as server:
        with closing(server.connect("stellar_db")) as link:
            link.execute("ALTER DATABASE stellar_db SET ALLOW_SNAPSHOT_ISOLATION ON")
            link.execute("ALTER DATABASE stellar_db SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 7 DAYS)")
            link.execute("CREATE TABLE ventas (id int PRIMARY KEY)")
            link.execute("ALTER TABLE ventas ENABLE CHANGE_TRACKING")
        source = SourceSection(
            kind="sqlserver", host=server.host, port=server.port, user=server.user, database="stellar_db",
            tables=["ventas"],
        )  # fmt: skip
        write_config(tmp_path, AgentConfig(system_id="s", epoch=1, source=source))
        said = local.fluxion(
            *("agent", "check", "--home", str(tmp_path)), environment={"FLUXION_SOURCE_PASSWORD": server.password}
        ).stdout
    assert "stellar_db can be captured by change tracking: " in said
    assert "Express" in said
    assert "has no Change Data Capture, while every edition has Change Tracking: ventas" in said


@pytest.mark.parametrize(
    ("engine", "version", "has_cdc"),
    [
        (4, (15, 0, 2000, 5), False),
        (2, (11, 0, 7001, 0), False),
        (2, (13, 0, 1601, 5), False),
        (2, (13, 0, 4001, 0), True),
        (2, (16, 0, 1000, 6), True),
        (3, (11, 0, 2100, 60), True),
    ],
)
def test_change_data_capture_is_where_microsoft_sells_it(engine: int, version: tuple[int, ...], has_cdc: bool) -> None:  # noqa: FBT001 -- a parameter
    edition = Edition("Some Edition", engine, version)
    assert edition.has_cdc is has_cdc
    choice = choose(CONFIG, edition)
    assert choice.method == "change_tracking"
    assert ("has no Change Data Capture" in choice.reason) is not has_cdc
    assert "Some Edition" in choice.reason


def test_a_method_that_is_set_is_taken() -> None:
    config = SQLServerConfig("caja", 1433, "cdc", "stellar", frozenset(), method="change_tracking")
    assert choose(config, Edition("Some Edition", 3, (15, 0))).reason == "it is set as the method"


def test_an_edition_has_the_name_that_people_use() -> None:
    assert Edition("Express Edition (64-bit)", 4, (11, 0, 7001, 0)).title == "SQL Server 2012 Express Edition (64-bit)"
    assert Edition("Other", 3, (99, 1)).title == "SQL Server 99.1 Other"
