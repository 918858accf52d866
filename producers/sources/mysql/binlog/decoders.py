"""The decoder of a column, chosen once for each version of its table."""

from collections.abc import Callable
from dataclasses import dataclass

from fluxion.errors import SourceNotReadyError
from producers.sources.mysql import charsets
from producers.sources.mysql.binlog import numbers, strings, temporal
from producers.sources.mysql.binlog.numbers import Decode
from producers.sources.mysql.binlog.table_map import Field, FieldType
from schemas.records import Type

_T = FieldType
_INTEGER_SIZES = {_T.TINY: 1, _T.SHORT: 2, _T.INT24: 3, _T.LONG: 4, _T.LONGLONG: 8}
# As they come: the same for every column of the type.
_PLAIN: dict[int, tuple[Type, Decode]] = {
    _T.YEAR: ("integer", numbers.year),
    _T.FLOAT: ("float", numbers.float4),
    _T.DOUBLE: ("float", numbers.float8),
    _T.DATE: ("date", temporal.day),
    _T.TIME: ("time", temporal.old_clock_time),
    _T.DATETIME: ("datetime", temporal.old_moment),
    _T.TIMESTAMP: ("instant", temporal.old_instant),
}
_MEASURED: dict[int, tuple[Type, Callable[[int], Decode]]] = {
    _T.TIME2: ("time", temporal.clock_time),
    _T.DATETIME2: ("datetime", temporal.moment),
    _T.TIMESTAMP2: ("instant", temporal.instant),
}
_TEXTS = {_T.STRING, _T.VAR_STRING, _T.VARCHAR, _T.VARCHAR_COMPRESSED}
_BLOBS = {_T.BLOB, _T.BLOB_COMPRESSED}
_COMPRESSED = {_T.VARCHAR_COMPRESSED, _T.BLOB_COMPRESSED}


@dataclass(frozen=True)
class Decoder:
    """How a column's values become canonical text of `type`."""

    type: Type
    decode: Decode


def decoder(field: Field) -> Decoder:
    """Choose it; SourceNotReadyError for a type or a character set that cannot be captured."""
    chosen = _number(field) or _moment(field) or _text(field) or _labelled(field)
    if chosen is None:
        what = f"type {field.type}" + (f" in {field.charset}" if field.charset else "")
        message = f"column {field.name} has a type ({what}) in the binary log that cannot be captured yet"
        raise SourceNotReadyError(message, "change its type or leave the table out of the template")
    return chosen


def _number(field: Field) -> Decoder | None:
    if field.type in _INTEGER_SIZES:
        size = _INTEGER_SIZES[FieldType(field.type)]
        return Decoder("integer", numbers.integer(size, unsigned=field.unsigned))
    if field.type == _T.NEWDECIMAL:
        return Decoder("decimal", numbers.decimal(field.size, field.scale))
    if field.type == _T.BIT:
        return Decoder("boolean" if field.size == 1 else "integer", numbers.bit(field.size))
    return Decoder(*_PLAIN[field.type]) if field.type in _PLAIN else None


def _moment(field: Field) -> Decoder | None:
    if field.type not in _MEASURED:
        return None
    type_, measured = _MEASURED[field.type]
    return Decoder(type_, measured(field.size))


def _text(field: Field) -> Decoder | None:
    if field.type not in _TEXTS | _BLOBS:
        return None
    if field.charset == charsets.BINARY:
        type_: Type = "bytes"
        convert: strings.Convert | None = strings.padded(field.size) if field.type == _T.STRING else strings.base64
    else:
        type_, convert = "text", charsets.decoder(field.charset)
    if convert is None:
        return None
    if field.type in _COMPRESSED:
        convert = strings.compressed(convert)
    size = field.size if field.type in _BLOBS else strings.length_size(field.size)
    return Decoder(type_, strings.prefixed(size, convert))


def _labelled(field: Field) -> Decoder | None:
    convert = charsets.decoder(field.charset)
    if field.type not in (_T.ENUM, _T.SET) or convert is None:
        return None
    labels = [convert(label) for label in field.labels]
    return Decoder("text", (strings.enum if field.type == _T.ENUM else strings.set_of)(field.size, labels))
