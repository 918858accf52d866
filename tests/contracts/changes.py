"""Changes of a contract, each with whether the new schema reads old records, and whether the old one reads new records."""

import copy
from collections.abc import Callable
from typing import Any

OLD: dict[str, Any] = {
    "type": "record",
    "name": "Sale",
    "namespace": "fluxion.probe",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "version", "type": "int"},
        {"name": "total", "type": ["null", "string"], "default": None},
        {"name": "complete", "type": "boolean", "default": False},
        {
            "name": "lines",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Line",
                    "fields": [{"name": "sku", "type": ["null", "string"]}, {"name": "quantity", "type": "string"}],
                },
            },
        },
    ],
}


def changed(change: Callable[[list[Any]], object]) -> dict[str, Any]:
    """Return the schema after a change of its fields (in order id, version, total, complete, lines)."""
    new = copy.deepcopy(OLD)
    change(new["fields"])
    return new


def _line(fields: list[Any]) -> Any:
    return fields[4]["type"]["items"]


def _renamed(name: str) -> Callable[[list[Any]], object]:
    return lambda fields: _line(fields).update(name=name)


# What changes → (the new schema, it reads the old one's records, the old one reads its records).
CHANGES: dict[str, tuple[dict[str, Any], bool, bool]] = {
    "nothing": (changed(lambda _: None), True, True),
    "a field with a default": (
        changed(lambda fields: fields.append({"name": "note", "type": ["null", "string"], "default": None})),
        True,
        True,
    ),
    "a field without a default": (
        changed(lambda fields: fields.append({"name": "note", "type": "string"})),
        False,
        True,
    ),
    "a field with a default in a line": (
        changed(lambda fields: _line(fields)["fields"].append({"name": "unit", "type": "string", "default": ""})),
        True,
        True,
    ),
    "a field without a default in a line": (
        changed(lambda fields: _line(fields)["fields"].append({"name": "unit", "type": ["null", "string"]})),
        False,
        True,
    ),
    "a field is gone that had a default": (changed(lambda fields: fields.pop(2)), True, True),
    "a field is gone that had none": (changed(lambda fields: fields.pop(1)), True, False),
    "a field is gone from a line": (changed(lambda fields: _line(fields)["fields"].pop(1)), True, False),
    "a field has another name": (changed(lambda fields: fields[0].update(name="sale_id")), False, False),
    "a field that has a default has another name": (changed(lambda fields: fields[2].update(name="sum")), True, True),
    "a default is gone": (changed(lambda fields: fields[3].pop("default")), True, True),
    "a default is another": (changed(lambda fields: fields[3].update(default=True)), True, True),
    "int grows to long": (changed(lambda fields: fields[1].update(type="long")), True, False),
    "int becomes double": (changed(lambda fields: fields[1].update(type="double")), True, False),
    "int becomes text": (changed(lambda fields: fields[1].update(type="string")), False, False),
    "text becomes bytes": (changed(lambda fields: fields[0].update(type="bytes")), True, True),
    "text may be null": (changed(lambda fields: fields[0].update(type=["null", "string"])), True, False),
    "text may no longer be null": (
        changed(lambda fields: _line(fields)["fields"][0].update(type="string")),
        False,
        True,
    ),
    "a union has one type more": (
        changed(lambda fields: fields[2].update(type=["null", "string", "double"])),
        True,
        False,
    ),
    "a union in another order": (
        changed(lambda fields: _line(fields)["fields"][0].update(type=["string", "null"])),
        True,
        True,
    ),
    "a list becomes one record": (changed(lambda fields: fields[4].update(type=_line(fields))), False, False),
    "a list may be null": (changed(lambda fields: fields[4].update(type=["null", fields[4]["type"]])), True, False),
    "lines become a map": (
        changed(lambda fields: fields[4].update(type={"type": "map", "values": _line(fields)})),
        False,
        False,
    ),
    "the record of a line has another name": (changed(_renamed("Item")), False, False),
    "the name space is another": ({**OLD, "namespace": "fluxion.other"}, True, True),
    "fields in another order": (changed(lambda fields: fields.reverse()), True, True),
    "a record that holds itself": (
        changed(lambda fields: fields.append({"name": "origin", "type": ["null", "Sale"], "default": None})),
        True,
        True,
    ),
}
