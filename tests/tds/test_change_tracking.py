"""Change tracking, read the way a source polls it."""

import threading
import time
from decimal import Decimal

import pyodbc
import pytest

from tests.support.sqlserver import Database
from tests.tds.asking import Connect, column, refused, rows, value
from tests.tds.pos import TRACKED, ExpiredError, Tracking, sell

CURRENT = "SELECT CHANGE_TRACKING_CURRENT_VERSION()"
LOWEST = "SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('dbo.ventas'))"
SALES = "CREATE TABLE dbo.ventas (venta_id int PRIMARY KEY, folio varchar(9)); ALTER TABLE dbo.ventas ENABLE CHANGE_TRACKING"


def test_the_catalogue_shows_what_is_tracked(connect: Connect, shop: Database) -> None:
    link = connect()
    of_this = f"WHERE database_id = DB_ID('{shop.name.upper()}')"
    assert rows(
        link,
        "SELECT retention_period, retention_period_units_desc, is_auto_cleanup_on "
        f"FROM sys.change_tracking_databases {of_this}",
    ) == [(2, "DAYS", True)]
    names = (
        "SELECT t.name FROM sys.change_tracking_tables c JOIN sys.tables t ON t.object_id = c.object_id ORDER BY t.name"
    )
    assert column(link, names) == list(TRACKED)


def test_what_cannot_be_tracked_is_refused_by_number(connect: Connect, shop: Database) -> None:
    link = connect()
    with refused(5088):
        link.execute(f"ALTER DATABASE {shop.name} SET CHANGE_TRACKING = ON")
    with refused(4996):
        link.execute("ALTER TABLE dbo.ventas ENABLE CHANGE_TRACKING")
    with refused(4997):
        link.execute("ALTER TABLE dbo.bitacora ENABLE CHANGE_TRACKING")
    with refused(22105):
        rows(link, "SELECT * FROM CHANGETABLE(CHANGES dbo.bitacora, 0) AS ct")


def test_a_database_without_tracking_and_snapshots_says_so(mssql: Database) -> None:
    mssql.run(f"ALTER DATABASE {mssql.name} SET CHANGE_TRACKING = OFF")
    mssql.run(f"ALTER DATABASE {mssql.name} SET ALLOW_SNAPSHOT_ISOLATION OFF")
    mssql.run("CREATE TABLE dbo.clientes (id int PRIMARY KEY)")
    assert mssql.run(CURRENT) == [(None,)]
    with refused(1718):
        mssql.run("ALTER TABLE dbo.clientes ENABLE CHANGE_TRACKING")
    with refused(5089):
        mssql.run(f"ALTER DATABASE {mssql.name} SET CHANGE_TRACKING (CHANGE_RETENTION = 1 HOURS)")
    with refused(3952):
        mssql.run("SET TRANSACTION ISOLATION LEVEL SNAPSHOT SELECT * FROM dbo.clientes")


def test_each_poll_brings_what_happened_since_the_last(connect: Connect) -> None:
    link, reader = connect(), Tracking(connect())
    sell(link, 101)
    assert reader.poll() == [("I", 101, "F")]
    link.execute("UPDATE dbo.ventas SET folio = 'G' WHERE venta_id = 101")
    assert reader.poll() == [("U", 101, "G")]
    link.execute("DELETE FROM dbo.ventas WHERE venta_id = 101")
    assert reader.poll() == [("D", 101, None)]
    assert reader.poll() == []


def test_changes_are_net(connect: Connect) -> None:
    link, reader = connect(), Tracking(connect())
    sell(link, 111)
    sell(link, 112)
    link.execute("UPDATE dbo.ventas SET folio = 'N' WHERE venta_id = 111; DELETE FROM dbo.ventas WHERE venta_id = 112")
    assert reader.poll() == [("I", 111, "N"), ("D", 112, None)]


def test_a_version_is_a_transaction_that_changed_something(connect: Connect) -> None:
    link = connect()
    start = value(link, CURRENT)
    for sale in range(121, 126):
        sell(link, sale)
        assert value(link, CURRENT) == start + sale - 120
    link.execute("INSERT INTO dbo.bitacora VALUES (N'sin seguimiento')")
    link.execute("UPDATE dbo.ventas SET folio = 'X' WHERE venta_id = -1")
    assert value(link, CURRENT) == start + 5
    link.execute(
        "BEGIN TRAN; UPDATE dbo.ventas SET folio = 'X' WHERE venta_id IN (121, 125); "
        "DELETE FROM dbo.ventas WHERE venta_id = 125; COMMIT"
    )
    assert value(link, CURRENT) == start + 6
    versions = "SELECT SYS_CHANGE_VERSION FROM CHANGETABLE(CHANGES dbo.ventas, ?) AS ct"
    assert set(column(link, versions, start + 5)) == {start + 6}


