"""Types, both ways through the driver, and what the catalogue says of them."""

import struct
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyodbc
import pytest

from tests.support.sqlserver import Database, Server
from tests.support.tds.run import Standin
from tests.tds.asking import Connect, column, rows, value

DATETIMEOFFSET = -155  # an ODBC type that pyodbc does not know
STAMP = datetime.fromisoformat("2024-02-29 23:59:58.123456")
TYPES: list[tuple[str, Any, Any]] = [  # declared, what is written, what is read
    ("tinyint", 200, 200),
    ("smallint", -2, -2),
    ("int", -4, -4),
    ("bigint", 2**60, 2**60),
    ("bit", True, True),
    ("real", 1.5, 1.5),
    ("float", 2.25, 2.25),
    ("decimal(18,4)", Decimal("-12345678901234.5678"), Decimal("-12345678901234.5678")),
    (
        "decimal(38,10)",
        Decimal("1234567890123456789012345678.0123456789"),
        Decimal("1234567890123456789012345678.0123456789"),
    ),
    ("numeric(9,2)", Decimal("1234567.89"), Decimal("1234567.89")),
    ("money", Decimal("-922337203685477.5808"), Decimal("-922337203685477.5808")),
    ("smallmoney", Decimal("214748.3647"), Decimal("214748.3647")),
    ("date", STAMP.date(), date(2024, 2, 29)),
    ("datetime", STAMP.replace(microsecond=123000), STAMP.replace(microsecond=123000)),
    ("datetime2(7)", STAMP, STAMP),
    ("datetime2(0)", STAMP.replace(microsecond=0), STAMP.replace(microsecond=0)),
    ("smalldatetime", STAMP.replace(second=0, microsecond=0), STAMP.replace(second=0, microsecond=0)),
    ("time(6)", "23:59:58.123456", time(23, 59, 58, 123456)),
    ("varchar(20)", "café €", "café €"),
    ("nvarchar(20)", "Ünï 😀", "Ünï 😀"),
    ("nchar(4)", "ab", "ab  "),
    ("varchar(max)", "y" * 9000, "y" * 9000),
    ("nvarchar(max)", "é" * 20000, "é" * 20000),
    ("varbinary(10)", b"\x00\xde\xad", b"\x00\xde\xad"),
    ("varbinary(max)", bytes(range(256)) * 50, bytes(range(256)) * 50),
    ("uniqueidentifier", uuid.UUID(int=7), str(uuid.UUID(int=7)).upper()),
]
DESCRIBED = (
    "SELECT DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE FROM INFORMATION_SCHEMA.COLUMNS "
    "WHERE TABLE_NAME = 'tipos' ORDER BY ORDINAL_POSITION"
)
KEY_BY_INFORMATION_SCHEMA = (
    "SELECT k.COLUMN_NAME FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS c JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE k "
    "ON k.CONSTRAINT_NAME = c.CONSTRAINT_NAME WHERE c.CONSTRAINT_TYPE = 'PRIMARY KEY' "
    "AND c.TABLE_NAME = 'detalle_ventas' ORDER BY k.ORDINAL_POSITION"
)
KEY_BY_INDEXES = (
    "SELECT c.name FROM sys.indexes i "
    "JOIN sys.index_columns ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id "
    "JOIN sys.columns c ON c.object_id = ic.object_id AND c.column_id = ic.column_id "
    "WHERE i.is_primary_key = 1 AND i.object_id = OBJECT_ID('dbo.detalle_ventas') ORDER BY ic.key_ordinal"
)


