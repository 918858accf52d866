"""map: rows to drafts by the template's closures, compiled once for each layout."""

from collections.abc import Callable
from datetime import time
from typing import Final, cast
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from fluxion.errors import DataValidationError, FluxionError, MappingError
from fluxion.registry import Store, System
from schemas.blocks import Block
from schemas.mapping import check, restore, tables
from schemas.parts import parts
from schemas.records import Deletion, End, Layout
from schemas.template import Template
from stream_processors.cells import Cells
from stream_processors.compile import compile_table
from stream_processors.context import Context
from stream_processors.drafts import Decoded, Draft, EndFault, Fault, Mapped, UnknownTableError
from stream_processors.moments import since_instant
from stream_processors.rows import Maker, joined
from stream_processors.stores import Shop, Shops

# A system has a handful of layouts; one that keeps changing them must not fill the memory.
MAX_LAYOUTS = 1000
_layout_key = msgspec.json.Encoder()

Plan = tuple[Maker, ...] | FluxionError


class Mapping:
    """A system's template and stores at one revision. Raises MappingError where the stored template is unsound."""

    def __init__(self, system: System) -> None:
        template = restore(system.mapping)
        check(template, stores=len(system.stores))
        named = {store.external_id.strip(): _shop(store) for store in system.stores if store.external_id is not None}
        only = _shop(system.stores[0]) if len(system.stores) == 1 else None
        zone = ZoneInfo(template.defaults.time_zone)
        self.system_id: Final = system.id
        self.revision: Final = system.mapping_revision
        self._context = Context(system.id, template, Shops(named, only), zone)
        self._tables = tables(template)
        self._deletions = deletions(template)
        self._plans: dict[bytes, Plan] = {}

    def apply(self, decoded: Decoded) -> Mapped:
        """Return a draft for each row and entity; rows that cannot be read stand among the faults."""
        change_set = decoded.change_set
        if change_set.system_id != self.system_id:
            message = f"the record's key says system {self.system_id}, the record {change_set.system_id!r}"
            raise DataValidationError(message, "find what else produces to this topic")
        plans = [self._plan(layout) for layout in change_set.layouts]
        drafts: list[Draft] = []
        faults: list[Fault] = []
        for index, row in enumerate(change_set.rows):
            plan = plans[row.layout]
            if isinstance(plan, FluxionError):
                faults.append(Fault(index, _external_id(change_set.layouts[row.layout], row.values), plan))
                continue
            for entity, make, own in plan:
                try:
                    draft = make(row, index)
                except FluxionError as fault:
                    named = _external_id(change_set.layouts[row.layout], row.values)
                    faults.append(Fault(index, named, fault, entity, _own_id(own, row.values)))
                else:
                    if draft is not None:
                        drafts.append(draft)
        ends, end_faults = self._ends(change_set.ends)
        return Mapped(decoded, self.revision, self._context.template.defaults, drafts, faults, ends, end_faults)

    def _ends(self, given: list[End]) -> tuple[list[End], list[EndFault]]:
        """Return the ends of mapped tables, their bound as an instant, and those whose bound is no time."""
        ends: list[End] = []
        faults: list[EndFault] = []
        for end in given:
            if end.table not in self._tables:
                continue
            try:
                since = end.since and replace(end.since, value=since_instant(end.since.value, self._context.zone))
            except ValueError:
                message = (
                    f"the snapshot of {end.table} is bounded by {end.since and end.since.column}, which is no time"
                )
                mend = "name a column with a date in the template's `since`, and take a new snapshot"
                faults.append(EndFault(end, MappingError(message, mend)))
            else:
                ends.append(replace(end, since=since, deletions=self._deletions[end.table]))
        return ends, faults

    def _plan(self, layout: Layout) -> Plan:
        key = _layout_key.encode(layout)
        if key not in self._plans:
            if len(self._plans) >= MAX_LAYOUTS:
                self._plans.clear()
            self._plans[key] = self._compiled(layout)
        return self._plans[key]

    def _compiled(self, layout: Layout) -> Plan:
        if layout.table not in self._tables:
            message = f"the template says nothing of table {layout.table!r}"
            return UnknownTableError(message, "map it and retry the row from quarantine, or stop capturing it")
        return compile_table(self._context, layout)


def deletions(template: Template) -> dict[str, list[Deletion]]:
    """Return what a deleted row of each table means for the entities that it feeds."""
    found: dict[str, dict[str, Deletion]] = {}
    for part in parts(template):
        # A tender in the header's row goes with the header.
        block = cast("Block", part.sale if part.ordinal is not None else part.block)
        found.setdefault(part.table, {}).setdefault(part.entity, Deletion(part.entity, block.deleted))
    return {table: list(by_entity.values()) for table, by_entity in found.items()}


def _shop(store: Store) -> Shop:
    return Shop(store.id, ZoneInfo(store.time_zone), time.fromisoformat(store.cutoff).isoformat())


def _own_id(own: Callable[[Cells], str], cells: Cells) -> str | None:
    try:
        return own(cells)
    except FluxionError:
        return None


def _external_id(layout: Layout, values: list[str | None]) -> str | None:
    """Name a row that could not be mapped by its table's own key."""
    cells = {column.name: value for column, value in zip(layout.columns, values, strict=True)}
    words = [cells.get(column) for column in layout.key]
    return joined(tuple(word.rstrip() for word in words if word is not None)) if words and None not in words else None
