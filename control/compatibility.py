"""Whether records written with one Avro schema can be read with another, by the specification's "Schema Resolution".

It knows what our contracts use: records (told by their unqualified names), arrays, maps, unions and primitive types; a schema
with aliases, enums, fixed or logical types is refused, never guessed at. A test holds its verdicts against those of the schema registry.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fluxion.errors import ConfigurationError

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
# From what was written to what it may be read as.
PROMOTIONS = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}
KNOWN_ATTRIBUTES = frozenset({"type", "name", "doc", "namespace", "fields", "items", "values", "default"})

Schema = Any  # JSON: a name, a list (union) or an object


@dataclass(frozen=True)
class Fault:
    """What keeps a record from being read. place: the way to it, such as sale.lines[].quantity."""

    place: str
    message: str
    mend: str


def unreadable(reader: Schema, writer: Schema) -> list[Fault]:
    """Return why records written with `writer` cannot be read with `reader`; empty where they can.

    Raises ConfigurationError for a schema with parts that this checker does not know.
    """
    _demand_known(reader, "")
    _demand_known(writer, "")
    return list(_Resolution(_Named(reader), _Named(writer)).faults(reader, writer, "", frozenset()))


def unsound(schema: Schema) -> list[Fault]:
    """Return the fields whose default does not fit their type: nobody could use it."""
    _demand_known(schema, "")
    return list(_bad_defaults(schema, "", _Named(schema)))


class _Named:
    """The records that a schema defines, by name, for they may be named again after their definition."""

    def __init__(self, schema: Schema) -> None:
        self._records: dict[str, Schema] = {}
        self._gather(schema)

    def __call__(self, schema: Schema) -> Schema:
        """Return a schema in full: {"type": …} for a primitive, the definition for a record's name."""
        if isinstance(schema, str):
            return {"type": schema} if schema in PRIMITIVES else self._records[schema]
        if isinstance(schema, dict) and isinstance(schema["type"], dict | list):
            return self(schema["type"])
        return schema

    def _gather(self, schema: Schema) -> None:
        for inner in [schema] if isinstance(schema, dict) and schema["type"] == "record" else []:
            self._records[inner["name"]] = inner
        for _, inner in _inside(schema):
            self._gather(inner)


