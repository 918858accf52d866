"""Every record struct goes through its Avro schema and back; the schemas and the structs name the same fields."""

import contextlib
import json
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import Decoder, Encoder, UnreadableRecordError, schema_text
from schemas.events import SaleEvent
from schemas.records import CanonicalSet, ChangeSet
from schemas.status import Status

RECORDS: list[tuple[str, type[msgspec.Struct]]] = [
    ("change_set", ChangeSet),
    ("canonical_set", CanonicalSet),
    ("sale_event", SaleEvent),
    ("status", Status),
]
LONG = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Make values of an annotation that the records use."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        return st.builds(kind, **{name: values_of(hints[name]) for name in kind.__struct_fields__})
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) is list:
        return st.lists(values_of(get_args(kind)[0]), max_size=2)
    if get_origin(kind) in {Union, UnionType}:
        return st.one_of([values_of(arm) for arm in get_args(kind)])
    plain: dict[Any, st.SearchStrategy[Any]] = {NoneType: st.none(), int: LONG, str: TEXT, bool: st.booleans()}
    return plain[kind]


@pytest.mark.parametrize(("name", "kind"), RECORDS)
def test_a_record_survives_the_wire(name: str, kind: type[msgspec.Struct]) -> None:
    encode: Encoder[Any] = Encoder(name, 7)
    decode: Decoder[Any] = Decoder(name, kind, lambda _: schema_text(name))

    @settings(max_examples=40, deadline=None)
    @given(values_of(kind))
    def survives(record: Any) -> None:
        assert decode(encode(record)) == record

    survives()


def fields_of(schema: Any) -> dict[str, Any]:
    """Field name → the record below it, if any, as nested dictionaries."""
    if isinstance(schema, list):
        return next((found for arm in schema if (found := fields_of(arm))), {})
    if not isinstance(schema, dict):
        return {}
    if schema["type"] == "array":
        return fields_of(schema["items"])
    if schema["type"] != "record":
        return {}
    return {field["name"]: fields_of(field["type"]) for field in schema["fields"]}


def fields_of_struct(kind: Any) -> dict[str, Any]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        return {field.encode_name: fields_of_struct(hints[field.name]) for field in msgspec.structs.fields(kind)}
    return next((found for arm in get_args(kind) if (found := fields_of_struct(arm))), {})


@pytest.mark.parametrize(("name", "kind"), RECORDS)
def test_schema_and_struct_name_the_same_fields(name: str, kind: type[msgspec.Struct]) -> None:
    def check(schema: dict[str, Any], struct: dict[str, Any], where: str) -> None:
        assert set(schema) == set(struct), where
        for field, below in schema.items():
            # A record that a schema names a second time is only a name there.
            if below:
                check(below, struct[field], f"{where}.{field}")

    check(fields_of(json.loads(schema_text(name))), fields_of_struct(kind), name)


@pytest.mark.parametrize(
    "foreign",
    [b"", b"\x00", b"not ours at all", b"\x00\x00\x00\x00\x07", b"\x00\x00\x00\x00\x07\xff\xff\xff\xff", b"{}" * 40],
)
def test_foreign_bytes_are_unreadable(foreign: bytes) -> None:
    decode: Decoder[ChangeSet] = Decoder("change_set", ChangeSet, lambda _: schema_text("change_set"))
    with pytest.raises(UnreadableRecordError):
        decode(foreign)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(noise: bytes) -> None:
    decode: Decoder[ChangeSet] = Decoder("change_set", ChangeSet, lambda _: schema_text("change_set"))
    with contextlib.suppress(UnreadableRecordError):
        decode(b"\x00\x00\x00\x00\x07" + noise)


def test_what_the_look_up_raises_passes() -> None:
    def down(_: int) -> str:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        Decoder("change_set", ChangeSet, down)(b"\x00\x00\x00\x00\x07abc")
