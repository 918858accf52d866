"""T-SQL types against PostgreSQL's: for declarations, for parameters, and for the columns of results."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlglot import exp

from tests.support.tds.errors import SqlError
from tests.support.tds.types import MAX, SqlType

SIMPLE = {
    "tinyint": "smallint",
    "smallint": "smallint",
    "int": "integer",
    "bigint": "bigint",
    "bit": "smallint",
    "real": "real",
    "float": "double precision",
    "money": "numeric(19,4)",
    "smallmoney": "numeric(10,4)",
    "datetime": "timestamp(3)",
    "smalldatetime": "timestamp(0)",
    "date": "date",
    "uniqueidentifier": "uuid",
    "rowversion": "bytea",
    "varbinary": "bytea",
    "binary": "bytea",
}
DECIMALS = ("decimal", "numeric")
SCALED = {"datetime2": "timestamp", "datetimeoffset": "timestamptz", "time": "time"}
SIZED = ("varchar", "nvarchar", "char", "nchar", "varbinary", "binary")
LONG = ("text", "standin_ntext", "image", "xml")
SYSNAME_LENGTH = 128
#: What sqlglot, or an old schema, calls them; the names of `rewrite.with_renamed_types` among them.
SYNONYMS = {
    "timestamp": "rowversion",
    "integer": "int",
    "sysname": "nvarchar",
    "double": "float",
    "boolean": "bit",
    "text": "varchar",
    "ntext": "nvarchar",
    "xml": "nvarchar",
    "image": "varbinary",
    "dec": "decimal",
    "numeric": "decimal",
    "standin_real": "real",
    "standin_numeric": "numeric",
    "standin_ntext": "nvarchar",
}
SMALLINT_OID, NUMERIC_OID = 21, 1700
#: The T-SQL type of an expression that no declared column explains, by the oid of its PostgreSQL type.
BY_OID = {
    16: SqlType("bit"),
    17: SqlType("varbinary", 8000),
    20: SqlType("bigint"),
    SMALLINT_OID: SqlType("smallint"),
    23: SqlType("int"),
    26: SqlType("bigint"),
    700: SqlType("real"),
    701: SqlType("float"),
    1082: SqlType("date"),
    1083: SqlType("time", 0, 0, 7),
    1114: SqlType("datetime2", 0, 0, 7),
    1184: SqlType("datetimeoffset", 0, 0, 7),
    2950: SqlType("uniqueidentifier"),
}
#: Names that have one type wherever they appear.
BY_NAME = {
    "sys_change_operation": SqlType("nchar", 1),
    "sys_change_columns": SqlType("varbinary", 4100),
    "sys_change_context": SqlType("varbinary", 128),
    "__$start_lsn": SqlType("binary", 10),
    "__$end_lsn": SqlType("binary", 10),
    "__$seqval": SqlType("binary", 10),
    "__$update_mask": SqlType("varbinary", 128),
    "start_lsn": SqlType("binary", 10),
    "end_lsn": SqlType("binary", 10),
    "tran_begin_lsn": SqlType("binary", 10),
    "tran_id": SqlType("binary", 10),
    "tran_begin_time": SqlType("datetime"),
    "tran_end_time": SqlType("datetime"),
}


def declared(kind: exp.Expr) -> SqlType:
    """Return the T-SQL type that a declaration says; raises SqlError 2715."""
    text = kind.sql("tsql").lower()
    found = re.match(r"\[?(\w+)\]?\s*(?:\(([^)]*)\))?", text)
    if found is None:
        raise SqlError(2715, f"Cannot find data type {text}.")
    written = found.group(1)
    name = SYNONYMS.get(written, written)
    sizes = [size.strip() for size in (found.group(2) or "").split(",") if size.strip()]
    if name in DECIMALS:
        return SqlType(name, 0, int(sizes[0]) if sizes else 18, int(sizes[1]) if len(sizes) > 1 else 0)
    if name in SCALED:
        return SqlType(name, 0, 0, int(sizes[0]) if sizes else 7)
    if name in SIZED:
        return SqlType(name, _length(written, sizes))
    if name not in SIMPLE:
        raise SqlError(2715, f"Data type {name} is not emulated by the stand-in.")
    return SqlType(name, 8 if name == "rowversion" else 0)


def _length(written: str, sizes: Sequence[str]) -> int:
    if written in LONG or (sizes and sizes[0] == "max"):
        return MAX
    if sizes:
        return int(sizes[0])
    return SYSNAME_LENGTH if written == "sysname" else 1


def postgres(kind: SqlType) -> str:
    """Return the PostgreSQL type that stores a T-SQL type; citext has the collation that ignores case."""
    if kind.name in DECIMALS:
        return f"numeric({kind.precision},{kind.scale})"
    if kind.name in {"varchar", "nvarchar"}:
        return "citext"
    if kind.name in {"char", "nchar"}:
        return f"char({kind.length})"
    if kind.name in SCALED:
        return f"{SCALED[kind.name]}({min(kind.scale, 6)})"
    return SIMPLE[kind.name]


def cast_target(kind: SqlType) -> str:
    """Return the PostgreSQL type of a CAST: varchar(n) truncates, so it keeps the length."""
    if kind.name in {"varchar", "nvarchar"}:
        return "text" if kind.length < 0 else f"varchar({kind.length})"
    return postgres(kind)


def parameter_cast(kind: SqlType) -> str | None:
    """Return the cast around a bound variable; strings stay untyped, so they convert where they are used."""
    if kind.name.endswith("char"):
        return None
    return re.sub(r"\(.*", "", postgres(kind))


def of_expression(oid: int, typmod: int, name: str, values: Sequence[Any]) -> SqlType:
    """Return the T-SQL type of a result column of which only the PostgreSQL type, the name and the values are known."""
    if name in BY_NAME:
        return BY_NAME[name]
    if oid == SMALLINT_OID and name.startswith("is_"):
        return SqlType("bit")
    if oid == NUMERIC_OID:
        return _of_numeric(typmod, values)
    kind = BY_OID.get(oid, SqlType("nvarchar", 4000))
    return _longest(kind, values) if kind.length else kind


def _of_numeric(typmod: int, values: Sequence[Any]) -> SqlType:
    if typmod >= 4:
        return SqlType("decimal", 0, (typmod - 4) >> 16 & 0xFFFF, (typmod - 4) & 0x7FF)
    exponents = (value.as_tuple().exponent for value in values if isinstance(value, Decimal))
    scales = [-exponent for exponent in exponents if isinstance(exponent, int)]
    return SqlType("decimal", 0, 38, min(max([0, *scales]), 20))


def _longest(kind: SqlType, values: Sequence[Any]) -> SqlType:
    """Return the (max) form where a value does not fit."""
    fits = all(value is None or len(value) <= kind.length for value in values)
    return kind if fits else SqlType(kind.name, MAX)