def _inside(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield the schemas that stand in a schema, each with its place there."""
    if isinstance(schema, list):
        yield from (("", branch) for branch in schema)
    elif isinstance(schema, dict):
        yield from ((f".{field['name']}", field["type"]) for field in schema.get("fields", ()))
        yield from (("[]", schema[name]) for name in ("items", "values") if name in schema)
        if isinstance(schema["type"], dict | list):
            yield "", schema["type"]


def _demand_known(schema: Schema, place: str) -> None:
    kind = schema if isinstance(schema, str) else schema.get("type") if isinstance(schema, dict) else None
    strange: list[str] = []
    if isinstance(schema, dict):
        attributes = [*schema, *(name for field in schema.get("fields", ()) for name in field)]
        strange = sorted(set(attributes) - KNOWN_ATTRIBUTES)
    if isinstance(kind, str) and kind in {"enum", "fixed", "error"}:
        strange.append(kind)
    if strange:
        message = f"the contract uses {', '.join(strange)} at {place.lstrip('.') or 'its top'}"
        raise ConfigurationError(message, "write it without, or teach control/compatibility.py what it means")
    for way, inner in _inside(schema):
        _demand_known(inner, place + way)


@dataclass(frozen=True)
class _Resolution:
    """The specification's rules, one method each. under_way: pairs of records that are being compared further up."""

    readers: _Named
    writers: _Named

    def faults(
        self, reader: Schema, writer: Schema, place: str, under_way: frozenset[tuple[int, int]]
    ) -> Iterator[Fault]:
        reader, writer = self.readers(reader), self.writers(writer)
        if (id(reader), id(writer)) in under_way:  # a record that holds itself
            return
        under_way |= {(id(reader), id(writer))}
        if isinstance(writer, list):
            for branch in writer:
                yield from self.faults(reader, branch, place, under_way)
        elif isinstance(reader, list):
            yield from self._of_union(reader, writer, place, under_way)
        elif _kind(reader) != _kind(writer):
            if _kind(reader) not in PROMOTIONS.get(_kind(writer), ()):
                yield _differ(_name(reader), _name(writer), place)
        elif "fields" in reader:
            yield from self._of_record(reader, writer, place, under_way)
        else:
            for part in ("items", "values"):
                if part in reader:
                    yield from self.faults(reader[part], writer[part], f"{place}[]", under_way)

    def _of_union(
        self, reader: list[Schema], writer: Schema, place: str, under_way: frozenset[tuple[int, int]]
    ) -> Iterator[Fault]:
        tries = [list(self.faults(branch, writer, place, under_way)) for branch in reader]
        if all(tries):
            # A branch of the same kind, with a fault inside, says more than "none fits".
            kinds = [_kind(self.readers(branch)) for branch in reader]
            alike = [found for kind, found in zip(kinds, tries, strict=True) if kind == _kind(writer)]
            yield from alike[0] if alike else [_differ(_name(reader), _name(writer), place)]

    def _of_record(
        self, reader: Schema, writer: Schema, place: str, under_way: frozenset[tuple[int, int]]
    ) -> Iterator[Fault]:
        if reader["name"] != writer["name"]:
            yield _differ(reader["name"], writer["name"], place)
            return
        written = {field["name"]: field["type"] for field in writer["fields"]}
        for field in reader["fields"]:
            way = f"{place}.{field['name']}".lstrip(".")
            if field["name"] in written:
                yield from self.faults(field["type"], written[field["name"]], way, under_way)
            elif "default" not in field:
                yield Fault(way, "the reader demands the field, and the record lacks it", "give the field a default")


def _differ(reader: str, writer: str, place: str) -> Fault:
    mend = f"keep {writer}, or add a field of another name with a default"
    return Fault(place or "its top", f"written as {writer}, it cannot be read as {reader}", mend)


def _kind(schema: Schema) -> str:
    return "union" if isinstance(schema, list) else str(schema["type"])


def _name(schema: Schema) -> str:
    if isinstance(schema, list):
        return f"[{', '.join(_name(branch) for branch in schema)}]"
    return schema if isinstance(schema, str) else str(schema.get("name", schema["type"]))


def _bad_defaults(schema: Schema, place: str, named: _Named) -> Iterator[Fault]:
    for field in schema.get("fields", ()) if isinstance(schema, dict) else ():
        if "default" in field and not _fits(field["default"], field["type"], named):
            way = f"{place}.{field['name']}".lstrip(".")
            first = ", the first type of its union" if isinstance(field["type"], list) else ""
            yield Fault(way, f"the default {field['default']!r} does not fit the type", f"give one of its type{first}")
    for way, inner in _inside(schema):
        yield from _bad_defaults(inner, place + way, named)


_PYTHON: dict[str, type | tuple[type, ...]] = {
    "null": type(None),
    "boolean": bool,
    "int": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "string": str,
    "bytes": str,
    "array": list,
    "map": dict,
    "record": dict,
}


def _fits(value: object, schema: Schema, named: _Named) -> bool:
    """Tell whether a default as JSON is of the type; that of a union is of its first type."""
    schema = named(schema)
    if isinstance(schema, list):
        return _fits(value, schema[0], named)
    if not isinstance(value, _PYTHON[_kind(schema)]) or (isinstance(value, bool) and _kind(schema) != "boolean"):
        return False
    if isinstance(value, list):
        return all(_fits(item, schema["items"], named) for item in value)
    if isinstance(value, dict) and "values" in schema:
        return all(_fits(item, schema["values"], named) for item in value.values())
    if isinstance(value, dict):
        fields = schema["fields"]
        return all(field["name"] not in value or _fits(value[field["name"]], field["type"], named) for field in fields)
    return True
