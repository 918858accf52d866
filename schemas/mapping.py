"""Templates from file or database, checked as they are read and against the tables that a source really has."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fluxion.errors import MappingError
from schemas import template as forms
from schemas.template import (
    MOMENTS,
    NUMBER_FORMATS,
    NUMBERS,
    Block,
    Column,
    Constant,
    Primary,
    Reference,
    SaleBlock,
    StockBlock,
    Template,
    blocks,
    fields,
    references,
)

__all__ = ["Catalogue", "Table", "Template", "check", "load", "resolve", "restore", "tables"]


@dataclass(frozen=True)
class Table:
    """A table as the source has it; `key` is empty where it has no primary key."""

    columns: tuple[str, ...]
    key: tuple[str, ...]


Catalogue = Mapping[str, Table]


def load(source: str | Path) -> Template:
    """Read a template by name ("systimax") or from a YAML file; raises MappingError with every fault of its form."""
    path = Path(source)
    if path.suffix in {".yaml", ".yml"}:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            message = f"the template {path} cannot be read ({fault})"
            raise MappingError(message, "name a readable YAML file in UTF-8") from None
        return _parse(text, str(path))
    folder = files("schemas").joinpath("systems")
    names = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    if str(source) not in names:
        message = f"there is no template {str(source)!r}{_near(str(source), names)}"
        raise MappingError(message, f"name one of {', '.join(names)}, or a YAML file")
    return _parse(folder.joinpath(f"{source}.yaml").read_text(encoding="utf-8"), str(source))


def resolve(template: Template) -> dict[str, Any]:
    """Return the template as plain data with every default filled in: what `pos_systems.field_mappings` holds."""
    return template.model_dump(mode="json", by_alias=True, exclude_none=True)


def restore(data: Mapping[str, Any]) -> Template:
    """Return the template that `resolve` made plain; raises MappingError."""
    return _validated(dict(data), "the stored mapping")


def tables(template: Template) -> frozenset[str]:
    """Return every table that the template reads, so every table to capture."""
    return frozenset(block.from_ for _, block in blocks(template))


def check(template: Template, catalogue: Catalogue | None = None, stores: int = 1) -> None:
    """Hold a template against the source's tables and the number of stores; raises MappingError with every fault at once.

    Without a catalogue only the stores are checked.
    """
    found = list(_store_faults(template, catalogue, stores))
    if catalogue is not None:
        for name, block in _named(template):
            found += _block_faults(name, block, catalogue)
    if found:
        raise MappingError("; ".join(found), "correct the template, or the database it is used for")


# Reading -------------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans only, so that Y, N, yes, no and on stay text; a key that stands twice is a fault."""

    yaml_implicit_resolvers = {  # noqa: RUF012 -- the base class declares it without ClassVar
        letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _without_doubles(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.value in seen:
            message = f"line {key.start_mark.line + 1}: {key.value!r} stands twice"
            raise yaml.YAMLError(message)
        seen.add(str(key.value))
    return loader.construct_mapping(node, deep=True)


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_constructor("tag:yaml.org,2002:map", _without_doubles)


def _parse(text: str, name: str) -> Template:
    try:
        data = yaml.load(text, _Loader)  # noqa: S506 -- a SafeLoader
    except (yaml.YAMLError, ValueError) as fault:
        message = f"the template {name} is not YAML ({' '.join(str(fault).split())})"
        raise MappingError(message, "correct that line") from None
    return _validated(data, f"the template {name}")


def _validated(data: object, name: str) -> Template:
    try:
        found = Template.model_validate(data)
    except ValidationError as fault:
        said = "; ".join(_said(detail) for detail in fault.errors())
        message = f"{name} does not fit the format: {said}"
        raise MappingError(message, "correct it; the format stands in schemas/template.py") from None
    faults = [fault for label, block in _named(found) for fault in _form_faults(label, block, found)]
    faults += _key_faults(found)
    if faults:
        raise MappingError(f"{name} does not fit the format: {'; '.join(faults)}", "correct it")
    return found


_FORMS = {"constant", "column", "primary", "columns", "reference"}


def _said(detail: ErrorDetails) -> str:
    """Put pydantic's fault into a sentence that names the place as the template spells it."""
    # Pydantic names the form of a value among the places; "column" is also a key, and then it stands last.
    *above, last = detail["loc"] or ("template",)
    place = ".".join(str(part) for part in [*(part for part in above if part not in _FORMS), last])
    if detail["type"] == "extra_forbidden":
        return f"{place} is not known{_near(str(last), _NAMES)}"
    if detail["type"] == "missing":
        return f"{place} is missing"
    return f"{place}: {detail['msg'].removeprefix('Value error, ')}"


def _all_names() -> list[str]:
    models = (kind for kind in vars(forms).values() if isinstance(kind, type) and issubclass(kind, BaseModel))
    return sorted({info.alias or name for kind in models for name, info in kind.model_fields.items()})


_NAMES = _all_names()


def _near(name: str, known: Collection[str]) -> str:
    found = get_close_matches(name.casefold(), [entry.casefold() for entry in known], 1)
    spelled = [entry for entry in known if found and entry.casefold() == found[0]]
    return f", did you mean {spelled[0]!r}?" if spelled else ""


# Checking ------------------------------------------------------------------------------------------------------------


def _named(template: Template) -> Iterator[tuple[str, Block]]:
    for entity, block in blocks(template):
        yield ("sale.lines" if entity == "line" else entity), block


def _form_faults(name: str, block: Block, template: Template) -> Iterator[str]:
    """Yield what the models cannot see: formats that do not suit the field, references that nothing answers."""
    for field, value in fields(block).items():
        if isinstance(value, Column):
            yield from (f"{name}.{field}.{fault}" for fault in _column_faults(field, value))
    for entity, ref in references(block).items():
        feeding = {other.from_ for kind, other in blocks(template) if kind == entity}
        if isinstance(ref, Reference) and ref.table not in feeding:
            yield f"{name}.{entity}.table: {ref.table!r} feeds no {entity}{_near(ref.table, feeding)}"
        elif not feeding:
            yield f"{name}.{entity}: nothing in the template feeds {entity}"
        elif entity != "sale" and not isinstance(ref, Reference) and len(feeding) > 1:
            yield f"{name}.{entity}: several tables feed {entity}, so say {{table, key}}"


def _column_faults(field: str, value: Column) -> Iterator[str]:
    if value.format is not None:
        if field in NUMBERS and value.format not in NUMBER_FORMATS:
            yield 'format: a number is written "1.234,56" or "1,234.56"'
        elif field in MOMENTS and "%" not in value.format:
            yield "format: a time is written with strptime's letters, such as %d/%m/%Y %H:%M:%S"
        elif field not in NUMBERS | MOMENTS:
            yield "format: only numbers and times have one"
    if value.map is None and value.else_ is not None:
        yield "else: needs a map"
    if value.map is not None and field in MOMENTS:
        yield "map: a time cannot be mapped"


def _key_faults(template: Template) -> Iterator[str]:
    """Yield tables that feed one entity by two keys: their rows would have two ids."""
    keys: dict[tuple[str, str], object] = {}
    for name, block in _named(template):
        if keys.setdefault((name, block.from_), block.key) != block.key:
            yield f"{name}.key: {block.from_!r} feeds {name} twice, so both must have the same key"


def _store_faults(template: Template, catalogue: Catalogue | None, stores: int) -> Iterator[str]:
    for name, block in _named(template):
        if stores <= 1 or not isinstance(block, StockBlock | SaleBlock):
            continue
        if block.store is None:
            yield f"{name}.store: the system has {stores} stores, so it must name the column that tells them apart"
            continue
        table = catalogue.get(block.from_) if catalogue is not None else None
        if table is None or isinstance(block.store, Constant) or not block.store.optional:
            continue
        if block.store.column not in table.columns:
            yield f"{name}.store: {block.from_!r} has no {block.store.column!r}, and the system has {stores} stores"


def _columns(block: Block) -> Iterator[tuple[str, str]]:
    """Yield (place, column) of every column that the table must have."""
    store = getattr(block, "store", None)
    values = {**fields(block), **({"store": store} if store else {})}
    for place, value in values.items():
        if isinstance(value, Column) and not value.optional:
            yield place, value.column
    for entity, ref in references(block).items():
        yield from ((entity, column) for column in (ref.key if isinstance(ref, Reference) else ref))
    if not isinstance(block.key, Primary):
        yield from (("key", column) for column in block.key)
    yield from (("where", column) for column in block.where)
    if isinstance(block, SaleBlock):
        yield from (("closed_when", column) for column in block.closed_when)
        yield from ((place, column) for place in ("since", "line_count") if (column := getattr(block, place)))


def _block_faults(name: str, block: Block, catalogue: Catalogue) -> Iterator[str]:
    table = catalogue.get(block.from_)
    if table is None:
        yield f"{name}.from: the source has no table {block.from_!r}{_near(block.from_, catalogue)}"
        return
    if isinstance(block.key, Primary) and not table.key:
        yield f"{name}.key: {block.from_!r} has no primary key, so name columns that together are unique"
    for place, column in _columns(block):
        if column not in table.columns:
            yield f"{name}.{place}: {block.from_!r} has no column {column!r}{_near(column, table.columns)}"
