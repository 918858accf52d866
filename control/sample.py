"""A template tried on rows of the real database: what they would become. Nothing is sent, nothing is stored."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from control.source import opened_source
from fluxion.clock import SystemClock
from fluxion.registry import System
from schemas.identity import version_of
from schemas.mapping import Template, resolve
from schemas.records import CanonicalSet, Change, ChangeSet, Row
from stream_processors.remap import Place, remap

NOWHERE = Place("", 0, 0)


def sample(
    system: System, template: Template, table: str, rows: int, access: tuple[str, dict[str, Any]]
) -> CanonicalSet:
    """Return what the first rows of a table mean by a template. `access`: password, and host and port as reached from here.

    Raises FluxionError where the database does not let us look, MappingError where the template is unsound.
    """
    tried = replace(system, mapping=resolve(template))
    with opened_source(system, frozenset({table}), *access) as source:
        first = next(source.resnapshot(None, frozenset({table}), {}), None)
    if first is None:
        return CanonicalSet(
            system_id=system.id, mapping_revision=system.mapping_revision, source_offset=0, captured_at=0
        )
    taken = [
        Row(row.layout, row.op, 0, version_of(1, number), row.source_time, row.values)
        for number, row in enumerate(first.rows[:rows])
    ]
    change_set = ChangeSet(
        system_id=system.id,
        producer="agent",
        epoch=1,
        journal_id="",
        sequence=0,
        captured_at=SystemClock().micros(),
        position="",
        part=0,
        last_part=True,
        layouts=first.layouts,
        rows=taken,
        ends=[],
    )
    return remap(tried, change_set, NOWHERE)


_ENTITIES = ("categories", "suppliers", "products", "stock", "movements")


def lines(made: CanonicalSet) -> Iterator[str]:
    """Write a canonical set for people: a line for each record, the faults behind."""
    for name in _ENTITIES:
        for change in getattr(made, name):
            yield _line(change)
    for sale in made.sales:
        if sale.header is not None:
            closed = " (not closed yet)" if sale.closed is False else ""
            yield _line(sale.header) + closed
        for change in (*sale.lines, *sale.payments, *sale.taxes):
            yield _line(change)
    for entry in made.quarantined:
        yield f"FAULT {entry.external_table} {entry.external_id or '?'}: {entry.code}: {entry.message}"


def _line(change: Change) -> str:
    kind = type(change).__name__
    said = " ".join(f"{name}={_shown(getattr(change, name))}" for name in change.fields)
    warned = f" [{', '.join(change.warnings)}]" if change.warnings else ""
    return f"{kind} {change.external_id}: {said}{warned}"


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode()
