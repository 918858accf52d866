"""A template to closures: what can be decided once for a layout is decided here, so that a row costs a few calls.

Where several blocks feed one entity from one table, the first whose `where` holds takes the row; a row that none takes is
a delete for op u and d, and skipped for c and r. What a layout cannot serve fails row by row: a deleted row needs no more
than its own key, and an entity that lacks a column leaves the table's other entities alone.
"""

from collections.abc import Callable
from functools import partial
from typing import cast

from fluxion.errors import DataValidationError
from schemas.blocks import Block, MovementBlock, OfSaleBlock, SaleBlock, StockBlock
from schemas.identity import Entity
from schemas.parts import Part, parts
from schemas.records import DeletionKind, Layout, Row
from stream_processors.cells import Cells, Holds, Sent
from stream_processors.context import Context
from stream_processors.drafts import Draft, Values
from stream_processors.in_row import in_row_makers
from stream_processors.moments import day_before
from stream_processors.rows import Maker, attempt, holds_of, joined, keys_of, reader_of

# (cells, row's index, own id, external id) → the draft
Upsert = Callable[[Cells, int, str, str], Draft]
Delete = Callable[[Cells, int, str, str, DeletionKind], Draft]


def compile_table(context: Context, layout: Layout) -> tuple[Maker, ...]:
    """Return one closure for each entity that the table feeds, and what tells its records' ids.

    A closure takes a row and its index and returns a Draft, None where the row is not meant, or raises FluxionError.
    """
    sent = Sent(layout)
    found: dict[Entity, list[Part]] = {}
    for part in parts(context.template):
        if part.table == layout.table and part.ordinal is None:
            found.setdefault(part.entity, []).append(part)
    makers = [_maker(context, sent, alternatives) for alternatives in found.values()]
    return (*makers, *in_row_makers(context, sent, found.get("sale", [])))


def _maker(context: Context, sent: Sent, alternatives: list[Part]) -> Maker:
    first = alternatives[0]
    block = cast("Block", first.block)
    keys, ident = attempt(partial(keys_of, sent, first)), context.ids(first.entity, sent.table)
    ways: list[tuple[Holds, Upsert]] = [
        (holds_of(sent, part), attempt(partial(_upsert, context, sent, part))) for part in alternatives
    ]
    delete = attempt(partial(_delete, context, sent, first))
    kind = block.deleted

    def make(row: Row, index: int) -> Draft | None:
        cells = row.values
        words = keys(cells)
        external = words[0].replace("/", "//") if len(words) == 1 else joined(words)
        if row.op != "d":
            for holds, upsert in ways:
                if holds(cells):
                    return upsert(cells, index, ident(words), external)
            if row.op != "u":
                return None
        return delete(cells, index, ident(words), external, kind)

    return Maker(first.entity, make, lambda cells: ident(keys(cells)))


def _upsert(context: Context, sent: Sent, part: Part) -> Upsert:
    block, entity, zone = part.block, part.entity, context.zone
    if isinstance(block, SaleBlock):
        return _header(context, sent, part, block)
    read = reader_of(context, sent, part)
    if isinstance(block, OfSaleBlock):
        sale, live = context.sale_of(sent, part), part.sale is not None and part.sale.lines_saved == "live"

        def of_sale(cells: Cells, index: int, own: str, external: str) -> Draft:
            values, warnings = read(cells, zone)
            return Draft(
                index, entity, own, external, values, read.unsent, warnings=warnings, sale_id=sale(cells), live=live
            )

        return of_sale
    if isinstance(block, StockBlock | MovementBlock):
        shop = context.shops.finder(sent, block)

        def in_store(cells: Cells, index: int, own: str, external: str) -> Draft:
            where = shop(cells)
            values, warnings = read(cells, where.zone)
            values["store_id"] = where.id
            return Draft(index, entity, own, external, values, read.unsent, warnings=warnings)

        return in_store

    def upsert(cells: Cells, index: int, own: str, external: str) -> Draft:
        values, warnings = read(cells, zone)
        return Draft(index, entity, own, external, values, read.unsent, warnings=warnings)

    return upsert


def _header(context: Context, sent: Sent, part: Part, block: SaleBlock) -> Upsert:
    read, shop, live = reader_of(context, sent, part), context.shops.finder(sent, block), block.lines_saved == "live"
    # A row that does not carry what `closed_when` asks says nothing of it.
    closed = sent.matches(block.closed_when, "sale.closed_when") if sent.has(tuple(block.closed_when)) else _unknown
    counted = sent.find(block.line_count) if block.line_count else None
    computed = block.business_date is None

    def upsert(cells: Cells, index: int, own: str, external: str) -> Draft:
        where = shop(cells)
        values, warnings = read(cells, where.zone)
        if "sold_at" in values and (computed or values.get("business_date", "") is None):
            values["business_date"] = business_date(values, where.cutoff)
        count = None if counted is None else cells[counted[0]]
        return Draft(
            index,
            "sale",
            own,
            external,
            values,
            read.unsent,
            warnings=warnings,
            store_id=where.id,
            closed=closed(cells),
            expected_lines=None if count is None else _count(count),
            live=live,
        )

    return upsert


def _unknown(_cells: Cells) -> None:
    return None


def _count(cell: str) -> int | None:
    """Return a count of lines; a decimal column's 3.000 is 3, and blank is unknown."""
    word = cell.strip()
    whole, _, rest = word.partition(".")
    if not word:
        return None
    if rest.strip("0") or not whole.isdecimal():
        message = f"sale.line_count: {cell!r:.60} is not a whole number"
        raise DataValidationError(message, "mend the value in the source")
    return int(whole)


def business_date(values: Values, cutoff: str) -> str | None:
    """Return the day that a sale belongs to; one known only by its date belongs to that."""
    sold_at = cast("str | None", values["sold_at"])
    if sold_at is None:
        return None
    if values["sold_at_precision"] == "date" or sold_at[11:19] >= cutoff:
        return sold_at[:10]
    return day_before(sold_at[:10])


def _delete(context: Context, sent: Sent, part: Part) -> Delete:
    entity = part.entity
    if not isinstance(part.block, OfSaleBlock):

        def delete(_cells: Cells, index: int, own: str, external: str, kind: DeletionKind) -> Draft:
            return Draft(index, entity, own, external, {}, deletion=kind)

        return delete
    sale, live = context.sale_if_known(sent, part), part.sale is not None and part.sale.lines_saved == "live"

    def delete_of_sale(cells: Cells, index: int, own: str, external: str, kind: DeletionKind) -> Draft:
        return Draft(index, entity, own, external, {}, deletion=kind, sale_id=sale(cells), live=live)

    return delete_of_sale