def test_what_is_rolled_back_is_never_seen(connect: Connect) -> None:
    link, reader = connect(), Tracking(connect())
    link.execute("BEGIN TRAN")
    sell(link, 131)
    assert reader.poll() == []
    link.execute("ROLLBACK TRAN")
    assert reader.poll() == []
    link.execute("BEGIN TRAN")
    sell(link, 132)
    link.execute("SAVE TRAN punto")
    sell(link, 133)
    with refused(6401):
        link.execute("ROLLBACK TRAN otro")
    link.execute("ROLLBACK TRAN punto")
    link.execute("COMMIT")
    assert reader.poll() == [("I", 132, "F")]


def test_a_version_can_be_read_again(connect: Connect) -> None:
    link, reader = connect(), Tracking(connect())
    sell(link, 141)
    assert reader.poll() == [("I", 141, "F")]
    saved = reader.since
    sell(link, 142)
    link.execute("UPDATE dbo.ventas SET folio = 'R' WHERE venta_id = 141")
    for _ in range(2):
        assert Tracking(connect(), since=saved).poll() == [("I", 142, "F"), ("U", 141, "R")]


def test_a_changed_key_is_a_delete_and_an_insert(connect: Connect) -> None:
    link, reader = connect(), Tracking(connect())
    sell(link, 151)
    reader.poll()
    link.execute("UPDATE dbo.ventas SET venta_id = 159 WHERE venta_id = 151")
    assert reader.poll() == [("D", 151, None), ("I", 159, "F")]


def test_a_key_deleted_and_inserted_again_is_an_update(connect: Connect) -> None:
    link, reader = connect(), Tracking(connect())
    sell(link, 161)
    reader.poll()
    link.execute("DELETE FROM dbo.ventas WHERE venta_id = 161")
    sell(link, 161, "NUEVO")
    assert reader.poll() == [("U", 161, "NUEVO")]


def test_a_key_of_two_columns(connect: Connect) -> None:
    link = connect()
    reader = Tracking(connect(), "detalle_ventas", ("venta_id", "renglon"), ("cantidad",))
    for line in (1, 2):
        link.execute("INSERT INTO dbo.detalle_ventas VALUES (?, ?, 1, 2.5, 10.25)", 170, line)
    link.execute("UPDATE dbo.detalle_ventas SET cantidad = cantidad + 1 WHERE venta_id = 170 AND renglon = 2")
    assert reader.poll() == [("I", 170, 1, Decimal("2.5")), ("I", 170, 2, Decimal("3.5"))]


def test_what_commits_after_the_snapshot_began_belongs_to_the_next_poll(connect: Connect) -> None:
    link, reader = connect(), Tracking(connect())
    sell(link, 181)

    def meanwhile() -> None:
        sell(link, 182)
        link.execute("UPDATE dbo.ventas SET folio = 'TARDE' WHERE venta_id = 181")

    assert reader.poll(meanwhile) == [("I", 181, "F")]
    assert reader.poll() == [("I", 182, "F"), ("U", 181, "TARDE")]


