"""A template to closures: what can be decided once for a layout is decided here, so that a row costs a few calls.

Where several blocks feed one entity from one table, the first whose `where` holds takes the row; a row that none takes is
a delete for op u and d, and skipped for c and r.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import cast
from zoneinfo import ZoneInfo

from fluxion.errors import DataValidationError, FluxionError
from schemas.identity import Entity, entity_id
from schemas.records import Layout, Row, Type
from schemas.template import (
    BOOLEANS,
    MOMENTS,
    NUMBERS,
    Block,
    Column,
    Constant,
    LinesBlock,
    Primary,
    Reference,
    SaleBlock,
    Scalar,
    StockBlock,
    Template,
    Where,
    blocks,
    fields,
    references,
)
from stream_processors import values as parsers
from stream_processors.drafts import ColumnMissingError, Draft, KeyMissingError, UnknownStoreError, Values

Cells = list[str | None]
Get = Callable[[Cells], str | bool | None]
Keys = Callable[[Cells], tuple[str, ...] | None]
Maker = Callable[[Row, int], Draft | None]
Upsert = Callable[[Cells, int, str, str], Draft]

MIDNIGHT = "00:00:00"
_MEND_TEMPLATE = "correct the template and replay the row"


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
    sent = _Sent(layout)
    found: dict[Entity, list[Block]] = {}
    for entity, block in blocks(context.template):
        if block.from_ == layout.table:
            found.setdefault(entity, []).append(block)
    return tuple((entity, _maker(context, sent, entity, alternatives)) for entity, alternatives in found.items())


class _Sent:
    """The columns that were sent."""

    def __init__(self, layout: Layout) -> None:
        self.table = layout.table
        self.key = layout.key
        self._at = {column.name: (index, column.type) for index, column in enumerate(layout.columns)}

    def find(self, column: str) -> tuple[int, Type] | None:
        return self._at.get(column)

    def at(self, column: str, place: str) -> tuple[int, Type]:
        found = self._at.get(column)
        if found is None:
            message = f"the rows of {self.table} carry no column {column!r}, which {place} needs"
            raise ColumnMissingError(message, _MEND_TEMPLATE)
        return found

    def keys(self, columns: tuple[str, ...], place: str) -> Keys:
        """Return what reads these columns as a key: None where one of them is null or blank."""
        at = [self.at(column, place)[0] for column in columns]
        if len(at) == 1:
            (only,) = at

            def one(cells: Cells) -> tuple[str, ...] | None:
                cell = cells[only]
                return (word,) if cell is not None and (word := cell.rstrip()) else None

            return one

        def several(cells: Cells) -> tuple[str, ...] | None:
            words = tuple((cells[index] or "").rstrip() for index in at)
            return words if all(words) else None

        return several

    def matches(self, where: Where, place: str) -> Callable[[Cells], bool]:
        tests: list[tuple[int, Callable[[str], str], frozenset[str]]] = []
        for column, wanted in where.items():
            index, kind = self.at(column, place)
            alike = parsers.comparable(kind)
            tests.append((index, alike, frozenset(alike(_plain(one)) for one in wanted)))

        def holds(cells: Cells) -> bool:
            return all((cell := cells[index]) is not None and alike(cell) in wanted for index, alike, wanted in tests)

        return holds


def _plain(value: Scalar) -> str:
    """Write a template's constant as canonical text: booleans are 0 and 1 there."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def _maker(context: Context, sent: _Sent, entity: Entity, alternatives: list[Block]) -> Maker:
    first = alternatives[0]
    columns = tuple(sent.key) if isinstance(first.key, Primary) else first.key
    if not columns:
        message = f"{sent.table} has no primary key, and the template names none for {entity}"
        raise ColumnMissingError(message, _MEND_TEMPLATE)
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


def _reference(context: Context, sent: _Sent, entity: Entity, block: Block, place: str) -> Get:
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


