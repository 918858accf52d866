"""T-SQL beyond queries: scripts, identity, rowversion, transactions, and the numbers of errors."""

import threading

import pyodbc
import pytest

from tests.support.sqlserver import Database
from tests.tds.asking import Connect, number_of, refused, rows, value

ADD = "UPDATE dbo.detalle_ventas SET cantidad = cantidad + 1 WHERE venta_id = 900 AND renglon = {}"


@pytest.fixture
def two_lines(shop: Database) -> None:
    """Two lines of sale 900, for which transactions may fight."""
    shop.run(
        "DELETE FROM dbo.detalle_ventas WHERE venta_id = 900",
        "INSERT INTO dbo.detalle_ventas VALUES (900, 1, 1, 1, 1), (900, 2, 1, 1, 1)",
    )


def test_a_batch_with_variables_and_no_semicolons(connect: Connect) -> None:
    cursor = connect().execute(
        "SET NOCOUNT ON DECLARE @n int = 2, @t nvarchar(10) SET @t = N'x' "
        "IF @n > 1 BEGIN SELECT @n + 1 AS n, @t AS t END ELSE SELECT 0 AS n"
    )
    while cursor.description is None:
        cursor.nextset()
    assert [tuple(row) for row in cursor.fetchall()] == [(3, "x")]


def test_a_script_as_an_administrator_writes_it(mssql: Database) -> None:
    mssql.run(
        "SET ANSI_NULLS ON SET QUOTED_IDENTIFIER ON "
        "IF OBJECT_ID(N'dbo.turnos', N'U') IS NOT NULL DROP TABLE dbo.turnos "
        "CREATE TABLE dbo.turnos (id int IDENTITY PRIMARY KEY, caja smallint NOT NULL, cierre datetime NULL) "
        "IF NOT EXISTS (SELECT 1 FROM sys.change_tracking_tables WHERE object_id = OBJECT_ID('dbo.turnos')) "
        "BEGIN ALTER TABLE dbo.turnos ENABLE CHANGE_TRACKING END "
        "GRANT SELECT, VIEW CHANGE TRACKING ON dbo.turnos TO public INSERT INTO dbo.turnos (caja) VALUES (1), (2)"
    )
    assert mssql.run("SELECT COUNT(*) FROM CHANGETABLE(CHANGES dbo.turnos, 0) AS ct") == [(2,)]


def test_a_procedure_called_as_odbc_calls_it(mssql: Database) -> None:
    mssql.run("EXEC sys.sp_cdc_enable_db", "CREATE TABLE dbo.cajas (id int PRIMARY KEY)")
    mssql.connect().execute("{CALL sys.sp_cdc_enable_table (?, ?, ?, ?, ?)}", "dbo", "cajas", None, 0, None)
    instances = "SELECT capture_instance FROM cdc.change_tables"
    assert mssql.run(instances) == [("dbo_cajas",)]
    mssql.run("DROP TABLE dbo.cajas")
    assert mssql.run(instances) == []


def test_deletes_with_a_join_and_with_top(shop: Database) -> None:
    shop.run(
        "CREATE TABLE dbo.borrados (id int, texto varchar(9)); INSERT INTO dbo.borrados VALUES (1, 'a'), (2, 'b'), (3, 'b')",
        "DELETE x FROM dbo.borrados AS x JOIN dbo.borrados AS y ON y.id = x.id WHERE y.texto = 'a'",
        "DELETE TOP (1) FROM dbo.borrados WHERE texto = 'b'",
    )
    assert shop.run("SELECT COUNT(*) FROM dbo.borrados") == [(1,)]


