"""MariaDB's values as canonical text: once from a SELECT (snapshot), once from mysql-replication's objects (stream).

Both ways give the same text for the same value, by column type:
integers and YEAR plain; BIT(1) 0/1, longer BIT an integer; DECIMAL plain with its scale; FLOAT and DOUBLE shortest that
reads back to the same value; DATETIME `2026-01-31T08:05:00`, TIMESTAMP the same in UTC with Z, both with six more digits
where the microseconds are not zero; TIME `[-]HH:MM:SS` likewise; a date that no calendar has (0000-00-00) None;
BINARY and BLOB base64; SET its members in the order of their definition, comma-separated; JSON is text in MariaDB.
"""

import struct
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pymysqlreplication.column import Column as LogColumn
from pymysqlreplication.constants import FIELD_TYPE

from fluxion.errors import DataValidationError, SourceNotReadyError
from schemas.records import Type

Read = Callable[[Any], str | None]

_FLOAT_DIGITS = range(6, 10)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- as mysql-replication returns it
_FIRST_YEAR = 1900
# mysql-replication reads these in the machine's byte order, the server writes them in the other.
_WIDE_CHARSETS = {"utf16", "utf16le", "utf32", "ucs2"}


@dataclass(frozen=True)
class TableColumn:
    """A column as the catalogue describes it today: data_type `decimal`, column_type `decimal(18,4)`."""

    name: str
    data_type: str
    column_type: str
    charset: str | None
    is_key: bool


@dataclass(frozen=True)
class Canonical:
    """How a column's values become text. `read` is never given None."""

    type: Type
    read: Read


def integer(value: Any) -> str:
    """`00042` → `42`."""
    return str(int(value))


def decimal(value: Any) -> str:
    """Plain, never with an exponent."""
    return format(Decimal(value), "f")


def double(value: Any) -> str:
    """Shortest text that reads back to the same double."""
    return repr(float(value))


def single(value: Any) -> str:
    """Shortest text that reads back to the same 32-bit float; `value` is that float widened."""
    wide = float(value)
    for digits in _FLOAT_DIGITS:
        short = float(f"{wide:.{digits}g}")
        if struct.unpack("f", struct.pack("f", short))[0] == wide:
            return repr(short)
    return repr(wide)


def base64(value: Any) -> str:
    """Bytes as RFC 4648 text."""
    return b64encode(value).decode()


def day(value: Any) -> str | None:
    """A date, or None for one that no calendar has."""
    try:
        return (value if isinstance(value, date) else date.fromisoformat(value)).isoformat()
    except ValueError:
        return None


def moment(value: Any) -> str | None:
    """A date and time without a zone."""
    try:
        return (value if isinstance(value, datetime) else datetime.fromisoformat(value)).isoformat()
    except ValueError:
        return None


def instant(value: Any) -> str | None:
    """A TIMESTAMP, given in UTC. The zero of the epoch is MariaDB's zero timestamp."""
    text = moment(value)
    return None if text is None or value == _EPOCH else f"{text}Z"


def clock_time(value: Any) -> str:
    """A TIME from SELECT's text: `-12:30:00.500` → `-12:30:00.500000`."""
    whole, _, fraction = str(value).partition(".")
    return f"{whole}.{fraction:0<6}" if fraction.strip("0") else whole