def _upsert(context: Context, sent: _Sent, entity: Entity, block: Block) -> Upsert:
    if isinstance(block, SaleBlock):
        return _header(context, sent, block)
    if isinstance(block, LinesBlock):
        return _line(context, sent, block)
    read = _Reader(context, sent, entity, block)
    shop = _shop(context, sent, block) if isinstance(block, StockBlock) else None

    def upsert(cells: Cells, index: int, own: str, external: str) -> Draft:
        values = read(cells, context.zone)
        if shop is not None:
            values["store_id"] = shop(cells).id
        return Draft(index, entity, own, external, False, values, read.unsent)

    return upsert


def _header(context: Context, sent: _Sent, block: SaleBlock) -> Upsert:
    read, shop = _Reader(context, sent, "sale", block), _shop(context, sent, block)
    closed = sent.matches(block.closed_when, "sale.closed_when")
    counted = sent.at(block.line_count, "sale.line_count")[0] if block.line_count else None

    def upsert(cells: Cells, index: int, own: str, external: str) -> Draft:
        where = shop(cells)
        values = read(cells, where.zone)
        if "sold_at" in values:
            values["business_date"] = business_date(values, where.cutoff)
        count = cells[counted] if counted is not None else None
        return Draft(
            index, "sale", own, external, False, values, read.unsent,
            store_id=where.id, closed=closed(cells), expected_lines=None if count is None else _count(count),
        )  # fmt: skip

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
    return parsers.day_before(sold_at[:10])


def _line(context: Context, sent: _Sent, block: LinesBlock) -> Upsert:
    read, sale = _Reader(context, sent, "line", block), _reference(context, sent, "sale", block, "sale.lines.sale")

    def upsert(cells: Cells, index: int, own: str, external: str) -> Draft:
        return Draft(
            index, "line", own, external, False, read(cells, context.zone), read.unsent, sale_id=_sale(sale, cells, sent)
        )  # fmt: skip

    return upsert


def _sale(sale: Get, cells: Cells, sent: _Sent) -> str:
    found = sale(cells)
    if found is None:
        message = f"the row of {sent.table} does not say which sale it belongs to"
        raise KeyMissingError(message, "give the row its sale in the source")
    return cast("str", found)


def _delete(context: Context, sent: _Sent, entity: Entity, block: Block) -> Upsert:
    sale = _reference(context, sent, "sale", block, "sale.lines.sale") if entity == "line" else None

    def delete(cells: Cells, index: int, own: str, external: str) -> Draft:
        return Draft(index, entity, own, external, True, {}, sale_id=None if sale is None else _sale(sale, cells, sent))

    return delete


def _shop(context: Context, sent: _Sent, block: StockBlock | SaleBlock) -> Callable[[Cells], Shop]:
    get = None if block.store is None else _getter("store", block.store, sent)
    shops, only = context.shops, context.only

    def shop(cells: Cells) -> Shop:
        word = None if get is None else cast("str | None", get(cells))
        found = only if get is None else shops.get(word or "") or (None if shops else only)
        if found is None:
            said = "names no store" if word is None else f"names the store {word!r}, which the registry does not know"
            message = f"the row of {sent.table} {said}"
            raise UnknownStoreError(message, "add it with `fluxion store add` and replay the row")
        return found

    return shop


