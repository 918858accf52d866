"""MariaDB's values as canonical text, from what a SELECT gives (snapshot); `binlog` gives the same from the log's bytes.

Both ways give the same text for the same value, by column type:
integers and YEAR plain; BIT(1) 0/1, longer BIT an integer; DECIMAL plain with its scale; FLOAT and DOUBLE shortest that
reads back to the same value; DATETIME `2026-01-31T08:05:00`, TIMESTAMP the same in UTC with Z, both with six more digits
where the microseconds are not zero; TIME `[-]HH:MM:SS` likewise; a date that no calendar has (0000-00-00, 2024-00-10)
None; BINARY and BLOB base64; ENUM its label; SET its members in the order of their definition, comma-separated; JSON is
text in MariaDB.
"""

import re
import struct
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from fluxion.errors import SourceNotReadyError
from producers.sources.mysql import charsets
from schemas.records import Type

Read = Callable[[Any], str | None]

# Fewer digits than the nine that name every 32-bit float.
_FLOAT_DIGITS = range(6, 9)
_SUBNORMAL_DIGITS = range(1, 9)
_SMALLEST_NORMAL = 2.0**-126
# Its fractions stand in the log without their number of digits, so rows could not be told apart from others.
_OLD_FRACTIONS = re.compile(r"\w+\([1-6]\).*mariadb-5\.3")


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
    for digits in _FLOAT_DIGITS if abs(wide) >= _SMALLEST_NORMAL else _SUBNORMAL_DIGITS:
        short = float(f"{wide:.{digits}g}")
        if struct.unpack("f", struct.pack("f", short))[0] == wide:
            return repr(short)
    return repr(float(f"{wide:.9g}"))


def base64(value: Any) -> str:
    """Bytes as RFC 4648 text."""
    return b64encode(value).decode()


def day(value: Any) -> str | None:
    """A date, or None for one that no calendar has."""
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        return None


def moment(value: Any) -> str | None:
    """A date and time without a zone."""
    try:
        return datetime.fromisoformat(value).isoformat()
    except ValueError:
        return None


def instant(value: Any) -> str | None:
    """A TIMESTAMP, given in UTC."""
    text = moment(value)
    return None if text is None else f"{text}Z"


def clock_time(value: Any) -> str:
    """A TIME from SELECT's text: `-12:30:00.500` → `-12:30:00.500000`."""
    whole, _, fraction = str(value).partition(".")
    return f"{whole}.{fraction:0<6}" if fraction.strip("0") else whole


def bits(value: Any) -> str:
    """BIT(n) as the integer that its bits are."""
    return str(int.from_bytes(value, "big"))


_BY_DATA_TYPE: dict[str, Canonical] = {
    **dict.fromkeys(["tinyint", "smallint", "mediumint", "int", "bigint", "year"], Canonical("integer", integer)),
    "bit": Canonical("integer", bits),
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
    """Return how a SELECT's value (text, or bytes) is read; SourceNotReadyError for a type that we do not know.

    uuid and inet6 are refused because the log cannot tell them from BINARY(16), YEAR(2) because it has no century.
    """
    known = _BY_DATA_TYPE.get(column.data_type)
    if known is None or not _is_told_by_the_log(column):
        what = column.column_type + (f" in {column.charset}" if column.charset else "")
        message = f"column {column.name} has the type {what}, which cannot be captured yet"
        raise SourceNotReadyError(message, "change its type or leave the table out of the template")
    return Canonical("boolean", bits) if column.column_type == "bit(1)" else known


def _is_told_by_the_log(column: TableColumn) -> bool:
    if column.column_type == "year(2)" or _OLD_FRACTIONS.match(column.column_type):
        return False
    return column.charset is None or charsets.decoder(column.charset) is not None


def expression(column: TableColumn) -> str:
    """Return what to SELECT: a plain FLOAT is shown with six digits only, a sum with a double is exact."""
    name = quoted(column.name)
    return f"{name} + 0e0" if column.data_type in {"float", "double"} else name


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return "`" + name.replace("`", "``") + "`"
