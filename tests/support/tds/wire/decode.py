"""Values in: the parameters of an RPC request, each a TYPE_INFO and a value (MS-TDS 2.2.5.4 and 2.2.5.5)."""

import struct
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.support.tds.types import MAX, SqlType
from tests.support.tds.wire import temporal
from tests.support.tds.wire.encode import LONG, WIDE

NULL_TYPE, INTN, BITN, FLTN, MONEYN, DATETIMEN, GUID, DATE = 0x1F, 0x26, 0x68, 0x6D, 0x6E, 0x6F, 0x24, 0x28
PLP_NULL = 0xFFFFFFFFFFFFFFFF
FIXED = {
    0x30: ("tinyint", "B"),
    0x32: ("bit", "?"),
    0x34: ("smallint", "h"),
    0x38: ("int", "i"),
    0x7F: ("bigint", "q"),
    0x3B: ("real", "f"),
    0x3E: ("float", "d"),
}
INTEGER_BY_WIDTH = {1: "tinyint", 2: "smallint", 4: "int", 8: "bigint"}
SCALED = {0x29: "time", 0x2A: "datetime2", 0x2B: "datetimeoffset"}
LENGTHS = {0xE7: "nvarchar", 0xEF: "nchar", 0xA7: "varchar", 0xAF: "char", 0xA5: "varbinary", 0xAD: "binary"}
BLOBS = {0x23: "varchar", 0x63: "nvarchar", 0x22: "varbinary"}  # text, ntext, image: some drivers' long parameters


class Reader:
    """A cursor over the bytes of one client message; a message that ends early is a ValueError."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) < count:
            raise ValueError("a TDS message ended early")
        self.at += count
        return piece

    def number(self, code: str) -> Any:
        """Return a little-endian number by its struct code."""
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def b_varchar(self) -> str:
        return self.take(self.number("B") * 2).decode("utf-16-le")

    def more(self) -> bool:
        return self.at < len(self.data)

    def peek(self) -> int:
        return self.data[self.at]


def parameter(reader: Reader) -> tuple[SqlType, Any]:
    """TYPE_INFO and value of one parameter; raises ValueError for a type that is not emulated."""
    code = reader.number("B")
    if code in FIXED:
        name, form = FIXED[code]
        return SqlType(name), reader.number(form)
    for codes, read in _READERS:
        if code in codes:
            return read(reader, code)
    raise ValueError(f"parameters of type 0x{code:02x} are not emulated")


def _null(_reader: Reader, _code: int) -> tuple[SqlType, Any]:
    return SqlType("nvarchar", 1), None


def _sized(reader: Reader, code: int) -> tuple[SqlType, Any]:
    """The nullable types of a fixed width: intn, bitn, fltn, moneyn, datetimen, guid."""
    width = reader.number("B")
    data = reader.take(reader.number("B"))
    names = {
        INTN: INTEGER_BY_WIDTH.get(width, "bigint"),
        BITN: "bit",
        FLTN: "real" if width == 4 else "float",
        MONEYN: "money",
        DATETIMEN: "datetime",
        GUID: "uniqueidentifier",
    }
    return SqlType(names[code]), _SIZED_VALUES[code](data) if data else None


def _money(data: bytes) -> Decimal:
    if len(data) == 4:
        return Decimal(int.from_bytes(data, "little", signed=True)).scaleb(-4)
    high, low = struct.unpack("<iI", data)
    return Decimal((high << 32) | low).scaleb(-4)


def _decimal(reader: Reader, _code: int) -> tuple[SqlType, Any]:
    reader.number("B")
    kind = SqlType("decimal", 0, reader.number("B"), reader.number("B"))
    data = reader.take(reader.number("B"))
    if not data:
        return kind, None
    number = int.from_bytes(data[1:], "little") * (1 if data[0] else -1)
    return kind, Decimal(number).scaleb(-kind.scale, WIDE)


def _date(reader: Reader, _code: int) -> tuple[SqlType, Any]:
    data = reader.take(reader.number("B"))
    return SqlType("date"), temporal.day_of(data) if data else None


def _scaled(reader: Reader, code: int) -> tuple[SqlType, Any]:
    kind = SqlType(SCALED[code], 0, 0, reader.number("B"))
    data = reader.take(reader.number("B"))
    return kind, temporal.decode_scaled(kind, data) if data else None


def _length(reader: Reader, code: int) -> tuple[SqlType, Any]:
    name, width = LENGTHS[code], reader.number("H")
    if not name.endswith("binary"):
        reader.take(5)  # the collation
    if width == LONG:
        kind, data = SqlType(name, MAX), _chunks(reader)
    else:
        kind = SqlType(name, width // 2 if name.startswith("n") else width)
        length = reader.number("H")
        data = None if length == LONG else reader.take(length)
    return kind, _text(kind, data)


def _blob(reader: Reader, code: int) -> tuple[SqlType, Any]:
    kind = SqlType(BLOBS[code], MAX)
    reader.number("I")
    if kind.name != "varbinary":
        reader.take(5)
    length = reader.number("i")
    return kind, _text(kind, None if length < 0 else reader.take(length))


def _text(kind: SqlType, data: bytes | None) -> str | bytes | None:
    if data is None or kind.name.endswith("binary"):
        return data
    return data.decode("utf-16-le" if kind.is_national else "cp1252")


def _chunks(reader: Reader) -> bytes | None:
    if reader.number("Q") == PLP_NULL:
        return None
    out = b""
    while length := reader.number("I"):
        out += reader.take(length)
    return out


_SIZED_VALUES: dict[int, Callable[[bytes], Any]] = {
    INTN: lambda data: int.from_bytes(data, "little", signed=len(data) > 1),
    BITN: lambda data: bool(data[0]),
    FLTN: lambda data: struct.unpack("<f" if len(data) == 4 else "<d", data)[0],
    MONEYN: _money,
    DATETIMEN: temporal.decode_datetime,
    GUID: lambda data: uuid.UUID(bytes_le=data),
}
_READERS: tuple[tuple[frozenset[int], Callable[[Reader, int], tuple[SqlType, Any]]], ...] = (
    (frozenset({NULL_TYPE}), _null),
    (frozenset(_SIZED_VALUES), _sized),
    (frozenset({0x6A, 0x6C}), _decimal),
    (frozenset({DATE}), _date),
    (frozenset(SCALED), _scaled),
    (frozenset(LENGTHS), _length),
    (frozenset(BLOBS), _blob),
)