class _Reader:
    """Reads the fields and references of one block from a row."""

    def __init__(self, context: Context, sent: _Sent, entity: Entity, block: Block) -> None:
        self._entity = entity
        self._gets: list[tuple[str, Get]] = []
        self._moments: list[tuple[str, int, parsers.ParseMoment]] = []
        missing: list[str] = []
        for name, value in fields(block).items():
            if isinstance(value, Column) and sent.find(value.column) is None:
                missing.append(name)
            elif name in MOMENTS:
                self._moments.append((name, *_moment(name, value, sent)))
            elif (get := _getter(name, value, sent)) is not None:
                self._gets.append((name, get))
        for other, named in references(block).items():
            place = f"{entity}.{other}"
            columns = named.key if isinstance(named, Reference) else named
            if other != "sale" and all(sent.find(column) for column in columns):
                self._gets.append((f"{other}_ref", _reference(context, sent, other, block, place)))
        self.unsent = tuple(missing)

    def __call__(self, cells: Cells, zone: ZoneInfo) -> Values:
        """Return field → value; raises DataValidationError that names every field that cannot be read."""
        try:
            values: Values = {name: get(cells) for name, get in self._gets}
            for name, at, parse in self._moments:
                cell = cells[at]
                self._place(values, name, (None, None) if cell is None else parse(cell, zone))
        except (ValueError, ArithmeticError):
            raise self._fault(cells, zone) from None
        return values

    @staticmethod
    def _place(values: Values, name: str, moment: tuple[str | None, str | None]) -> None:
        values[name] = moment[0]
        if name == "sold_at":
            values["sold_at_precision"] = moment[1]

    def _fault(self, cells: Cells, zone: ZoneInfo) -> FluxionError:
        said: list[str] = []
        tries: list[tuple[str, Callable[[], object]]] = [(name, lambda get=get: get(cells)) for name, get in self._gets]
        tries += [
            (name, lambda at=at, parse=parse: cells[at] is not None and parse(cells[at], zone))
            for name, at, parse in self._moments
        ]
        for name, attempt in tries:
            try:
                attempt()
            except (ValueError, ArithmeticError) as fault:
                said.append(f"{self._entity}.{name}: {fault if isinstance(fault, ValueError) else 'no number'}")
        return DataValidationError(", ".join(said), "mend the value in the source, or the template, and replay the row")


def _moment(name: str, value: Constant | Column, sent: _Sent) -> tuple[int, parsers.ParseMoment]:
    if isinstance(value, Constant):
        message = f"{name} cannot be a constant"
        raise ColumnMissingError(message, _MEND_TEMPLATE)
    at, kind = sent.at(value.column, name)
    if kind == "text":
        return at, parsers.text_moment(value.format)
    typed: dict[Type, parsers.ParseMoment] = {
        "datetime": parsers.local_moment,
        "instant": parsers.instant_moment,
        "date": parsers.date_moment,
    }
    if kind not in typed:
        message = f"{sent.table}.{value.column} is {kind}, and {name} needs a time"
        raise ColumnMissingError(message, _MEND_TEMPLATE)
    return at, typed[kind]


def _getter(name: str, value: Constant | Column, sent: _Sent) -> Get | None:
    """Return what reads a field from a row; None where its column was not sent, so neither is the field."""
    if isinstance(value, Constant):
        fixed = _constant(name, value.value)
        return lambda _cells: fixed
    found = sent.find(value.column)
    if found is None:
        return None
    at, kind = found
    if value.map is not None:
        alike = (lambda cell: cell.strip()) if kind == "text" else parsers.comparable(kind)
        table = {alike(word): _constant(name, ours) for word, ours in value.map.items()}
        other = None if value.else_ is None else _constant(name, value.else_)
        return lambda cells: None if (cell := cells[at]) is None else table.get(alike(cell), other)
    if kind == "bytes":
        message = f"{sent.table}.{value.column} is binary, and {name} cannot be read from it"
        raise ColumnMissingError(message, _MEND_TEMPLATE)
    if name in NUMBERS and kind in {"integer", "decimal"}:
        return itemgetter(at)
    parse = _parser(name, kind, value.format)
    return lambda cells: None if (cell := cells[at]) is None else parse(cell)


def _parser(name: str, kind: Type, style: str | None) -> parsers.Parse:
    if name in BOOLEANS:
        return parsers.boolean
    if name not in NUMBERS:
        return parsers.text
    return parsers.float_number if kind == "float" else parsers.money(style)


def _constant(name: str, value: Scalar) -> str | bool | None:
    if name in BOOLEANS:
        return parsers.boolean(_plain(value))
    return parsers.money("1,234.56")(_plain(value)) if name in NUMBERS else parsers.text(str(value))
