"""map: rows to drafts by the template's closures, compiled once for each layout."""

from datetime import time
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from fluxion.errors import DataValidationError, FluxionError, MappingError
from fluxion.registry import Store, System
from schemas.mapping import check, restore, tables
from schemas.records import Layout
from stream_processors.compile import Context, Maker, Shop, compile_table, joined
from stream_processors.drafts import Decoded, Draft, Fault, Mapped, UnknownTableError

# A system has a handful of layouts; one that keeps changing them must not fill the memory.
MAX_LAYOUTS = 1000
_layout_key = msgspec.json.Encoder()

Plan = tuple[Maker, ...] | FluxionError


class Mapping:
    """A system's template and stores at one revision. Raises MappingError where the stored template is unsound."""

    def __init__(self, system: System) -> None:
        template = restore(system.mapping)
        check(template, stores=len(system.stores))
        shops = {store.external_id.strip(): _shop(store) for store in system.stores if store.external_id is not None}
        only = _shop(system.stores[0]) if len(system.stores) == 1 else None
        zone = ZoneInfo(template.defaults.time_zone)
        self.system_id: Final = system.id
        self.revision: Final = system.mapping_revision
        self._context = Context(system.id, template, shops, only, zone)
        self._tables = tables(template)
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
            for make in plan:
                try:
                    draft = make(row, index)
                except FluxionError as fault:
                    faults.append(Fault(index, _external_id(change_set.layouts[row.layout], row.values), fault))
                else:
                    if draft is not None:
                        drafts.append(draft)
        defaults = self._context.template.defaults
        return Mapped(decoded, self.revision, self._tables, defaults, drafts, faults)

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
            return UnknownTableError(message, "map it, or stop capturing it")
        try:
            return tuple(make for _, make in compile_table(self._context, layout))
        except MappingError as fault:
            return fault


def _shop(store: Store) -> Shop:
    return Shop(store.id, ZoneInfo(store.time_zone), time.fromisoformat(store.cutoff).isoformat())


def _external_id(layout: Layout, values: list[str | None]) -> str | None:
    """Name a row that could not be mapped by its table's own key."""
    cells = {column.name: value for column, value in zip(layout.columns, values, strict=True)}
    words = [cells.get(column) for column in layout.key]
    return joined(tuple(word.rstrip() for word in words if word is not None)) if words and None not in words else None