def test_identity_columns(connect: Connect) -> None:
    link = connect()
    link.execute("CREATE TABLE dbo.clases (id int IDENTITY(1,1) PRIMARY KEY, nombre nvarchar(60) NOT NULL)")
    link.execute("INSERT INTO dbo.clases (nombre) VALUES (N'Bebidas')")
    assert value(link, "SELECT SCOPE_IDENTITY()") == 1
    assert value(link, "INSERT INTO dbo.clases (nombre) OUTPUT INSERTED.id VALUES (N'Botanas')") == 2
    with refused(544):
        link.execute("INSERT INTO dbo.clases (id, nombre) VALUES (900, N'x')")
    link.execute("SET IDENTITY_INSERT dbo.clases ON INSERT INTO dbo.clases (id, nombre) VALUES (900, N'Otra')")
    link.execute("SET IDENTITY_INSERT dbo.clases OFF")
    link.execute("INSERT INTO dbo.clases (nombre) VALUES (N'Siguiente')")
    assert value(link, "SELECT MAX(id) FROM dbo.clases") == 901


def test_min_active_rowversion_stays_below_an_open_transaction(connect: Connect) -> None:
    slow, quick = connect(), connect()
    insert = "INSERT INTO dbo.productos (codigo, nombre) VALUES (?, N'rv')"
    of_second = "SELECT rv FROM dbo.productos WHERE codigo = 'RV-2'"
    slow.execute("BEGIN TRAN")
    slow.execute(insert, "RV-1")
    quick.execute(insert, "RV-2")
    second = bytes(value(quick, of_second))
    active, latest = (bytes(it) for it in rows(quick, "SELECT MIN_ACTIVE_ROWVERSION(), @@DBTS")[0])
    assert active < second <= latest
    slow.execute("COMMIT")
    assert bytes(value(quick, "SELECT MIN_ACTIVE_ROWVERSION()")) > second
    quick.execute("UPDATE dbo.productos SET nombre = N'otro' WHERE codigo = 'RV-2'")
    assert bytes(value(quick, of_second)) > second


@pytest.mark.parametrize(
    ("number", "statement"),
    [
        (2601, "INSERT INTO dbo.productos (codigo, nombre) VALUES ('E1', N'a'), ('e1', N'b')"),
        (547, "INSERT INTO dbo.productos (codigo, nombre, categoria_id) VALUES ('E2', N'a', 77777)"),
        (515, "INSERT INTO dbo.productos (codigo, nombre) VALUES ('E2', NULL)"),
        (2628, "INSERT INTO dbo.productos (codigo, nombre) VALUES ('012345678901234567890', N'a')"),
        (2627, "INSERT INTO dbo.detalle_ventas VALUES (1, 1, 1, 1, 1), (1, 1, 1, 1, 1)"),
        (208, "SELECT * FROM dbo.nada"),
        (207, "SELECT nada FROM dbo.ventas"),
        (102, "SELEC 1"),
        (2714, "CREATE TABLE dbo.ventas (id int)"),
        (2812, "EXEC dbo.nada"),
        (911, "USE nada_db"),
        (3902, "COMMIT"),
    ],
)
def test_errors_have_their_numbers(connect: Connect, number: int, statement: str) -> None:
    link = connect()
    with refused(number):
        link.execute(statement)
    assert value(link, "SELECT 1") == 1


def test_catch_knows_the_error(connect: Connect) -> None:
    caught = "BEGIN TRY SELECT 1 / 0 AS x END TRY BEGIN CATCH SELECT ERROR_NUMBER() AS n END CATCH"
    assert value(connect(), caught) == 8134


def test_an_error_undoes_one_statement(connect: Connect) -> None:
    link = connect(autocommit=False)
    link.execute("INSERT INTO dbo.bitacora VALUES (N'queda')")
    with refused(207):
        link.execute("UPDATE dbo.bitacora SET nada = 1")
    link.commit()
    link.execute("INSERT INTO dbo.bitacora VALUES (N'se va')")
    link.rollback()
    assert rows(link, "SELECT texto FROM dbo.bitacora WHERE texto IN (N'queda', N'se va')") == [("queda",)]
    link.commit()