def test_snapshot_must_be_chosen_before_the_transaction(connect: Connect) -> None:
    link = connect()
    link.execute("BEGIN TRAN")
    link.execute("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
    with refused(3951):
        rows(link, "SELECT TOP 1 * FROM dbo.ventas")


def test_the_transaction_that_commits_last_has_the_later_version(connect: Connect) -> None:
    slow, quick, reader = connect(), connect(), Tracking(connect())
    slow.execute("BEGIN TRAN")
    sell(slow, 191)
    sell(quick, 192)
    assert reader.poll() == [("I", 192, "F")]
    slow.execute("COMMIT")
    assert reader.poll() == [("I", 191, "F")]


def test_a_version_older_than_the_retention_expires(mssql: Database) -> None:
    mssql.run(SALES)
    reader = Tracking(mssql.connect())
    old = reader.since
    mssql.run("INSERT INTO dbo.ventas VALUES (201, 'F')")
    mssql.advance_clock(minutes=4000)  # more than two days
    assert mssql.run(LOWEST) == [(old + 1,)]
    with pytest.raises(ExpiredError):
        reader.poll()
    fresh = Tracking(mssql.connect())
    mssql.run("INSERT INTO dbo.ventas VALUES (202, 'F')")
    assert fresh.poll() == [("I", 202, "F")]


def test_without_automatic_clean_up_only_the_procedure_forgets(mssql: Database) -> None:
    mssql.run(
        SALES, f"ALTER DATABASE {mssql.name} SET CHANGE_TRACKING (CHANGE_RETENTION = 5 MINUTES, AUTO_CLEANUP = OFF)"
    )
    mssql.run("INSERT INTO dbo.ventas VALUES (203, 'F')")
    reader = Tracking(mssql.connect())
    mssql.advance_clock(minutes=6)
    assert mssql.run(LOWEST) == [(0,)]
    mssql.run("EXEC sys.sp_flush_CT_internal_table_on_demand @TableToClean = 'dbo.ventas'")
    assert mssql.run(LOWEST) == [(reader.since,)]
    assert reader.poll() == []  # a version that is exactly the lowest is still good


def test_truncate_makes_older_versions_invalid(mssql: Database) -> None:
    mssql.run(SALES)
    reader = Tracking(mssql.connect())
    mssql.run("INSERT INTO dbo.ventas VALUES (1, 'a'), (2, 'b')")
    reader.poll()
    mssql.run("TRUNCATE TABLE dbo.ventas")
    with pytest.raises(ExpiredError):
        reader.poll()


def test_a_table_tracked_anew_has_a_new_lowest_version(mssql: Database) -> None:
    mssql.run(SALES, "INSERT INTO dbo.ventas VALUES (1, 'a')")
    reader = Tracking(mssql.connect())
    mssql.run(
        "INSERT INTO dbo.ventas VALUES (2, 'b')",
        "ALTER TABLE dbo.ventas DISABLE CHANGE_TRACKING",
        "INSERT INTO dbo.ventas VALUES (3, 'c')",
        "ALTER TABLE dbo.ventas ENABLE CHANGE_TRACKING",
    )
    with pytest.raises(ExpiredError):
        reader.poll()


def test_tracking_anew_makes_another_hidden_table(mssql: Database) -> None:
    log = "SELECT object_id FROM sys.internal_tables WHERE internal_type = 209 AND parent_object_id = OBJECT_ID('dbo.ventas')"
    mssql.run(SALES)
    before = mssql.run(log)
    mssql.run("ALTER TABLE dbo.ventas DISABLE CHANGE_TRACKING", "ALTER TABLE dbo.ventas ENABLE CHANGE_TRACKING")
    after = mssql.run(log)
    assert len(before) == len(after) == 1
    assert before != after


def test_a_new_column_is_no_change_of_a_row(mssql: Database) -> None:
    mssql.run(SALES, "INSERT INTO dbo.ventas VALUES (1, 'a')")
    reader = Tracking(mssql.connect(), columns=("folio", "zona"))
    mssql.run("ALTER TABLE dbo.ventas ADD zona nvarchar(20) NOT NULL DEFAULT N'norte'")
    assert reader.poll() == []
    mssql.run("UPDATE dbo.ventas SET zona = N'sur'")
    assert reader.poll() == [("U", 1, "a", "sur")]
    assert mssql.run("SELECT COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = 'Ventas'") == [(3,)]


def test_nothing_is_lost_or_twice_while_writers_commit_out_of_order(connect: Connect) -> None:
    reader, writers, failures = Tracking(connect()), [connect(autocommit=False) for _ in range(6)], []

    def write(number: int, link: pyodbc.Connection) -> None:
        try:
            for i in range(15):
                sell(link, 100_000 + number * 1000 + i)
                time.sleep(0.001 * (number + 1))
                link.commit()
        except pyodbc.Error as failure:
            failures.append(failure)

    threads = [threading.Thread(target=write, args=item) for item in enumerate(writers)]
    for thread in threads:
        thread.start()
    seen: list[int] = []
    while any(thread.is_alive() for thread in threads):
        seen += [sale for _, sale, _ in reader.poll()]
    seen += [sale for _, sale, _ in reader.poll()]
    assert failures == []
    assert sorted(seen) == [100_000 + number * 1000 + i for number in range(6) for i in range(15)]
