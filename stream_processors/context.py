"""What closures are made from besides the layout."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import cast
from zoneinfo import ZoneInfo

from schemas.blocks import Fed, OfSaleBlock
from schemas.forms import Reference
from schemas.identity import Entity, entity_id
from schemas.parts import Part, choices, columns_of, parts, references
from schemas.records import UNKNOWN_SALE
from schemas.template import Template
from stream_processors.cells import Cells, Sent, plain
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
            if name != "sale" and all(sent.has(columns_of(one)) for one in choices(ref)):
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

    def sale_if_known(self, sent: Sent, part: Part) -> SaleOf:
        """Return what reads the id of the sale that a deleted row belonged to; UNKNOWN_SALE where the row does not say.

        Of a deleted row many sources know the primary key alone; which sale that was, is known where the row was stored.
        """
        if not sent.has(columns_of(references(part.block)["sale"][1])):
            return _unknown_sale
        table = part.sale.from_ if part.sale is not None else None
        ref = self._reference(sent, part.block, "sale", f"{part.name}.sale", table)

        def sale(cells: Cells) -> str:
            return cast("str", ref(cells) or UNKNOWN_SALE)

        return sale

    def _reference(self, sent: Sent, block: Fed, name: str, place: str, table: str | None) -> Get:
        entity, ref = references(block)[name]
        gets: list[Callable[[Cells], str | None]] = []
        for one in choices(ref):
            if not isinstance(block, OfSaleBlock) or name != "sale":
                table = one.table or next(
                    other.table for other in parts(self.template) if other.entity == entity and other.ordinal is None
                )
            gets.append(_id_of(one, self.ids(entity, table or ""), sent, place))
        if len(gets) == 1:
            return gets[0]
        return lambda cells: next((found for get in gets if (found := get(cells)) is not None), None)


def _id_of(ref: Reference, ident: Ident, sent: Sent, place: str) -> Callable[[Cells], str | None]:
    """Return what reads the id that one choice of a reference means; None where it means nothing."""
    keys = sent.keys(ref.key, place)
    if not ref.where and ref.none is None:

        def get(cells: Cells) -> str | None:
            words = keys(cells)
            return None if words is None else ident(words)

        return get
    holds, nothing = sent.matches(ref.where, f"{place}.where"), frozenset(map(plain, ref.none or ()))

    def get_if_meant(cells: Cells) -> str | None:
        words = keys(cells) if holds(cells) else None
        return None if words is None or not nothing.isdisjoint(words) else ident(words)

    return get_if_meant


def _unknown_sale(_cells: Cells) -> str:
    return UNKNOWN_SALE