def test_a_table_made_in_a_transaction_is_seen_by_others_after_it(connect: Connect) -> None:
    link, other = connect(), connect()
    make = "CREATE TABLE dbo.efimera (id int PRIMARY KEY, listo bit NOT NULL) INSERT INTO dbo.efimera VALUES (1, 1)"
    link.execute(f"BEGIN TRAN {make}")
    assert rows(link, "SELECT listo FROM dbo.efimera") == [(True,)]
    link.execute("ROLLBACK")
    with refused(208):
        rows(other, "SELECT listo FROM dbo.efimera")
    link.execute(f"BEGIN TRAN {make} COMMIT")
    assert rows(other, "SELECT listo FROM dbo.efimera") == [(True,)]


@pytest.mark.usefixtures("two_lines")
def test_a_snapshot_that_meets_a_newer_row_is_a_conflict(connect: Connect, shop: Database) -> None:
    link = connect()
    link.execute("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
    link.execute("BEGIN TRAN")
    rows(link, "SELECT * FROM dbo.detalle_ventas")
    shop.run(ADD.format(1))
    with refused(3960):
        link.execute(ADD.format(1))
    assert value(link, "SELECT @@TRANCOUNT") == 0


@pytest.mark.usefixtures("two_lines")
def test_one_of_two_in_a_deadlock_is_the_victim(connect: Connect) -> None:
    links = [connect(), connect()]
    for place, link in enumerate(links, 1):
        link.execute("BEGIN TRAN " + ADD.format(place))
    outcomes: list[int] = []

    def cross(link: pyodbc.Connection, line: int) -> None:
        try:
            link.execute(ADD.format(line))
            outcomes.append(0)
            link.execute("COMMIT")
        except pyodbc.Error as failure:
            outcomes.append(number_of(failure))

    threads = [threading.Thread(target=cross, args=item) for item in zip(links, (2, 1), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == [0, 1205]


@pytest.mark.usefixtures("two_lines")
def test_a_lock_is_waited_for_as_long_as_was_set(connect: Connect) -> None:
    holder, link = connect(), connect()
    holder.execute("BEGIN TRAN " + ADD.format(1))
    link.execute("SET LOCK_TIMEOUT 100")
    assert value(link, "SELECT @@LOCK_TIMEOUT") == 100
    with refused(1222):
        link.execute(ADD.format(1))


def test_grants_and_members_are_in_the_catalogue(mssql: Database) -> None:
    who, role = f"{mssql.name}_login", "lectores"
    granted = "SELECT type FROM sys.database_permissions WHERE grantee_principal_id = DATABASE_PRINCIPAL_ID(N'{}') ORDER BY type"
    mssql.run(
        "CREATE TABLE dbo.ventas (id int PRIMARY KEY)",
        f"CREATE LOGIN [{who}] WITH PASSWORD = N'Un0.Dos?'",
        f"CREATE USER [{who}] FOR LOGIN [{who}]",
        f"CREATE ROLE [{role}]",
        f"GRANT SELECT, VIEW CHANGE TRACKING ON OBJECT::[dbo].[ventas] TO [{who}]",
        f"ALTER ROLE [{role}] ADD MEMBER [{who}]",
    )
    try:
        assert mssql.run(granted.format(who)) == [("CO",), ("SL",), ("VWCT",)]
        assert mssql.run(f"SELECT IS_ROLEMEMBER(N'{role}', N'{who}')") == [(1,)]
        same = f"SELECT COUNT(*) FROM sys.database_principals WHERE name = N'{who}' AND sid = SUSER_SID(N'{who}')"
        assert mssql.run(same) == [(1,)]
        with refused(15144):
            mssql.run(f"DROP ROLE [{role}]")
        mssql.run(
            f"REVOKE VIEW CHANGE TRACKING ON OBJECT::[dbo].[ventas] FROM [{who}]",
            f"ALTER ROLE [{role}] DROP MEMBER [{who}]",
            f"DROP ROLE [{role}]",
        )
        assert mssql.run(granted.format(who)) == [("CO",), ("SL",)]
        mssql.run(f"DROP USER [{who}]")
        assert mssql.run(granted.format(who)) == []
    finally:
        mssql.run(f"DROP LOGIN [{who}]")
