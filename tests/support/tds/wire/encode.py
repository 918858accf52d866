"""Values out (MS-TDS 2.2.5.4 and 2.2.5.5): TYPE_INFO of a column and the bytes of its values in a ROW token."""

import struct
import uuid
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from tests.support.tds.types import SqlType
from tests.support.tds.wire import temporal

COLLATION = bytes.fromhex("0904d00034")  # SQL_Latin1_General_CP1_CI_AS
LONG = 0xFFFF  # the length of a (max) type
LONG_NULL, SHORT_NULL, SCALAR_NULL = b"\xff" * 8, b"\xff\xff", b"\0"
WIDE = Context(prec=60)

INTEGERS = {"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8}
INTEGER_FORMATS = {"tinyint": "<BB", "smallint": "<Bh", "int": "<Bi", "bigint": "<Bq"}
FIXED = {
    "bit": b"\x68\x01",
    "real": b"\x6d\x04",
    "float": b"\x6d\x08",
    "money": b"\x6e\x08",
    "smallmoney": b"\x6e\x04",
    "datetime": b"\x6f\x08",
    "smalldatetime": b"\x6f\x04",
    "uniqueidentifier": b"\x24\x10",
    "date": b"\x28",
}
DECIMALS = {"decimal": 0x6A, "numeric": 0x6C}
STRINGS = {"nvarchar": 0xE7, "nchar": 0xEF, "varchar": 0xA7, "char": 0xAF}
BINARIES = {"varbinary": 0xA5, "binary": 0xAD, "rowversion": 0xAD}
SCALED = {"time": 0x29, "datetime2": 0x2A, "datetimeoffset": 0x2B}
DECIMAL_WIDTHS = ((9, 4), (19, 8), (28, 12))  # up to this precision, so many bytes

Encoder = Callable[[Any], bytes]


def type_info(kind: SqlType) -> bytes:
    """TYPE_INFO of a result column or a return value."""
    if kind.name in INTEGERS:
        return bytes((0x26, INTEGERS[kind.name]))
    if kind.name in FIXED:
        return FIXED[kind.name]
    if kind.name in DECIMALS:
        return bytes((DECIMALS[kind.name], _decimal_width(kind.precision) + 1, kind.precision, kind.scale))
    if kind.name in SCALED:
        return bytes((SCALED[kind.name], kind.scale))
    length = LONG if kind.length < 0 else kind.length * (2 if kind.is_national else 1)
    if kind.name in STRINGS:
        return struct.pack("<BH", STRINGS[kind.name], length) + COLLATION
    return struct.pack("<BH", BINARIES[kind.name], length)


def encoder(kind: SqlType) -> tuple[Encoder, bytes]:
    """Return a function from a value to its bytes in a ROW, and the bytes of NULL; asked once per column."""
    if kind.name not in STRINGS and kind.name not in BINARIES:
        return _scalar(kind), SCALAR_NULL
    raw = _raw(kind)
    return (_chunked(raw), LONG_NULL) if kind.length < 0 else (_counted(raw), SHORT_NULL)


def _raw(kind: SqlType) -> Encoder:
    if kind.name in BINARIES:
        return bytes
    if kind.is_national:
        return lambda value: str(value).encode("utf-16-le")
    return lambda value: str(value).encode("cp1252", "replace")


def _counted(raw: Encoder) -> Encoder:
    prefix = struct.Struct("<H").pack

    def encode(value: Any) -> bytes:
        data = raw(value)
        return prefix(len(data)) + data

    return encode


def _chunked(raw: Encoder) -> Encoder:
    def encode(value: Any) -> bytes:
        data = raw(value)
        chunk = struct.pack("<I", len(data)) + data if data else b""
        return struct.pack("<Q", len(data)) + chunk + b"\0\0\0\0"

    return encode


def _scalar(kind: SqlType) -> Encoder:
    if kind.name in INTEGERS:
        pack, width = struct.Struct(INTEGER_FORMATS[kind.name]).pack, INTEGERS[kind.name]
        return lambda value: pack(width, value)
    if kind.name in DECIMALS:
        return _decimal(kind)
    return _SCALARS.get(kind.name) or temporal.encoder(kind)


def _unscaled(value: Any, scale: int) -> int:
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    return int(WIDE.scaleb(number, scale).to_integral_value(ROUND_HALF_UP, WIDE))


def _decimal_width(precision: int) -> int:
    return next((width for most, width in DECIMAL_WIDTHS if precision <= most), 16)


def _decimal(kind: SqlType) -> Encoder:
    width, scale = _decimal_width(kind.precision), kind.scale

    def encode(value: Any) -> bytes:
        number = _unscaled(value, scale)
        return bytes((width + 1, number >= 0)) + abs(number).to_bytes(width, "little")

    return encode


def _money(value: Any) -> bytes:
    number = _unscaled(value, 4)
    return struct.pack("<BiI", 8, number >> 32, number & 0xFFFFFFFF)


def _guid(value: Any) -> bytes:
    return b"\x10" + (value if isinstance(value, uuid.UUID) else uuid.UUID(str(value))).bytes_le


_SCALARS: dict[str, Encoder] = {
    "bit": lambda value: b"\1\1" if value else b"\1\0",
    "real": lambda value: struct.pack("<Bf", 4, value),
    "float": lambda value: struct.pack("<Bd", 8, value),
    "money": _money,
    "smallmoney": lambda value: struct.pack("<Bi", 4, _unscaled(value, 4)),
    "uniqueidentifier": _guid,
    "date": lambda value: b"\x03" + temporal.day(value),
    "datetime": temporal.ticks_of_300,
    "smalldatetime": lambda value: struct.pack(
        "<BHH", 4, temporal.days_since_1900(value), value.hour * 60 + value.minute
    ),
}
