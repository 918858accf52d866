"""Tenders and taxes that stand in a header's own row: no table of theirs, so their key is the header's and their place."""

from collections.abc import Callable
from functools import partial
from typing import cast

from schemas.blocks import Block, PaymentInRow, TaxInRow
from schemas.identity import Entity
from schemas.parts import Part, parts
from schemas.records import DeletionKind, Row
from stream_processors.cells import Cells, Sent
from stream_processors.context import Context
from stream_processors.drafts import Draft, Values
from stream_processors.rows import Maker, attempt, holds_of, joined, keys_of, reader_of

# What a draft says: values, unsent, warnings, deletion.
Content = tuple[Values, tuple[str, ...], tuple[str, ...], DeletionKind | None]
# The tender or tax that a header's row holds; None where it holds none, nothing where it does not say.
InRow = Callable[[Cells], Content | None]
_NOTHING: Content = ({}, (), (), None)


def in_row_makers(context: Context, sent: Sent, headers: list[Part]) -> list[Maker]:
    """Return one closure for each tender and tax that any of the header's blocks on this table has in its row."""
    found: dict[tuple[Entity, int], list[Part | None]] = {}
    for place, header in enumerate(headers):
        for part in parts(context.template):
            if part.sale is header.block and part.ordinal is not None:
                ways = found.setdefault((part.entity, part.ordinal), [None] * len(headers))
                ways[place] = part
    return [_in_row_maker(context, sent, headers, entity, ordinal, ways) for (entity, ordinal), ways in found.items()]


def _in_row_maker(
    context: Context, sent: Sent, headers: list[Part], entity: Entity, ordinal: int, ways: list[Part | None]
) -> Maker:
    keys, ident = attempt(partial(keys_of, sent, headers[0])), context.ids(entity, sent.table)
    sale_ident = context.ids("sale", sent.table)
    header_kind = cast("Block", headers[0].block).deleted
    last = (str(ordinal),)

    def named(index: int, words: tuple[str, ...], more: Content) -> Draft:
        own = (*words, *last)
        return Draft(index, entity, ident(own), joined(own), *more, sale_id=sale_ident(words))

    def gone(row: Row, index: int, words: tuple[str, ...], kind: DeletionKind) -> Draft | None:
        return named(index, words, ({}, (), (), kind)) if row.op in {"u", "d"} else None

    alternatives = [
        (holds_of(sent, header), None if way is None else attempt(partial(_in_row, context, sent, way)))
        for header, way in zip(headers, ways, strict=True)
    ]

    def make(row: Row, index: int) -> Draft | None:
        cells, words = row.values, keys(row.values)
        if row.op == "d":
            return gone(row, index, words, header_kind)
        for holds, way in alternatives:
            if holds(cells):
                content = None if way is None else way(cells)
                if content is None:
                    return gone(row, index, words, "delete")
                return named(index, words, content) if content[0] else None
        return gone(row, index, words, header_kind)

    return Maker(entity, make, lambda cells: ident((*keys(cells), *last)))


def _in_row(context: Context, sent: Sent, part: Part) -> InRow:
    block = cast("PaymentInRow | TaxInRow", part.block)
    read, holds = reader_of(context, sent, part), sent.matches(block.where, f"{part.name}.where")
    zone, amounts = context.zone, {"amount", "base"}
    unsaid = bool(amounts & set(read.unsent))

    def way(cells: Cells) -> Content | None:
        if unsaid:
            return _NOTHING
        if not holds(cells):
            return None
        values, warnings = read(cells, zone)
        return (values, read.unsent, warnings, None) if any(_is_amount(values.get(name)) for name in amounts) else None

    return way


def _is_amount(value: str | bool | None) -> bool:  # noqa: FBT001 -- a field's value, not a flag
    return isinstance(value, str) and value.strip("+-0.") != ""
