"""Connections: who may enter, time-outs, many at once, and what a restart of the server does."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pyodbc
import pytest

from tests.support import sqlserver as sql_servers
from tests.support.sqlserver import Database, Server
from tests.support.tds.run import Standin
from tests.support.tds.run import connect as connect_by
from tests.tds.asking import Connect, refused, rows, value

LINE = "CREATE TABLE dbo.renglones (id int PRIMARY KEY, n int NOT NULL); INSERT INTO dbo.renglones VALUES (1, 0)"
ADD = "UPDATE dbo.renglones SET n = n + 1"
WRITERS = 40  # more than a thread pool has threads unless it is told to
GONE = {"08S01", "01000", "HY000"}


@pytest.fixture
def standin(sqlserver: Server) -> Iterator[Standin]:
    """The session's stand-in, up again after the test."""
    if not isinstance(sqlserver, Standin):
        pytest.skip("a real SQL Server is not ours to stop")
    yield sqlserver
    if not sqlserver.is_up():
        sqlserver.start()


def test_a_wrong_password_and_an_unknown_database_are_refused(standin: Standin) -> None:
    with refused(4060):
        standin.connect("nada_db")
    with refused(18456):
        standin.connect_as("sa", "mala", "master")


def test_a_driver_may_demand_encryption(standin: Standin) -> None:
    words = {"SERVER": standin.host, "PORT": standin.port, "UID": standin.user, "PWD": standin.password}
    text = "DRIVER={FreeTDS};TDS_Version=7.4;" + ";".join(f"{key}={word}" for key, word in words.items())
    for encryption in ("require", "off"):
        with closing(connect_by(f"{text};Encryption={encryption}")) as link:
            assert value(link, "SELECT 1") == 1


def test_a_dropped_database_takes_its_connections_along(standin: Standin) -> None:
    with sql_servers.database(standin) as database:
        link = database.connect()
        link.execute("BEGIN TRAN")
    with pytest.raises(pyodbc.Error):
        rows(link, "SELECT 1")


def test_a_login_needs_its_password_and_a_user_in_the_database(standin: Standin, mssql: Database) -> None:
    login = mssql.name  # nobody else's
    mssql.run(f"IF SUSER_ID('{login}') IS NULL CREATE LOGIN [{login}] WITH PASSWORD = N'uno', CHECK_POLICY = ON")
    with refused(15025):
        mssql.run(f"CREATE LOGIN {login} WITH PASSWORD = 'otro'")
    with refused(4060):
        standin.connect_as(login, "uno", mssql.name)
    mssql.run(f"CREATE USER [{login}] FOR LOGIN [{login}]")
    link = standin.connect_as(login, "uno", mssql.name)
    assert value(link, "SELECT SUSER_SNAME()") == login
    mssql.run(f"ALTER LOGIN [{login}] WITH PASSWORD = N'dos'")
    with refused(18456):
        standin.connect_as(login, "uno", mssql.name)
    assert value(link, "SELECT 1") == 1  # who is connected stays so
    standin.connect_as(login, "dos", mssql.name).close()
    mssql.run(f"DROP USER IF EXISTS [{login}]", f"DROP LOGIN [{login}]")
    assert mssql.run(f"SELECT COUNT(*) FROM sys.server_principals WHERE name = '{login}'") == [(0,)]
    with refused(15151):
        mssql.run(f"DROP LOGIN [{login}]")


def test_databases_know_nothing_of_one_another(connect: Connect, mssql: Database, shop: Database) -> None:
    link = mssql.connect()
    assert value(link, "SELECT OBJECT_ID('dbo.ventas')") is None
    assert {shop.name, mssql.name, "master"} <= {row[0] for row in rows(link, "SELECT name FROM sys.databases")}
    other = connect()
    other.execute(f"USE {mssql.name}")
    assert value(other, "SELECT DB_NAME()") == mssql.name


@pytest.mark.parametrize("statement", ["WAITFOR DELAY '00:00:20'", ADD])  # ADD waits for a lock
def test_a_query_that_takes_too_long_leaves_the_connection_usable(mssql: Database, statement: str) -> None:
    mssql.run(LINE)
    holder, link = mssql.connect(), mssql.connect()
    holder.execute("BEGIN TRAN " + ADD)
    link.timeout = 1
    with pytest.raises(pyodbc.OperationalError) as caught:
        link.execute(statement)
    assert caught.value.args[0] == "HYT00"
    assert value(link, "SELECT 1") == 1


def test_blocked_statements_stop_nobody_else(mssql: Database) -> None:
    mssql.run(LINE)
    holder, others = mssql.connect(), [mssql.connect() for _ in range(WRITERS)]
    holder.execute("BEGIN TRAN; " + ADD)
    threads = [threading.Thread(target=link.execute, args=(ADD,)) for link in others]
    for thread in threads:
        thread.start()
    time.sleep(0.3)  # so that they wait for the lock; the assertions hold without it
    assert mssql.run("SELECT 1") == [(1,)]
    holder.execute("COMMIT")
    for thread in threads:
        thread.join(30)
    assert mssql.run("SELECT n FROM dbo.renglones") == [(WRITERS + 1,)]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_data_and_versions_outlive_a_restart_and_connections_do_not(
    standin: Standin, mssql: Database, how: str
) -> None:
    mssql.run(LINE, "ALTER TABLE dbo.renglones ENABLE CHANGE_TRACKING", ADD)
    link = mssql.connect()
    link.execute("BEGIN TRAN " + ADD)
    port = standin.port
    if how == "stop":
        assert standin.stop() == 0
    else:
        standin.kill()
    with pytest.raises(pyodbc.Error) as caught:
        rows(link, "SELECT 1")
    assert caught.value.args[0] in GONE
    standin.start()
    assert standin.port == port
    assert mssql.run("SELECT n, CHANGE_TRACKING_CURRENT_VERSION() FROM dbo.renglones") == [(1, 1)]


def test_a_frozen_server_says_nothing_and_goes_on_when_it_thaws(standin: Standin, mssql: Database) -> None:
    mssql.run(LINE)
    link = mssql.connect()
    standin.freeze()
    try:
        threading.Timer(0.5, standin.thaw).start()
        started = time.monotonic()
        assert rows(link, "SELECT n FROM dbo.renglones") == [(0,)]
        assert time.monotonic() - started > 0.4
    finally:
        standin.thaw()