def _elapsed(value: timedelta) -> str:
    sign = "-" if value < timedelta(0) else ""
    seconds, micros = divmod(abs(value) // timedelta(microseconds=1), 1_000_000)
    text = f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{micros:06d}" if micros else text


# A SELECT ------------------------------------------------------------------------------------------------------------

_BY_DATA_TYPE: dict[str, Canonical] = {
    **dict.fromkeys(["tinyint", "smallint", "mediumint", "int", "bigint", "year"], Canonical("integer", integer)),
    "decimal": Canonical("decimal", decimal),
    "float": Canonical("float", single),
    "double": Canonical("float", double),
    **dict.fromkeys(
        ["char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"], Canonical("text", str)
    ),
    **dict.fromkeys(["varbinary", "binary", "tinyblob", "blob", "mediumblob", "longblob"], Canonical("bytes", base64)),
    "date": Canonical("date", day),
    "time": Canonical("time", clock_time),
    "datetime": Canonical("datetime", moment),
    "timestamp": Canonical("instant", instant),
}


def selected(column: TableColumn) -> Canonical:
    """Return how a SELECT's value (text, or bytes) is read; SourceNotReadyError for a type that we do not know."""
    if column.data_type == "bit":
        kind: Type = "boolean" if column.column_type == "bit(1)" else "integer"
        return Canonical(kind, lambda value: str(int.from_bytes(value, "big")))
    known = _BY_DATA_TYPE.get(column.data_type)
    if known is None or column.charset in _WIDE_CHARSETS:
        what = column.column_type + (f" in {column.charset}" if column.charset else "")
        message = f"column {column.name} has the type {what}, which cannot be captured yet"
        raise SourceNotReadyError(message, "change its type or leave the table out of the template")
    return known


def expression(column: TableColumn) -> str:
    """Return what to SELECT: a plain FLOAT is shown with six digits only, a sum with a double is exact."""
    name = quoted(column.name)
    return f"{name} + 0e0" if column.data_type in {"float", "double"} else name


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return "`" + name.replace("`", "``") + "`"


# The log -------------------------------------------------------------------------------------------------------------

_INTEGERS = {FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG}
_TEXTS = {FIELD_TYPE.VARCHAR, FIELD_TYPE.VAR_STRING, FIELD_TYPE.STRING, FIELD_TYPE.BLOB}
_BY_FIELD_TYPE: dict[int, Canonical] = {
    **dict.fromkeys(_INTEGERS, Canonical("integer", integer)),
    # YEAR '0000' is a zero byte, which mysql-replication counts from 1900; the type begins at 1901.
    FIELD_TYPE.YEAR: Canonical("integer", lambda year: "0" if year == _FIRST_YEAR else str(year)),
    FIELD_TYPE.NEWDECIMAL: Canonical("decimal", decimal),
    FIELD_TYPE.FLOAT: Canonical("float", single),
    FIELD_TYPE.DOUBLE: Canonical("float", double),
    FIELD_TYPE.DATE: Canonical("date", day),
    FIELD_TYPE.TIME: Canonical("time", _elapsed),
    FIELD_TYPE.DATETIME: Canonical("datetime", moment),
    FIELD_TYPE.DATETIME2: Canonical("datetime", moment),
    FIELD_TYPE.TIMESTAMP: Canonical("instant", instant),
    FIELD_TYPE.TIMESTAMP2: Canonical("instant", instant),
}


def logged(column: LogColumn) -> Canonical:
    """Return how mysql-replication's value is read; SourceNotReadyError for a type that we do not know."""
    known = _BY_FIELD_TYPE.get(column.type) or _measured(column) or _labelled(column)
    if known is None:
        message = f"column {column.name} has a type ({column.type}) in the binary log that cannot be captured yet"
        raise SourceNotReadyError(message, "change its type or leave the table out of the template")
    return known


def _measured(column: LogColumn) -> Canonical | None:
    if column.type == FIELD_TYPE.TIME2:
        return Canonical("time", _fractional if column.fsp else _elapsed)
    if column.type == FIELD_TYPE.BIT:
        return Canonical("boolean" if column.bits == 1 else "integer", lambda bits: str(int(bits, 2)))
    if column.type in _TEXTS and column.collation_name == "binary":
        # BINARY(n) is logged without the zeros on its right.
        width = column.max_length if column.type == FIELD_TYPE.STRING else 0
        return Canonical("bytes", lambda value: base64(value.ljust(width, b"\0")))
    return None


def _labelled(column: LogColumn) -> Canonical | None:
    if column.type in _TEXTS and column.character_set_name not in _WIDE_CHARSETS:
        return Canonical("text", _text)
    if column.type == FIELD_TYPE.ENUM:
        return Canonical("text", _enum if "" in column.enum_values[1:] else str)
    if column.type == FIELD_TYPE.SET and "" not in column.set_values:
        members: list[str] = column.set_values
        return Canonical("text", lambda chosen: ",".join(member for member in members if member in chosen))
    return None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise DataValidationError("a text column has a character set that cannot be read", "convert it to utf8mb4")


def _enum(value: str) -> str:
    # mysql-replication gives '' for a label that is not UTF-8, and so for the label '' itself.
    if value:
        return value
    raise DataValidationError("an ENUM's label cannot be read from the binary log", "convert its column to utf8mb4")


def _fractional(value: timedelta) -> str:
    # mysql-replication misreads the fraction of a negative TIME(n).
    if value < timedelta(0):
        raise DataValidationError(
            "a negative TIME with fractions cannot be read", "make the column a TIME without them"
        )
    return _elapsed(value)
