"""A table map: what the rows behind it look like, in the names and types of the moment when they were written."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from producers.sources.mysql.binlog.events import HEADER, packed_int
from producers.sources.mysql.binlog.metadata import Metadata, metadata


class FieldType(IntEnum):
    """The server's enum_field_types, as far as they stand in a MariaDB's log."""

    TINY = 1
    SHORT = 2
    LONG = 3
    FLOAT = 4
    DOUBLE = 5
    TIMESTAMP = 7
    LONGLONG = 8
    INT24 = 9
    DATE = 10
    TIME = 11
    DATETIME = 12
    YEAR = 13
    VARCHAR = 15
    BIT = 16
    TIMESTAMP2 = 17
    DATETIME2 = 18
    TIME2 = 19
    BLOB_COMPRESSED = 140
    VARCHAR_COMPRESSED = 141
    NEWDECIMAL = 246
    ENUM = 247
    SET = 248
    BLOB = 252
    VAR_STRING = 253
    STRING = 254
    GEOMETRY = 255


_T = FieldType
# Bytes of metadata that a type has in the map.
_METADATA: dict[int, int] = {
    **dict.fromkeys([_T.FLOAT, _T.DOUBLE, _T.TIMESTAMP2, _T.DATETIME2, _T.TIME2], 1),
    **dict.fromkeys([_T.BLOB, _T.BLOB_COMPRESSED, _T.GEOMETRY], 1),
    **dict.fromkeys([_T.VARCHAR, _T.VARCHAR_COMPRESSED, _T.VAR_STRING, _T.STRING, _T.BIT, _T.NEWDECIMAL], 2),
}
_NUMERIC = {_T.TINY, _T.SHORT, _T.INT24, _T.LONG, _T.LONGLONG, _T.NEWDECIMAL, _T.FLOAT, _T.DOUBLE, _T.YEAR}
_TEXT = {
    _T.STRING, _T.VAR_STRING, _T.VARCHAR, _T.BLOB, _T.GEOMETRY, _T.BLOB_COMPRESSED, _T.VARCHAR_COMPRESSED,
}  # fmt: skip
_NAMES_AT = HEADER + 8


@dataclass(frozen=True)
class Field:
    """A column of a table map.

    size: by type the most bytes of a text, the bytes of a BLOB's length or of an ENUM or SET, the bits of a BIT, the digits
    of a fraction of a second, or the precision of a DECIMAL (scale beside it). charset: "" where the log does not say.
    """

    name: str
    type: int
    size: int = 0
    scale: int = 0
    unsigned: bool = False
    charset: str = ""
    labels: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class TableMap:
    """A version of a table. has_names: binlog_row_metadata was FULL. key: names of the primary key's columns."""

    table: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    has_names: bool


def table_of(event: bytes) -> tuple[str, str]:
    """Return a table map's database and table."""
    database, at = _name(event, _NAMES_AT)
    table, _ = _name(event, at)
    return database, table


def table_map(event: bytes, collations: Mapping[int, str]) -> TableMap:
    """Read a table map. collations: the character set of every collation's number."""
    _, at = _name(event, _NAMES_AT)
    table, at = _name(event, at)
    count, at = packed_int(event, at)
    types = event[at : at + count]
    size, at = packed_int(event, at + count)
    end = at + size
    fields = []
    for type_ in types:
        field, at = _field(event, at, type_)
        fields.append(field)
    if at != end:
        raise ValueError(f"table map of {table}: metadata of an unknown type among {sorted(set(types))}")
    more = metadata(event, end + (count + 7) // 8)
    has_names = len(more.names) == count
    named = _described(fields, more, collations) if has_names else fields
    return TableMap(table, tuple(named), tuple(more.names[index] for index in sorted(more.key)), has_names)


def _field(event: bytes, at: int, type_: int) -> tuple[Field, int]:
    end = at + _METADATA.get(type_, 0)
    raw = event[at:end]
    match type_:
        case _T.STRING if raw[0] in (_T.ENUM, _T.SET):
            return Field("", raw[0], raw[1]), end
        case _T.STRING:
            # Lengths from 256 on borrow two bits of the type, inverted.
            return Field("", type_, raw[1] | ((raw[0] & 0x30) ^ 0x30) << 4), end
        case _T.NEWDECIMAL:
            return Field("", type_, raw[0], raw[1]), end
        case _T.BIT:
            return Field("", type_, raw[0] + 8 * raw[1]), end
    return Field("", type_, int.from_bytes(raw, "little")), end


def _described(fields: list[Field], more: Metadata, collations: Mapping[int, str]) -> list[Field]:
    """Give each column what the lists of its sort say of it, in their order."""
    unsigned, enums, sets = iter(more.unsigned), iter(more.enums), iter(more.sets)
    texts = labelled = 0
    described = []
    for field, name in zip(fields, more.names, strict=True):
        charset = ""
        labels: tuple[bytes, ...] = ()
        if field.type in _TEXT:
            charset = collations.get(more.texts.at(texts), "")
            texts += 1
        elif field.type in (_T.ENUM, _T.SET):
            charset = collations.get(more.labelled.at(labelled), "")
            labelled += 1
            labels = next(enums if field.type == _T.ENUM else sets)
        is_unsigned = field.type in _NUMERIC and next(unsigned)
        described.append(Field(name, field.type, field.size, field.scale, is_unsigned, charset, labels))
    return described


def _name(event: bytes, at: int) -> tuple[str, int]:
    """Read a name: its length, its bytes, a zero."""
    start = at + 1
    end = start + event[at]
    return event[start:end].decode(), end + 1
