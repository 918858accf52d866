"""SQL Server's values as canonical text, from what the driver gives for a SELECT; snapshot and poll are both SELECTs.

By type: integers plain; BIT 0/1; DECIMAL, NUMERIC, MONEY and SMALLMONEY plain with their scale, never by way of a float;
REAL and FLOAT shortest that reads back to the same value; CHAR and NCHAR without the blanks that fill them up;
DATETIME (whose thirds of a hundredth of a second are shown as .000, .003, .007), SMALLDATETIME and DATETIME2
`2026-01-31T08:05:00`, DATETIMEOFFSET the same in UTC with Z, TIME `HH:MM:SS`, all with six more digits where the
microseconds are not zero (a seventh is cut off); UNIQUEIDENTIFIER in lower case; BINARY, IMAGE and ROWVERSION base64; XML
and HIERARCHYID text.
"""

import struct
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from schemas.records import Type

Read = Callable[[Any], str]

_SINGLE_DIGITS = range(1, 10)
_MAX = -1
# Columns whose values may be longer than this (bytes) are counted when rows are taken; the others are too short to matter.
_LONG = 512
_WITHOUT_LENGTH = {"text", "ntext", "image", "xml", "hierarchyid"}
_UTF16_BYTES = 2


@dataclass(frozen=True)
class TableColumn:
    """A column as the catalogue describes it today: data_type `decimal`, declared `decimal(18,4)`.

    collation: of a key in a one-byte character set, None where it is the database's own. key: its place in the primary key, from 1; 0: not in it.
    is_long: its values may be.
    """

    name: str
    data_type: str
    declared: str
    collation: str | None
    key: int
    is_long: bool = False


@dataclass(frozen=True)
class Canonical:
    """How a column's values become text. `read` is never given None."""

    type: Type
    read: Read


def boolean(value: Any) -> str:
    """`0` or `1`."""
    return "1" if value else "0"


def decimal(value: Any) -> str:
    """Plain, never with an exponent. TypeError for a float: it would be money that is no longer exact."""
    return Decimal.__format__(value, "f")


def double(value: Any) -> str:
    """Shortest text that reads back to the same double."""
    return repr(float(value))


def single(value: Any) -> str:
    """Shortest text that reads back to the same 32-bit float; `value` is that float widened."""
    for digits in _SINGLE_DIGITS:
        short = float(f"{value:.{digits}g}")
        if struct.unpack("f", struct.pack("f", short))[0] == value:
            return repr(short)
    return repr(value)


def filled(value: Any) -> str:
    """CHAR without the blanks at its end, as it was written."""
    return str(value).rstrip(" ")


def base64(value: Any) -> str:
    """Bytes as RFC 4648 text."""
    return b64encode(value).decode()


def milliseconds(value: Any) -> str:
    """A DATETIME: its ticks of 1/300 s to the millisecond, whichever way the driver writes them out."""
    if value.microsecond % 1000:
        value = value.replace(microsecond=round(value.microsecond, -3))
    return str(value.isoformat())


def instant(value: datetime) -> str:
    """A DATETIMEOFFSET; with its own offset where the last or first hours of all time lie beyond them in UTC."""
    try:
        value = value.astimezone(UTC)
    except OverflowError:
        return value.isoformat()
    return value.isoformat().replace("+00:00", "Z")


_TEXT = Canonical("text", str)
_BY_DATA_TYPE: dict[str, Canonical] = {
    **dict.fromkeys(["tinyint", "smallint", "int", "bigint"], Canonical("integer", str)),
    "bit": Canonical("boolean", boolean),
    **dict.fromkeys(["decimal", "numeric", "money", "smallmoney"], Canonical("decimal", decimal)),
    "real": Canonical("float", single),
    "float": Canonical("float", double),
    **dict.fromkeys(["varchar", "nvarchar", "text", "ntext", "xml", "hierarchyid"], _TEXT),
    **dict.fromkeys(["char", "nchar"], Canonical("text", filled)),
    **dict.fromkeys(["binary", "varbinary", "image", "timestamp"], Canonical("bytes", base64)),
    "date": Canonical("date", date.isoformat),
    "time": Canonical("time", time.isoformat),
    **dict.fromkeys(["smalldatetime", "datetime2"], Canonical("datetime", datetime.isoformat)),
    "datetime": Canonical("datetime", milliseconds),
    "datetimeoffset": Canonical("instant", instant),
    "uniqueidentifier": Canonical("uuid", str.lower),
}


def is_captured(column: TableColumn) -> bool:
    """Tell whether a column's type has a canonical text; one that has none (sql_variant, geography, …) is left out."""
    return column.data_type in _BY_DATA_TYPE


def canonical(column: TableColumn) -> Canonical:
    """Return how a value of a captured column is read."""
    return _BY_DATA_TYPE[column.data_type]


def expression(alias: str, column: TableColumn) -> str:
    """Return what to SELECT."""
    name = f"{alias}.{quoted(column.name)}"
    return f"CAST({name} AS nvarchar(4000))" if column.data_type == "hierarchyid" else name


def is_long(data_type: str, length: int) -> bool:
    """Tell whether values of a type may be long; length in bytes as sys.columns has it."""
    return data_type in _WITHOUT_LENGTH or length == _MAX or length > _LONG


def declared(data_type: str, length: int, precision: int, scale: int) -> str:
    """Return a type as CAST takes it; length in bytes as sys.columns has it."""
    if data_type in {"decimal", "numeric"}:
        return f"{data_type}({precision},{scale})"
    if data_type in {"datetime2", "datetimeoffset", "time"}:
        return f"{data_type}({scale})"
    if data_type in {"char", "varchar", "binary", "varbinary", "nchar", "nvarchar"}:
        size = length // _UTF16_BYTES if data_type.startswith("n") else length
        return f"{data_type}({'max' if length == _MAX else size})"
    return "binary(8)" if data_type == "timestamp" else data_type


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return "[" + name.replace("]", "]]") + "]"
