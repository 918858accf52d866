"""The published JSON Schema says what the models say: it takes every sound template and none that is misspelt."""

import re
from importlib.resources import files
from typing import Any

import pytest
import yaml

from schemas.mapping import json_schema, load, resolve
from schemas.mapping_text import builtin_names
from tests.stream_processors.own_pos import TEXT, mapping

SCHEMA = json_schema()
TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float), "null": type(None),
}  # fmt: skip


KNOWN = {
    "title", "description", "default", "$schema", "$defs", "type", "enum", "const", "pattern", "required", "properties",
    "additionalProperties", "items", "minItems", "minLength", "maxLength", "minimum", "maximum", "minProperties", "anyOf",
    "oneOf",
}  # fmt: skip


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Tell whether a value fits, by the keywords that the schema uses; any other keyword fails the test."""
    if "$ref" in schema:
        return fits(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    kind = schema.get("type")
    if kind is not None and (not isinstance(value, TYPES[kind]) or (kind == "integer" and isinstance(value, bool))):
        return False
    return all(holds(value, schema) for holds in (_is_said, _alternatives_hold, _list_fits, _mapping_fits))


def _is_said(value: Any, schema: dict[str, Any]) -> bool:
    said = value in schema.get("enum", [value]) and value == schema.get("const", value)
    return said and ("pattern" not in schema or re.search(schema["pattern"], value) is not None)


def _alternatives_hold(value: Any, schema: dict[str, Any]) -> bool:
    if "anyOf" in schema and not any(fits(value, one) for one in schema["anyOf"]):
        return False
    return "oneOf" not in schema or sum(fits(value, one) for one in schema["oneOf"]) == 1


def _list_fits(value: Any, schema: dict[str, Any]) -> bool:
    if not isinstance(value, list):
        return True
    return len(value) >= schema.get("minItems", 0) and all(fits(one, schema.get("items", {})) for one in value)


def _mapping_fits(value: Any, schema: dict[str, Any]) -> bool:
    if not isinstance(value, dict):
        return True
    named, other = schema.get("properties", {}), schema.get("additionalProperties", True)
    if not set(schema.get("required", ())) <= set(value) or len(value) < schema.get("minProperties", 0):
        return False
    return all(
        fits(inner, named[name]) if name in named else other is True or (other is not False and fits(inner, other))
        for name, inner in value.items()
    )


def text_of(name: str) -> str:
    return files("schemas").joinpath("systems", f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", builtin_names())
def test_the_templates_that_come_with_the_program_fit_as_they_are_written_and_as_they_are_stored(name: str) -> None:
    assert fits(yaml.safe_load(text_of(name)), SCHEMA)
    assert fits(resolve(load(name)), SCHEMA)


@pytest.mark.parametrize("name", sorted(set(builtin_names()) - {"systimax", "webhook"}))
def test_a_template_of_an_sql_server_product_is_meant_for_sql_server_in_caracas(name: str) -> None:
    found = load(name)
    assert (found.template, found.databases, found.schema_) == (name, ("sqlserver",), "dbo")
    assert (found.defaults.time_zone, found.defaults.currency) == ("America/Caracas", "VES")


def test_everything_that_a_template_can_say_fits() -> None:
    assert fits(yaml.safe_load(TEXT), SCHEMA)
    assert fits(mapping(), SCHEMA)


def test_a_template_that_extends_another_may_leave_out_what_it_inherits() -> None:
    own = {"template": "own", "version": 1, "extends": "systimax@1", "product": {"barcode": "ean"}}
    assert fits(own, SCHEMA)
    assert fits({**own, "stock": None}, SCHEMA)
    assert not fits({name: value for name, value in own.items() if name != "extends"}, SCHEMA)
    assert not fits({**own, "extends": "systimax"}, SCHEMA)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cost_price:", "cost_prise:"),
        ("deleted: purge", "deleted: purged"),
        ("optional: true", "optinal: true"),
        ("version: 1", "version: one"),
        ("{primary: true}", "{primary: false}"),
        ("    quantity: qty", "    quantity: [qty]"),
    ],
)
def test_what_is_misspelt_does_not_fit(old: str, new: str) -> None:
    assert old in text_of("systimax")
    assert not fits(yaml.safe_load(text_of("systimax").replace(old, new)), SCHEMA)
