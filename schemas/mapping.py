"""Templates from file or database, checked as they are read and against the tables that a source really has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fluxion.errors import MappingError
from schemas.mapping_check import Use, form_faults, source_faults, store_faults, uses
from schemas.mapping_deletes import LostKey, lost_keys
from schemas.mapping_text import read, said
from schemas.parts import parts
from schemas.source_tables import Catalogue, DeletedRow
from schemas.template import Template

__all__ = [
    "Difference",
    "LostKey",
    "Template",
    "Use",
    "check",
    "differences",
    "json_schema",
    "load",
    "resolve",
    "restore",
    "tables",
    "uses",
]


def load(source: str | Path) -> Template:
    """Read a template by name ("systimax") or from a YAML file; raises MappingError with every fault of its form."""
    return _validated(*read(source))


def resolve(template: Template) -> dict[str, Any]:
    """Return the template as plain data with every default filled in: what `pos_systems.field_mappings` holds."""
    return template.model_dump(mode="json", by_alias=True, exclude_none=True)


def restore(data: Mapping[str, Any]) -> Template:
    """Return the template that `resolve` made plain; raises MappingError."""
    return _validated(dict(data), "the stored mapping")


def tables(template: Template) -> frozenset[str]:
    """Return every table that the template reads, so every table to capture."""
    return frozenset(part.table for part in parts(template))


def check(
    template: Template, catalogue: Catalogue | None = None, stores: int = 1, deleted: DeletedRow = "whole"
) -> list[LostKey]:
    """Hold a template against the source's tables and the number of stores; raises MappingError with every fault at once.

    Without a catalogue only the stores are checked. deleted: what the source tells of a deleted row. Returns what is
    no more than a warning: all is captured, and some deletes wait in quarantine.
    """
    found = list(store_faults(template, catalogue, stores))
    lost: list[LostKey] = []
    if catalogue is not None:
        found += source_faults(template, catalogue)
        lost = list(dict.fromkeys(lost_keys(template, catalogue))) if deleted == "key" else []
        found += [f"{one.message}: {one.mend}" for one in lost if not one.referred]
    if found:
        raise MappingError("; ".join(dict.fromkeys(found)), "correct the template, or the database it is used for")
    return [one for one in lost if one.referred]


def _validated(data: object, name: str) -> Template:
    try:
        found = Template.model_validate(data)
    except ValidationError as fault:
        faults = [said(detail) for detail in fault.errors()]
    else:
        faults = list(dict.fromkeys(form_faults(found)))
        if not faults:
            return found
    mend = "correct it; `fluxion mapping schema` prints the format"
    raise MappingError(f"{name} does not fit the format: {'; '.join(faults)}", mend)


def json_schema() -> dict[str, Any]:
    """Return the format as a JSON Schema, for editors.

    A template that extends another may leave out what it inherits, or take it away, so a block demands nothing here:
    `load` does.
    """
    made = Template.model_json_schema(by_alias=True, mode="validation")
    for name, block in made["$defs"].items():
        if name.endswith("Block") and name not in {"PaymentsBlock", "TaxesBlock"}:  # (lists are replaced whole)
            block.pop("required", None)
    for section in ("category", "supplier", "product", "stock", "movement", "sale"):
        made["properties"][section]["anyOf"].append({"type": "null"})
    pattern = r"^[\w-]+@\d+$"
    made["properties"]["extends"] = {"type": "string", "pattern": pattern, "description": "name@version of the base"}
    own = ["template", "version"]
    full = made.pop("required")
    made |= {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "required": own,
        "anyOf": [{"required": full}, {"required": [*own, "extends"]}],
    }
    return made


@dataclass(frozen=True)
class Difference:
    """A place of a resolved template whose value changes; None where there is none."""

    place: str
    old: object
    new: object


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Return what differs between two resolved templates, in the order of the places."""
    before, after = dict(_leaves("", old)), dict(_leaves("", new))
    return [
        Difference(place, before.get(place), after.get(place))
        for place in dict.fromkeys([*after, *before])
        if before.get(place) != after.get(place)
    ]


def _leaves(place: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield (place, value); a list of one block reads like the block, a field's value is one leaf."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    if isinstance(value, Mapping) and not _LEAF & set(value):
        for name, inner in value.items():
            yield from _leaves(f"{place}.{name}" if place else str(name), inner)
    elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        for number, inner in enumerate(value, 1):
            yield from _leaves(f"{place}.{number}", inner)
    else:
        yield place, value


# What marks the plain form of a field's value.
_LEAF = {"column", "value", "call", "primary"}
