"""Change data capture, read by windows of LSNs."""

from datetime import date
from pathlib import Path

import pyodbc
import pytest

from deploy.stack import Stack
from tests.support import sqlserver as sql_servers
from tests.support.sqlserver import Database, Server
from tests.support.tds.run import Standin, running
from tests.tds.asking import Connect, column, refused, rows, value
from tests.tds.pos import CAPTURED, Capturing, ExpiredError, sell

LOTS = ("EXEC sys.sp_cdc_enable_db", "CREATE TABLE dbo.lotes (id int PRIMARY KEY, n varchar(10))")
ENABLE = "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'{}'"
ENABLE_LOTS = ENABLE.format("lotes") + ", @role_name = NULL, @capture_instance = N'{}'"


def test_express_has_change_tracking_and_no_cdc(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if sql_servers.real_server() is not None:
        pytest.skip("a real SQL Server has the edition that it has")
    stack: Stack = request.getfixturevalue("stack")
    pg = sql_servers.superuser(stack.postgres)
    with running(pg, tmp_path, edition="express", databases=()) as express, sql_servers.database(express) as database:
        with refused(22988, "This instance of SQL Server is the Express Edition (64-bit)."):
            database.run("EXEC sys.sp_cdc_enable_db")
        properties = "SELECT SERVERPROPERTY('Edition'), SERVERPROPERTY('EngineEdition')"
        assert database.run(properties) == [("Express Edition (64-bit)", 4)]
        assert database.run("SELECT CHANGE_TRACKING_CURRENT_VERSION()") == [(0,)]


def test_what_cannot_be_captured_is_refused_by_number(connect: Connect) -> None:
    link = connect()
    with refused(22931):
        link.execute(ENABLE.format("nada") + ", @role_name = NULL")
    with refused(22926):
        link.execute(ENABLE.format("ventas") + ", @role_name = NULL")
    with refused(201):
        link.execute(ENABLE.format("ventas"))
    with refused(4711):
        link.execute("TRUNCATE TABLE dbo.ventas")


def test_a_database_without_cdc_says_so(mssql: Database) -> None:
    with refused(22901):
        mssql.run(ENABLE.format("x") + ", @role_name = NULL")


@pytest.mark.parametrize(
    ("number", "function"),
    [
        (208, "cdc.fn_cdc_get_all_changes_dbo_nada(0x01, 0x02, N'all')"),
        (313, "cdc.fn_cdc_get_all_changes_dbo_ventas(NULL, NULL, N'all')"),
        (313, "cdc.fn_cdc_get_all_changes_dbo_ventas(0x01, sys.fn_cdc_get_max_lsn(), N'all')"),
    ],
)
def test_a_window_that_is_not_there_is_an_error(connect: Connect, number: int, function: str) -> None:
    with refused(number):
        rows(connect(), f"SELECT * FROM {function}")


def test_the_catalogue_shows_what_is_captured(connect: Connect, shop: Database) -> None:
    link = connect()
    assert value(link, f"SELECT is_cdc_enabled FROM sys.databases WHERE name = '{shop.name.upper()}'") is True
    assert value(link, "SELECT is_cdc_enabled FROM sys.databases WHERE name = 'master'") is False
    assert column(link, "SELECT name FROM sys.tables WHERE is_tracked_by_cdc = 1 ORDER BY name") == list(CAPTURED)
    assert len(rows(link, "EXEC sys.sp_cdc_help_change_data_capture")) == 2
    captured = (
        "SELECT column_name FROM cdc.captured_columns c JOIN cdc.change_tables t ON t.object_id = c.object_id "
        "WHERE t.capture_instance = ? ORDER BY column_ordinal"
    )
    assert column(link, captured, "dbo_ventas")[:3] == ["venta_id", "folio", "fecha"]
    assert bytes(value(link, "SELECT sys.fn_cdc_get_min_lsn('dbo_nada')")) == bytes(10)


def test_an_update_has_both_images(connect: Connect) -> None:
    link, reader = connect(), Capturing(connect())
    sell(link, 501)
    link.execute("UPDATE dbo.ventas SET folio = 'G' WHERE venta_id = 501")
    link.execute("DELETE FROM dbo.ventas WHERE venta_id = 501")
    found = reader.wait_for(4)
    assert [row[2:] for row in found] == [(2, 501, "F"), (3, 501, "F"), (4, 501, "G"), (1, 501, "G")]
    lsns = [bytes(row[0]) for row in found]
    assert lsns == sorted(lsns)
    assert (len(set(lsns)), len(lsns[0])) == (3, 10)
    assert found[1][1] == found[2][1]  # both images share the sequence value
    plain = "SELECT __$operation FROM cdc.fn_cdc_get_all_changes_dbo_ventas(?, ?, N'all')"
    window = (pyodbc.Binary(lsns[0]), pyodbc.Binary(lsns[-1]))
    assert sorted(column(reader.link, plain, *window)) == [1, 2, 4]  # 'all' leaves the image before out


def test_a_transaction_is_one_lsn_with_the_time_of_its_commit(connect: Connect) -> None:
    link, reader = connect(), Capturing(connect())
    link.execute("BEGIN TRAN")
    for sale in (511, 512, 513):
        sell(link, sale)
    assert reader.poll() == []
    link.execute("COMMIT")
    found = reader.wait_for(3)
    assert [row[3] for row in found] == [511, 512, 513]  # __$seqval keeps the order inside
    assert len({bytes(row[0]) for row in found}) == 1
    known = "SELECT COUNT(*) FROM cdc.lsn_time_mapping WHERE start_lsn = ? AND tran_end_time <= GETDATE()"
    assert value(link, known, pyodbc.Binary(bytes(found[0][0]))) == 1
    newest = "SELECT sys.fn_cdc_map_time_to_lsn('largest less than or equal', GETDATE()), sys.fn_cdc_get_max_lsn()"
    mapped, highest = rows(link, newest)[0]
    assert bytes(mapped) == bytes(highest)


def test_what_is_rolled_back_is_never_captured(connect: Connect) -> None:
    link, reader = connect(), Capturing(connect())
    link.execute("BEGIN TRAN")
    sell(link, 521)
    link.execute("UPDATE dbo.ventas SET folio = 'Z' WHERE venta_id = 521; ROLLBACK")
    sell(link, 522)
    assert reader.changes(1) == [(2, 522, "F")]


def test_a_reader_goes_on_from_the_lsn_that_it_saved(connect: Connect) -> None:
    link, reader = connect(), Capturing(connect())
    sell(link, 531)
    assert reader.changes(1) == [(2, 531, "F")]
    sell(link, 532)
    again = Capturing(connect(), saved=reader.saved)
    assert again.changes(1) == [(2, 532, "F")]
    assert again.poll() == []
    beyond = "SELECT * FROM cdc.fn_cdc_get_all_changes_dbo_ventas(sys.fn_cdc_increment_lsn(?), ?, N'all')"
    with refused(313):  # with nothing new the window is empty, which is an error
        rows(again.link, beyond, pyodbc.Binary(again.saved), pyodbc.Binary(again.saved))


def test_a_changed_key_is_a_delete_and_an_insert(connect: Connect) -> None:
    link, reader = connect(), Capturing(connect())
    sell(link, 541)
    link.execute("UPDATE dbo.ventas SET venta_id = 549 WHERE venta_id = 541")
    assert reader.changes(3) == [(2, 541, "F"), (1, 541, "F"), (2, 549, "F")]


def test_a_key_deleted_and_inserted_again_is_both(connect: Connect) -> None:
    link, reader = connect(), Capturing(connect())
    sell(link, 551)
    link.execute("BEGIN TRAN; DELETE FROM dbo.ventas WHERE venta_id = 551")
    sell(link, 551, "NUEVO")
    link.execute("COMMIT")
    assert reader.changes(3) == [(2, 551, "F"), (1, 551, "F"), (2, 551, "NUEVO")]


def test_the_mask_names_the_columns_that_changed(connect: Connect) -> None:
    link, reader = connect(), Capturing(connect(), columns="__$update_mask, folio")
    sell(link, 561)
    link.execute("UPDATE dbo.ventas SET total = 1, folio = 'M' WHERE venta_id = 561")
    mask = pyodbc.Binary(bytes(reader.wait_for(3)[-1][3]))
    changed = "SELECT sys.fn_cdc_has_column_changed('dbo_ventas', ?, ?)"
    assert [value(link, changed, name, mask) for name in ("folio", "total", "cliente", "tipo")] == [1, 1, 0, 0]


def test_captured_values_have_their_declared_types(connect: Connect) -> None:
    link, reader = connect(), Capturing(connect(), "dbo_productos", "codigo, precio, costo, activo, notas")
    insert = "INSERT INTO dbo.productos (codigo, nombre, precio, costo, notas)"
    link.execute(f"{insert} VALUES ('T-1', N'Ñandú', 12.5, 3.25, N'larga')")
    link.execute("UPDATE dbo.productos SET precio = 13 WHERE codigo = 'T-1'")
    inserted, before, after = reader.changes(3)
    assert [str(it) for it in inserted[1:]] == ["T-1", "12.5000", "3.2500", "True", "larga"]
    assert inserted[4] is True
    assert (before[5], after[5]) == (None, "larga")  # an unchanged (max) column is NULL in the image before


def test_what_was_cleaned_up_is_refused(mssql: Database) -> None:
    mssql.run(*LOTS, ENABLE_LOTS.format("lotes"), "INSERT INTO dbo.lotes VALUES (1, 'a')")
    reader = Capturing.from_start(mssql.connect(), "lotes", "id")
    reader.wait_for(1)
    stale = reader.saved
    mssql.run("INSERT INTO dbo.lotes VALUES (2, 'b')", "INSERT INTO dbo.lotes VALUES (3, 'c')")
    reader.wait_for(2)
    low = reader.saved
    clean = "EXEC sys.sp_cdc_cleanup_change_table @capture_instance = N'lotes', @low_water_mark = ?, @threshold = 5000"
    reader.link.execute(clean, pyodbc.Binary(low))
    assert reader.lowest() == low
    with refused(313):
        window = "SELECT * FROM cdc.fn_cdc_get_all_changes_lotes(?, ?, N'all')"
        rows(reader.link, window, pyodbc.Binary(stale), pyodbc.Binary(low))
    with pytest.raises(ExpiredError):
        Capturing(mssql.connect(), "lotes", "id", saved=stale).poll()
    with refused(22964):
        reader.link.execute(clean, pyodbc.Binary(b"\x01"))


def test_a_new_column_needs_a_second_instance_and_a_third_is_refused(mssql: Database) -> None:
    mssql.run(*LOTS, ENABLE_LOTS.format("lotes_v1"))
    first = Capturing.from_start(mssql.connect(), "lotes_v1", "id, n")
    mssql.run("ALTER TABLE dbo.lotes ADD caduca date NULL", ENABLE_LOTS.format("lotes_v2"))
    second = Capturing.from_start(mssql.connect(), "lotes_v2", "id, n, caduca")
    with refused(22962):
        mssql.run(ENABLE_LOTS.format("lotes_v3"))
    mssql.run("INSERT INTO dbo.lotes VALUES (1, 'a', '20260131')")
    mssql.run("ALTER TABLE dbo.lotes DROP COLUMN n", "UPDATE dbo.lotes SET caduca = NULL")
    assert first.changes(3) == [(2, 1, "a"), (3, 1, None), (4, 1, None)]
    assert second.changes(3)[0] == (2, 1, "a", date(2026, 1, 31))
    mssql.run(
        "EXEC sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N'lotes', @capture_instance = N'lotes_v1'"
    )
    with refused(208):
        mssql.run("SELECT * FROM cdc.fn_cdc_get_all_changes_lotes_v1(0x01, 0x02, N'all')")


def test_while_the_capture_job_is_stopped_nothing_is_seen_and_then_all_in_order(
    mssql: Database, sqlserver: Server
) -> None:
    if not isinstance(sqlserver, Standin):
        pytest.skip("on a real SQL Server this needs its Agent to run")
    mssql.run(*LOTS, ENABLE_LOTS.format("lotes"))
    reader = Capturing.from_start(mssql.connect(), "lotes", "id")
    mssql.run("INSERT INTO dbo.lotes VALUES (1, 'a')")
    assert reader.changes(1) == [(2, 1)]
    before = reader.newest()
    mssql.run("EXEC sys.sp_cdc_stop_job @job_type = N'capture'")
    mssql.run("INSERT INTO dbo.lotes VALUES (2, 'b')", "DELETE FROM dbo.lotes WHERE id = 1")
    assert reader.newest() == before
    assert reader.poll() == []
    assert mssql.run("SELECT COUNT(*) FROM cdc.lotes_CT") == [(1,)]
    mssql.run("EXEC sys.sp_cdc_scan")  # what the job does once
    assert [row[2:] for row in reader.poll()] == [(2, 2), (1, 1)]
    mssql.run("INSERT INTO dbo.lotes VALUES (3, 'c')")
    assert reader.poll() == []
    mssql.run("EXEC sys.sp_cdc_start_job")
    mssql.run("INSERT INTO dbo.lotes VALUES (4, 'd')")
    assert [row[2:] for row in reader.poll()] == [(2, 3), (2, 4)]


def test_procedures_show_instances_their_columns_and_the_jobs(mssql: Database) -> None:
    mssql.run(*LOTS, ENABLE_LOTS.format("lotes") + ", @captured_column_list = N'id'")
    (shown,) = mssql.connect().execute("EXEC sys.sp_cdc_help_change_data_capture").fetchall()
    assert (shown.source_table, shown.capture_instance, shown.captured_column_list) == ("lotes", "lotes", "[id]")
    columns = "EXEC sys.sp_cdc_get_captured_columns @capture_instance = N'{}'"
    (column_,) = mssql.connect().execute(columns.format("lotes")).fetchall()
    assert (column_.column_name, column_.column_id, column_.data_type) == ("id", 1, "int")
    with refused(22960):
        mssql.run(columns.format("nada"))
    mssql.run("EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = 10080")
    jobs = {job.job_type: job.retention for job in mssql.connect().execute("EXEC sys.sp_cdc_help_jobs")}
    assert jobs == {"capture": 0, "cleanup": 10080}


@pytest.mark.parametrize("own", [0, 1])
@pytest.mark.parametrize("as_update", [0, 1])
def test_the_standin_logs_updates_in_each_way_that_a_server_may(
    mssql: Database, sqlserver: Server, own: int, as_update: int
) -> None:
    if not isinstance(sqlserver, Standin):
        pytest.skip("a real SQL Server logs updates as it does")
    mssql.run(*LOTS, ENABLE_LOTS.format("lotes"), "INSERT INTO dbo.lotes VALUES (1, 'a')")
    mssql.run(f"EXEC standin.log_updates @own_seqval = {own}, @key_as_update = {as_update}")
    mssql.run("UPDATE dbo.lotes SET id = 2")
    logged = "SELECT __$seqval, __$operation, id FROM cdc.lotes_CT ORDER BY __$start_lsn, __$seqval, __$operation"
    _, first, second = rows(mssql.connect(), logged)
    assert [first[1:], second[1:]] == ([(3, 1), (4, 2)] if as_update else [(1, 1), (2, 2)])
    assert (first[0] == second[0]) is not bool(own)
