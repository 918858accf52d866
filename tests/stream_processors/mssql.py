"""Tables of installed SQL Server products, and their rows as the SQL Server source gives them: of a deleted one its key alone."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from fluxion.registry import Store, System
from schemas.identity import Entity, entity_id
from schemas.mapping import load, resolve
from schemas.records import CanonicalSet, Change, Column, Layout, Op, Sale, Type
from schemas.source_tables import Table
from schemas.template import Template
from tests.stream_processors.sets import STORE_1, SYSTEM, change_set, read, system

# One row of a change set: (layout, op, transaction, values).
Given = tuple[Layout, Op, int, list[str | None]]


def table(name: str, key: str, **columns: str) -> Layout:
    """A table: its key, and by type the names of its columns."""
    found = [Column(one, cast("Type", kind)) for kind, names in columns.items() for one in names.split()]
    return Layout(name, key.split(), found)


def row(kind: Layout, values: Mapping[str, str | None], op: Op = "c", txn: int = 0, **changed: str | None) -> Given:
    """A row; a column that is not named is NULL."""
    cells = {**values, **changed}
    names = [column.name for column in kind.columns]
    assert set(cells) <= set(names)
    return kind, op, txn, [cells.get(name) for name in names]


def gone(kind: Layout, *key: str) -> Given:
    """A deleted row."""
    columns = [column for column in kind.columns if column.name in kind.key]
    assert len(columns) == len(key)
    by_name = dict(zip(kind.key, key, strict=True))
    return Layout(kind.table, kind.key, columns), "d", 0, [by_name[column.name] for column in columns]


def template(name: str, own: str = "") -> Template:
    """A built-in template, or one that extends it and says `own` besides."""
    if not own:
        return load(name)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mi-tienda.yaml"
        path.write_text(f"template: mi-tienda\nversion: 1\nextends: {name}@1\n{own}", encoding="utf-8")
        return load(path)


def shop(name: str, own: str = "", store: str | None = None) -> System:
    """A system with one store."""
    only = (Store(STORE_1, store, "Chacao", "America/Caracas", "00:00:00"),)
    return system(resolve(template(name, own)), stores=only)


def made(on: System, *rows: Given) -> CanonicalSet:
    """What the chain makes of the rows; none of them was refused."""
    found = read(change_set(*rows), on)
    assert [entry.message for entry in found.quarantined] == []
    return found


def sale(on: System, *rows: Given) -> Sale:
    """The only sale that the chain makes of the rows."""
    (found,) = made(on, *rows).sales
    return found


def said(change: Change | None) -> dict[str, Any]:
    """The fields that were sent, and what they say."""
    assert change is not None
    return {name: getattr(change, name) for name in change.fields}


def ident(entity: Entity, kind: Layout, *key: str, ignore_case: bool = False) -> str:
    """The id of an entity that a table feeds."""
    return entity_id(SYSTEM, entity, kind.table, key, ignore_case=ignore_case)


def catalogue(*layouts: Layout) -> dict[str, Table]:
    """The tables as a source's catalogue has them."""
    return {one.table: Table(tuple(column.name for column in one.columns), tuple(one.key)) for one in layouts}


def misspelt(tables: Mapping[str, Table], name: str, old: str, new: str) -> dict[str, Table]:
    """The catalogue with another name for one column."""
    found = tables[name]
    assert old in found.columns
    return {**tables, name: Table(tuple(new if one == old else one for one in found.columns), found.key)}
