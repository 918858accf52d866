"""A template to closures: what can be decided once for a layout is decided here, so that a row costs a few calls.

Where several blocks feed one entity from one table, the first whose `where` holds takes the row; a row that none takes is
a delete for op u and d, and skipped for c and r.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import cast
from zoneinfo import ZoneInfo

from fluxion.errors import DataValidationError
from schemas.identity import Entity, entity_id
from schemas.records import Layout, Row
from schemas.template import (
    Block,
    LinesBlock,
    Primary,
    Reference,
    SaleBlock,
    StockBlock,
    Template,
    blocks,
    fields,
    references,
)
from stream_processors.cells import MEND_TEMPLATE, Cells, Get, Reader, Sent, getter
from stream_processors.drafts import ColumnMissingError, Draft, KeyMissingError, UnknownStoreError, Values
from stream_processors.values import day_before

Maker = Callable[[Row, int], Draft | None]
Upsert = Callable[[Cells, int, str, str], Draft]

MIDNIGHT = "00:00:00"


@dataclass(frozen=True)
class Shop:
    """A store as sales need it; `cutoff` is HH:MM:SS, a sale before it belongs to the business day before."""

    id: str
    zone: ZoneInfo
    cutoff: str


@dataclass(frozen=True)
class Context:
    """What closures are made from besides the layout. `only`: the store that every row belongs to, where there is one."""

    system_id: str
    template: Template
    shops: dict[str, Shop]
    only: Shop | None
    zone: ZoneInfo


def compile_table(context: Context, layout: Layout) -> tuple[tuple[Entity, Maker], ...]:
    """Return one closure for each entity that the table feeds; raises ColumnMissingError where the layout cannot serve.

    A closure takes a row and its index and returns a Draft, None where the row is not meant, or raises FluxionError.
    """
    sent = Sent(layout)
    found: dict[Entity, list[Block]] = {}
    for entity, block in blocks(context.template):
        if block.from_ == layout.table:
            found.setdefault(entity, []).append(block)
    return tuple((entity, _maker(context, sent, entity, alternatives)) for entity, alternatives in found.items())


def _maker(context: Context, sent: Sent, entity: Entity, alternatives: list[Block]) -> Maker:
    first = alternatives[0]
    columns = tuple(sent.key) if isinstance(first.key, Primary) else first.key
    if not columns:
        message = f"{sent.table} has no primary key, and the template names none for {entity}"
        raise ColumnMissingError(message, MEND_TEMPLATE)
    keys, ident = sent.keys(columns, f"{entity}.key"), _ids(context, entity, sent.table)
    conditions = [(sent.matches(block.where, f"{entity}.where"), block) for block in alternatives]
    ways = [(holds, _upsert(context, sent, entity, block)) for holds, block in conditions]
    delete = _delete(context, sent, entity, first)

    def make(row: Row, index: int) -> Draft | None:
        cells = row.values
        words = keys(cells)
        if words is None:
            message = f"the key of {sent.table} ({', '.join(columns)}) is null or blank"
            raise KeyMissingError(message, "give the row its key in the source")
        external = words[0].replace("/", "//") if len(words) == 1 else joined(words)
        if row.op != "d":
            for holds, upsert in ways:
                if holds(cells):
                    return upsert(cells, index, ident(words), external)
            if row.op != "u":
                return None
        return delete(cells, index, ident(words), external)

    return make


def joined(words: tuple[str, ...]) -> str:
    """Write a key of several columns for people: "a/b", a slash inside doubled."""
    return "/".join(word.replace("/", "//") for word in words)


def _ids(context: Context, entity: Entity, table: str) -> Callable[[tuple[str, ...]], str]:
    ignore_case = context.template.keys == "ignore_case"

    @lru_cache(maxsize=4096)
    def ident(words: tuple[str, ...]) -> str:
        return entity_id(context.system_id, entity, table, words, ignore_case=ignore_case)

    return ident


def _reference(context: Context, sent: Sent, entity: Entity, block: Block, place: str) -> Get:
    """Return what reads the Fluxion id of the entity that a row refers to; None where the row names none."""
    named = references(block)[entity]
    if entity == "sale":
        table = next(sale.from_ for sale in context.template.sale if sale.lines is block)
    else:
        table = next(other.from_ for kind, other in blocks(context.template) if kind == entity)
    if isinstance(named, Reference):
        table, named = named.table, named.key
    keys, ident = sent.keys(named, place), _ids(context, entity, table)

    def ref(cells: Cells) -> str | None:
        words = keys(cells)
        return None if words is None else ident(words)

    return ref


def _reader(context: Context, sent: Sent, entity: Entity, block: Block) -> Reader:
    refs: list[tuple[str, Get]] = []
    for other, named in references(block).items():
        columns = named.key if isinstance(named, Reference) else named
        if other != "sale" and all(sent.find(column) for column in columns):
            refs.append((f"{other}_ref", _reference(context, sent, other, block, f"{entity}.{other}")))
    return Reader(sent, entity, fields(block), refs)


def _upsert(context: Context, sent: Sent, entity: Entity, block: Block) -> Upsert:
    if isinstance(block, SaleBlock):
        return _header(context, sent, block)
    if isinstance(block, LinesBlock):
        return _line(context, sent, block)
    read = _reader(context, sent, entity, block)
    shop = _shop(context, sent, block) if isinstance(block, StockBlock) else None

    def upsert(cells: Cells, index: int, own: str, external: str) -> Draft:
        values = read(cells, context.zone)
        if shop is not None:
            values["store_id"] = shop(cells).id
        return Draft(index, entity, own, external, delete=False, values=values, unsent=read.unsent)

    return upsert


def _header(context: Context, sent: Sent, block: SaleBlock) -> Upsert:
    read, shop = _reader(context, sent, "sale", block), _shop(context, sent, block)
    closed = sent.matches(block.closed_when, "sale.closed_when")
    counted = sent.at(block.line_count, "sale.line_count")[0] if block.line_count else None

    def upsert(cells: Cells, index: int, own: str, external: str) -> Draft:
        where = shop(cells)
        values = read(cells, where.zone)
        if "sold_at" in values:
            values["business_date"] = business_date(values, where.cutoff)
        count = cells[counted] if counted is not None else None
        return Draft(
            index,
            "sale",
            own,
            external,
            delete=False,
            values=values,
            unsent=read.unsent,
            store_id=where.id,
            closed=closed(cells),
            expected_lines=None if count is None else _count(count),
        )

    return upsert


def _count(cell: str) -> int:
    try:
        return int(cell)
    except ValueError:
        message = f"sale.line_count: {cell!r} is not a whole number"
        raise DataValidationError(message, "mend the value in the source") from None


def business_date(values: Values, cutoff: str) -> str | None:
    """Return the day that a sale belongs to; one known only by its date belongs to that."""
    sold_at = cast("str | None", values["sold_at"])
    if sold_at is None:
        return None
    if values["sold_at_precision"] == "date" or sold_at[11:19] >= cutoff:
        return sold_at[:10]
    return day_before(sold_at[:10])


def _line(context: Context, sent: Sent, block: LinesBlock) -> Upsert:
    read, sale = _reader(context, sent, "line", block), _reference(context, sent, "sale", block, "sale.lines.sale")

    def upsert(cells: Cells, index: int, own: str, external: str) -> Draft:
        values, sale_id = read(cells, context.zone), _sale(sale, cells, sent)
        return Draft(index, "line", own, external, delete=False, values=values, unsent=read.unsent, sale_id=sale_id)

    return upsert


def _sale(sale: Get, cells: Cells, sent: Sent) -> str:
    found = sale(cells)
    if found is None:
        message = f"the row of {sent.table} does not say which sale it belongs to"
        raise KeyMissingError(message, "give the row its sale in the source")
    return cast("str", found)


def _delete(context: Context, sent: Sent, entity: Entity, block: Block) -> Upsert:
    sale = _reference(context, sent, "sale", block, "sale.lines.sale") if entity == "line" else None

    def delete(cells: Cells, index: int, own: str, external: str) -> Draft:
        sale_id = None if sale is None else _sale(sale, cells, sent)
        return Draft(index, entity, own, external, delete=True, values={}, sale_id=sale_id)

    return delete


def _shop(context: Context, sent: Sent, block: StockBlock | SaleBlock) -> Callable[[Cells], Shop]:
    get = None if block.store is None else getter("store", block.store, sent)
    shops, only = context.shops, context.only

    def shop(cells: Cells) -> Shop:
        word = None if get is None else cast("str | None", get(cells))
        found = only if get is None else shops.get(word or "") or (None if shops else only)
        if found is None:
            said = "names no store" if word is None else f"names the store {word!r}, which the registry does not know"
            message = f"the row of {sent.table} {said}"
            raise UnknownStoreError(
                message,
                "add it with `fluxion store add`, and touch the row in the point of sale so that it comes again",
            )
        return found

    return shop