def offset_time(raw: bytes) -> datetime:
    """What a source needs to read a datetimeoffset."""
    year, month, day, hour, minute, second, nanoseconds, hours, minutes = struct.unpack("<6hI2h", raw)
    zone = timezone(timedelta(hours=hours, minutes=minutes))
    return datetime(year, month, day, hour, minute, second, nanoseconds // 1000, zone)


def test_every_type_comes_back_as_it_was_written(connect: Connect) -> None:
    link = connect()
    declared = ", ".join(f"c{place} {kind} NULL" for place, (kind, _, _) in enumerate(TYPES))
    link.execute(f"CREATE TABLE dbo.tipos ({declared}, id int PRIMARY KEY)")
    link.execute("INSERT INTO dbo.tipos (id) VALUES (1), (2)")
    for place, (_, written, _) in enumerate(TYPES):
        parameter = pyodbc.Binary(written) if isinstance(written, bytes) else written
        link.execute(f"UPDATE dbo.tipos SET c{place} = ? WHERE id = 1", parameter)
    full, empty = rows(link, "SELECT * FROM dbo.tipos ORDER BY id")
    assert dict(zip((kind for kind, _, _ in TYPES), full, strict=False)) == {kind: read for kind, _, read in TYPES}
    assert set(empty[:-1]) == {None}
    described = rows(link, DESCRIBED)
    assert [row[0] for row in described[:-1]] == [kind.split("(")[0] for kind, _, _ in TYPES]
    assert described[7] == ("decimal", None, 18, 4)
    assert described[19] == ("nvarchar", 20, None, None)


def test_a_time_with_an_offset_is_the_same_instant(connect: Connect) -> None:
    link = connect()
    link.add_output_converter(DATETIMEOFFSET, offset_time)
    link.execute("CREATE TABLE dbo.momentos (momento datetimeoffset(3) NULL)")
    link.execute("INSERT INTO dbo.momentos VALUES ('2024-01-02T03:04:05.678-04:00'), (NULL)")
    found = column(link, "SELECT momento FROM dbo.momentos WHERE momento IS NOT NULL")
    assert [it.astimezone(UTC) for it in found] == [datetime(2024, 1, 2, 7, 4, 5, 678000, UTC)]
    assert column(link, "SELECT momento FROM dbo.momentos WHERE momento IS NULL") == [None]


def test_a_datetime_counts_three_hundredths_of_a_second(connect: Connect) -> None:
    link = connect()
    link.execute("CREATE TABLE dbo.fechas (id int, d datetime)")
    link.execute("INSERT INTO dbo.fechas VALUES (1, '20240101 00:00:00.001'), (2, '20240101 00:00:00.002')")
    assert [it.microsecond for it in column(link, "SELECT d FROM dbo.fechas ORDER BY id")] == [0, 3000]


def test_parameters_of_every_count_and_null(connect: Connect) -> None:
    link = connect()
    link.execute("CREATE TABLE dbo.textos (texto nvarchar(200) NULL)")
    link.cursor().executemany("INSERT INTO dbo.textos (texto) VALUES (?)", [("uno",), (None,), ("",)])
    assert set(column(link, "SELECT texto FROM dbo.textos")) == {"uno", None, ""}
    top = "SELECT TOP (?) texto FROM dbo.textos WHERE texto IN (?, ?) ORDER BY texto DESC"
    assert column(link, top, 1, "uno", "dos") == ["uno"]


def test_text_is_compared_without_case(shop: Database) -> None:
    shop.run("CREATE TABLE dbo.codigos (codigo varchar(20) PRIMARY KEY)", "INSERT INTO dbo.codigos VALUES ('AbC')")
    assert shop.run("SELECT codigo FROM dbo.codigos WHERE codigo = 'aBc'") == [("AbC",)]


def test_the_catalogue_describes_columns(connect: Connect) -> None:
    found = rows(
        connect(),
        "SELECT c.name, t.name, c.max_length, c.precision, c.scale, c.is_nullable, c.is_identity FROM sys.columns c "
        "JOIN sys.types t ON t.user_type_id = c.user_type_id WHERE c.object_id = OBJECT_ID(N'[dbo].[Productos]') "
        "ORDER BY c.column_id",
    )
    assert found[0] == ("producto_id", "int", 4, 10, 0, False, True)
    assert found[2] == ("nombre", "nvarchar", 200, 0, 0, False, False)
    assert found[4][1:5] == ("decimal", 9, 18, 4)
    assert found[-1][:2] == ("rv", "timestamp")


@pytest.mark.parametrize("query", [KEY_BY_INFORMATION_SCHEMA, KEY_BY_INDEXES], ids=["INFORMATION_SCHEMA", "sys"])
def test_the_catalogue_names_the_primary_key(connect: Connect, query: str) -> None:
    assert column(connect(), query) == ["venta_id", "renglon"]


def test_the_server_says_what_it_is(connect: Connect, shop: Database) -> None:
    link = connect()
    edition = "SELECT CAST(SERVERPROPERTY('Edition') AS nvarchar(128)), CAST(SERVERPROPERTY('EngineEdition') AS int)"
    name, engine = rows(link, edition)[0]
    assert (" Edition" in name, engine in {2, 3, 4}) == (True, True)
    assert value(link, "SELECT DB_NAME()") == shop.name
    assert link.getinfo(pyodbc.SQL_DBMS_NAME) == "Microsoft SQL Server"


def test_a_restore_leaves_another_recovery_fork(mssql: Database, sqlserver: Server) -> None:
    if not isinstance(sqlserver, Standin):
        pytest.skip("a real SQL Server has to be restored for it")
    status = "SELECT CAST(database_guid AS nvarchar(36)), CAST(recovery_fork_guid AS nvarchar(36)) "
    status += "FROM sys.database_recovery_status WHERE database_id = DB_ID()"
    ((before, fork),) = mssql.run(status)
    mssql.run("EXEC standin.fork_recovery")
    ((after, other),) = mssql.run(status)
    assert (before == after, fork != other) == (True, True)


def test_partitions_count_rows(mssql: Database) -> None:
    mssql.run("CREATE TABLE dbo.t (id int PRIMARY KEY)", "INSERT INTO dbo.t VALUES (1), (2)")
    assert mssql.run("SELECT index_id, rows FROM sys.partitions WHERE object_id = OBJECT_ID('dbo.t')") == [(1, 2)]
