"""What the models cannot see: values that do not suit their field, references that nothing answers, missing columns."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.blocks import Block, Fed, LinesBlock, MovementBlock, OfSaleBlock, SaleBlock, StockBlock
from schemas.calls import FUNCTIONS
from schemas.fields import RETURN, WORDS, Kind, kind_of
from schemas.forms import NUMBER_FORMATS, AnyValue, Call, Column, Constant, Primary, Reference
from schemas.mapping_text import near
from schemas.parts import Part, choices, columns_of, fields, parts, references
from schemas.source_tables import Catalogue
from schemas.template import Template


@dataclass(frozen=True)
class Use:
    """A column of a table that the template reads, and for what. optional: an installation may lack it."""

    table: str
    column: str
    place: str
    optional: bool


# Form ----------------------------------------------------------------------------------------------------------------


def form_faults(template: Template) -> Iterator[str]:
    """Yield every fault that needs no database to be seen."""
    for part in parts(template):
        yield from _value_faults(part)
        yield from _reference_faults(part, template)
        if isinstance(part.block, SaleBlock):
            yield from _sale_faults(part.block)
        if isinstance(part.block, Block) and part.block.deleted == "void" and part.entity != "sale":
            yield f"{part.name}.deleted: only a sale can be void; say purge or delete"
        if isinstance(part.block, MovementBlock | LinesBlock) and part.block.product is None and part.block.sku is None:
            yield f"{part.name}: needs product or sku"
    yield from _agreement_faults(template)
    yield from _stock_faults(template)


def _value_faults(part: Part) -> Iterator[str]:
    values = dict(fields(part.block))
    for extra in ("store", "doc_type"):
        found = getattr(part.block, extra, None)
        values |= {extra: found} if found is not None else {}
    for field, value in values.items():
        # A tax's category is a word, a product's is a reference.
        kind = kind_of(field)
        yield from (f"{part.name}.{field}{fault}" for fault in _faults_of(field, kind, value))


def _faults_of(field: str, kind: Kind, value: AnyValue) -> Iterator[str]:
    if isinstance(value, Call):
        yield from _call_faults(kind, value)
        return
    if isinstance(value, Column):
        yield from _column_faults(kind, value)
    elif kind in {"moment", "day"}:
        yield ": a time cannot be a constant"
    if kind == "word":
        yield from _word_faults(field, value)


def _call_faults(kind: Kind, value: Call) -> Iterator[str]:
    function = FUNCTIONS.get(value.call)
    if function is None:
        yield f".call: there is no function {value.call!r}{near(value.call, FUNCTIONS)}"
        return
    gives = {"moment", "day"} if kind == "day" else {kind}
    if function.gives not in gives and not (kind == "text" and function.gives == "word"):
        yield f".call: {value.call} gives a {function.gives}, and a {kind} is needed"
    if not function.takes_count(len(value.columns)):
        least = len(function.takes)
        yield f".call: {value.call} takes {least}{' or more' if function.more else ''} columns, not {len(value.columns)}"
        return
    for argument, wanted in zip(value.columns, function.kinds(len(value.columns)), strict=True):
        if isinstance(argument, Constant):
            continue
        if isinstance(argument, Column):
            name, found = argument.column, _column_faults(wanted, argument)
        else:
            name, found = argument.call, _call_faults(wanted, argument)
        yield from (f".columns.{name}{fault}" for fault in found)
        if argument.optional:
            yield f".columns.{name}.optional: say it of the whole call, which needs every column"


def _column_faults(kind: Kind, value: Column) -> Iterator[str]:
    if value.format is not None:
        if kind == "number" and value.format not in NUMBER_FORMATS:
            yield '.format: a number is written "1.234,56" or "1,234.56"'
        elif kind in {"moment", "day", "time"} and "%" not in value.format:
            yield ".format: a time is written with strptime's letters, such as %d/%m/%Y %H:%M:%S"
        elif kind not in {"number", "moment", "day", "time"}:
            yield ".format: only numbers and times have one"
    if value.map is None and value.else_ is not None:
        yield ".else: needs a map"
    if value.map is not None and kind in {"moment", "day", "time"}:
        yield ".map: a time cannot be mapped"


def _word_faults(field: str, value: Column | Constant) -> Iterator[str]:
    known = WORDS[field]
    if isinstance(value, Constant):
        said = {"value": value.value}
    else:
        said = {f"map.{word}": ours for word, ours in (value.map or {}).items()}
        said |= {} if value.else_ is None else {"else": value.else_}
    for place, word in said.items():
        if word not in known:
            yield f".{place}: {word!r} is none of {', '.join(known)}{near(str(word), known)}"


def _reference_faults(part: Part, template: Template) -> Iterator[str]:
    for name, (entity, ref) in references(part.block).items():
        if entity == "sale" and isinstance(part.block, OfSaleBlock) and part.sale is not None:
            feeding = {part.sale.from_}
        else:
            feeding = {other.table for other in parts(template) if other.entity == entity and other.ordinal is None}
        place = f"{part.name}.{name}"
        for one in choices(ref):
            yield from (f"{place}{fault}" for fault in _choice_faults(one, entity, feeding, template))
            place += ".otherwise"


def _choice_faults(ref: Reference, entity: str, feeding: set[str], template: Template) -> Iterator[str]:
    if ref.table is not None and ref.table not in feeding:
        yield f".table: {ref.table!r} feeds no {entity}{near(ref.table, feeding)}"
    elif not feeding:
        yield f": nothing in the template feeds {entity}"
    elif ref.table is None and len(feeding) > 1:
        yield f": several tables feed {entity}, so say {{table, key}}"
    else:
        key = _key_of(template, entity, ref.table or next(iter(feeding)))
        if key is not None and len(key) != len(ref.key):
            yield f": names {len(ref.key)} columns, and the key of {entity} has {len(key)} ({', '.join(key)})"


def _key_of(template: Template, entity: str, table: str) -> tuple[str, ...] | None:
    """Return the columns by which a table feeds an entity; None where only the source knows its primary key."""
    for part in parts(template):
        if (part.entity, part.table) == (entity, table) and isinstance(part.block, Block):
            return None if isinstance(part.block.key, Primary) else part.block.key
    return None


def _sale_faults(sale: SaleBlock) -> Iterator[str]:
    if sale.lines_saved == "live" and not sale.closed_when:
        yield "sale.lines_saved: live needs closed_when, for nothing else tells when the sale is whole"
    of_return = sale.doc_type == Constant(value=RETURN)
    blocks: list[tuple[str, Fed]] = [("lines", sale.lines)]
    blocks += [("payments", block) for block in sale.payments] + [("taxes", block) for block in sale.taxes]
    for name, block in blocks:
        if not isinstance(block, OfSaleBlock):
            continue
        if sale.returns == "negative" and block.doc_type is None and not of_return:
            yield f"sale.{name}.doc_type: needed by returns: negative, to tell which rows of {block.from_!r} are a return's"
        if sale.returns == "positive" and block.doc_type is not None:
            yield f"sale.{name}.doc_type: only used where the sale says returns: negative"


def _agreement_faults(template: Template) -> Iterator[str]:
    """Yield tables that feed one entity in two ways that would contradict each other."""
    seen: dict[tuple[str, str], Block] = {}
    for part in parts(template):
        if not isinstance(part.block, Block):
            continue
        other = seen.setdefault((part.name, part.table), part.block)
        if other.key != part.block.key:
            yield f"{part.name}.key: {part.table!r} feeds {part.name} twice, so both must have the same key"
        if other.deleted != part.block.deleted:
            yield f"{part.name}.deleted: {part.table!r} feeds {part.name} twice, so a deleted row must mean the same in both"
    of_sale: dict[tuple[str, str], set[str]] = defaultdict(set)
    for part in parts(template):
        if part.sale is not None and part.ordinal is None:
            of_sale[part.name, part.table].add(part.sale.from_)
    for (name, table), headers in of_sale.items():
        if len(headers) > 1 and any(
            isinstance(part.block, Block) and not part.block.where
            for part in parts(template)
            if (part.name, part.table) == (name, table)
        ):
            yield f"{name}.where: {table!r} holds rows of {' and '.join(sorted(headers))}, so each must say which are its own"


def _stock_faults(template: Template) -> Iterator[str]:
    if template.stock_origin == "movements":
        if template.stock:
            yield "stock: the level is the sum of the movements (stock_origin: movements), so no table can set it"
        if not template.movement:
            yield "stock_origin: movements needs a movement block"


# Against the source --------------------------------------------------------------------------------------------------


def store_faults(template: Template, catalogue: Catalogue | None, stores: int) -> Iterator[str]:
    """Yield what is missing to tell several stores apart."""
    for part in parts(template):
        block = part.block
        if stores <= 1 or not isinstance(block, StockBlock | MovementBlock | SaleBlock):
            continue
        if block.store is None:
            yield f"{part.name}.store: the system has {stores} stores, so it must name the column that tells them apart"
            continue
        table = catalogue.get(part.table) if catalogue is not None else None
        if table is None or isinstance(block.store, Constant) or not block.store.optional:
            continue
        for column in columns_of(block.store):
            if column not in table.columns:
                yield f"{part.name}.store: {part.table!r} has no {column!r}, and the system has {stores} stores"


def uses(template: Template) -> Iterator[Use]:
    """Yield every column that the template reads, by place."""
    for part in parts(template):
        yield from (Use(part.table, column, f"{part.name}.{place}", opt) for place, column, opt in _used(part.block))


def _used(block: Fed) -> Iterator[tuple[str, str, bool]]:
    if isinstance(block, Block) and not isinstance(block.key, Primary):
        yield from (("key", column, False) for column in block.key)
    for name, (_, ref) in references(block).items():
        yield from ((name, column, one.optional) for one in choices(ref) for column in columns_of(one))
    values = dict(fields(block))
    for extra in ("store", "doc_type"):
        value = getattr(block, extra, None)
        values |= {extra: value} if value is not None else {}
    for name, value in values.items():
        optional = not isinstance(value, Constant) and value.optional
        yield from ((name, column, optional) for column in columns_of(value))
    yield from (("where", column, False) for column in block.where)
    if isinstance(block, SaleBlock):
        yield from (("closed_when", column, False) for column in block.closed_when)
        for name in ("since", "line_count"):
            if getattr(block, name) is not None:
                yield name, getattr(block, name), False


def source_faults(template: Template, catalogue: Catalogue) -> Iterator[str]:
    """Yield every table, key and column that the source lacks."""
    missing: set[str] = set()
    for part in parts(template):
        table = catalogue.get(part.table)
        if table is None:
            if part.table not in missing:
                yield f"{part.name}.from: the source has no table {part.table!r}{near(part.table, catalogue)}"
            missing.add(part.table)
            continue
        if isinstance(part.block, Block) and isinstance(part.block.key, Primary) and not table.key:
            yield f"{part.name}.key: {part.table!r} has no primary key, so name columns that together are unique"
        yield from _arity_faults(part, template, catalogue)
    for use in uses(template):
        table = catalogue.get(use.table)
        if table is not None and not use.optional and use.column not in table.columns:
            yield f"{use.place}: {use.table!r} has no column {use.column!r}{near(use.column, table.columns)}"


def _arity_faults(part: Part, template: Template, catalogue: Catalogue) -> Iterator[str]:
    """Yield references to a table's own primary key that have another number of columns."""
    said = [(name, entity, one) for name, (entity, ref) in references(part.block).items() for one in choices(ref)]
    for name, entity, ref in said:
        for other in parts(template):
            block = other.block
            if other.entity != entity or not isinstance(block, Block) or not isinstance(block.key, Primary):
                continue
            if ref.table not in {None, other.table} or other.table not in catalogue:
                continue
            key = catalogue[other.table].key
            if key and len(key) != len(ref.key):
                yield f"{part.name}.{name}: names {len(ref.key)} columns, and the key of {other.table!r} has {len(key)}"
