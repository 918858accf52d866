"""What closures are made from besides the layout."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import cast
from zoneinfo import ZoneInfo

from schemas.blocks import Fed, OfSaleBlock
from schemas.identity import Entity, entity_id
from schemas.parts import Part, parts, references
from schemas.template import Template
from stream_processors.cells import Cells, Sent
from stream_processors.drafts import KeyMissingError
from stream_processors.getters import Get
from stream_processors.stores import Shops

Ident = Callable[[tuple[str, ...]], str]
SaleOf = Callable[[Cells], str]


@dataclass(frozen=True)
class Context:
    """A system's template with its stores. zone: where a row belongs to no store."""

    system_id: str
    template: Template
    shops: Shops
    zone: ZoneInfo

    def ids(self, entity: Entity, table: str) -> Ident:
        """Return what derives the ids of an entity's rows of a table from their keys."""
        ignore_case, system_id = self.template.keys == "ignore_case", self.system_id

        @lru_cache(maxsize=4096)
        def ident(words: tuple[str, ...]) -> str:
            return entity_id(system_id, entity, table, words, ignore_case=ignore_case)

        return ident

    def refs(self, sent: Sent, part: Part) -> list[tuple[str, Get]]:
        """Return (record's field, what reads it) for each reference whose columns were sent, but for that to the sale."""
        found: list[tuple[str, Get]] = []
        for name, (_, ref) in references(part.block).items():
            if name != "sale" and sent.has(ref.key):
                field = "original_sale_ref" if name == "original" else f"{name}_ref"
                found.append((field, self._reference(sent, part.block, name, f"{part.name}.{name}", None)))
        return found

    def sale_of(self, sent: Sent, part: Part) -> SaleOf:
        """Return what reads the id of the sale that a line, a tender or a tax belongs to; ColumnMissingError."""
        table = part.sale.from_ if part.sale is not None else None
        ref = self._reference(sent, part.block, "sale", f"{part.name}.sale", table)

        def sale(cells: Cells) -> str:
            found = ref(cells)
            if found is None:
                message = f"the row of {sent.table} does not say which sale it belongs to"
                raise KeyMissingError(message, "give the row its sale in the source")
            return cast("str", found)

        return sale

    def _reference(self, sent: Sent, block: Fed, name: str, place: str, table: str | None) -> Get:
        entity, ref = references(block)[name]
        if not isinstance(block, OfSaleBlock) or name != "sale":
            table = ref.table or next(
                other.table for other in parts(self.template) if other.entity == entity and other.ordinal is None
            )
        keys, ident = sent.keys(ref.key, place), self.ids(entity, table or "")

        def get(cells: Cells) -> str | None:
            words = keys(cells)
            return None if words is None else ident(words)

        return get
