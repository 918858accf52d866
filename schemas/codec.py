"""Structs to and from Avro in the schema registry's wire format: byte 0, schema id as four bytes big-endian, body.

The codec holds no client: it is given an id to write with and a look-up to read with. Both are cached, so a registry that
is down after the first record delays nothing.
"""

import io
import json
import struct
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, Generic, TypeVar

import fastavro
import msgspec
from fastavro.types import Schema

from fluxion.errors import DataValidationError

T = TypeVar("T", bound=msgspec.Struct)

# From a schema id to the writer's schema as JSON text; blocks while the registry is down, raises for an unknown id.
LookUp = Callable[[int], str]

_HEADER = struct.Struct(">bI")
_MAGIC = 0


class UnreadableRecordError(DataValidationError):
    """The bytes are not a record of the topic: poison, set aside whole."""

    code = "UNREADABLE_RECORD"


@cache
def schema_text(name: str) -> str:
    """Return the contract `avro/NAME.avsc` as the text that is registered."""
    text = files("schemas").joinpath("avro", f"{name}.avsc").read_text(encoding="utf-8")
    return json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))


@cache
def _parsed(text: str) -> Schema:
    # Each text has a name space of its own: two versions of one record must not meet in fastavro's global table.
    return fastavro.parse_schema(json.loads(text), named_schemas={})


class Encoder(Generic[T]):
    """Writes one record type under one schema id."""

    def __init__(self, name: str, schema_id: int) -> None:
        self._schema = _parsed(schema_text(name))
        self._header = _HEADER.pack(_MAGIC, schema_id)

    def __call__(self, record: T) -> bytes:
        """Return the bytes; raises DataValidationError where a value does not fit the schema."""
        out = io.BytesIO()
        out.write(self._header)
        try:
            fastavro.schemaless_writer(out, self._schema, msgspec.to_builtins(record))
        except (ValueError, TypeError, OverflowError, UnicodeEncodeError) as fault:
            message = f"{type(record).__name__} cannot be written as Avro ({fault})"
            raise DataValidationError(message, "mend the value in the source and send the row again") from fault
        return out.getvalue()


class Decoder(Generic[T]):
    """Reads one record type, whatever compatible version it was written with."""

    def __init__(self, name: str, kind: type[T], look_up: LookUp) -> None:
        self._text = schema_text(name)
        self._kind = kind
        self._look_up = look_up
        self._writers: dict[int, tuple[Schema, Schema | None]] = {}

    def __call__(self, data: bytes) -> T:
        """Return the record; raises UnreadableRecordError for foreign or broken bytes."""
        if len(data) <= _HEADER.size or data[0] != _MAGIC:
            message = "the record does not begin with the schema registry's header"
            raise UnreadableRecordError(message, "find what else produces to this topic")
        (_, schema_id) = _HEADER.unpack_from(data)
        writer, reader = self._writer(schema_id)
        try:
            plain: Any = fastavro.schemaless_reader(io.BytesIO(data[_HEADER.size :]), writer, reader)
            return msgspec.convert(plain, self._kind)
        except Exception as fault:  # fastavro raises whatever it stumbles over in broken bytes
            message = f"the record cannot be read with schema {schema_id} ({type(fault).__name__}: {fault})"
            raise UnreadableRecordError(message, "find what else produces to this topic") from fault

    def _writer(self, schema_id: int) -> tuple[Schema, Schema | None]:
        if schema_id not in self._writers:
            text = self._look_up(schema_id)
            same = json.loads(text) == json.loads(self._text)
            # Resolving a writer's schema against an equal reader's costs a third of the speed for nothing.
            self._writers[schema_id] = (_parsed(text), None if same else _parsed(self._text))
        return self._writers[schema_id]
