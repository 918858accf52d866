"""The template format: which tables and columns of a point of sale feed which fields of Fluxion.

Fields are Fluxion's, columns are the POS's. The field's type chooses the parser, so a template says nothing of types.
References hold the other entity's key; ids are derived from it, so nothing is looked up. `mapping` reads and checks it.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from schemas.identity import Entity

Scalar = str | int | bool
NUMBER_FORMATS = ("1.234,56", "1,234.56")

# What a field holds; whatever stands in neither set is text.
NUMBERS = frozenset(
    {
        "cost_price",
        "selling_price",
        "tax_rate",
        "quantity",
        "subtotal",
        "tax_total",
        "total",
        "unit_price",
        "line_total",
    }
)
BOOLEANS = frozenset({"is_active", "prices_include_tax"})
MOMENTS = frozenset({"sold_at", "last_sale_at"})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Constant(_Strict):
    """`{value: invoice}`: the same for every row."""

    value: Scalar


class Column(_Strict):
    """A column's value. In short form just its name.

    optional: an installation may lack the column. map: POS value → ours, `else` for any other (without it null).
    format: how ambiguous text reads: "1.234,56" or "1,234.56" for a number, strptime's letters for a time.
    """

    column: str
    optional: bool = False
    map: dict[str, Scalar] | None = None
    else_: Scalar | None = Field(None, alias="else")
    format: str | None = None


class Primary(_Strict):
    """`{primary: true}`: the table's own primary key, whatever the installation calls it."""

    primary: Literal[True]


class Reference(_Strict):
    """`{table, key}`: the key of an entity that several tables feed."""

    table: str
    key: Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


def _form(value: object) -> str:
    """Name the form of a field's value, so that a fault speaks of that form only."""
    if isinstance(value, Constant) or (isinstance(value, dict) and "value" in value):
        return "constant"
    return "column"


def _in_full(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


def _many(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


Value = Annotated[
    Annotated[Constant, Tag("constant")] | Annotated[Annotated[Column, BeforeValidator(_in_full)], Tag("column")],
    Discriminator(_form),
]
Columns = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_many)]


def _key_form(value: object) -> str:
    if isinstance(value, Primary) or (isinstance(value, dict) and "primary" in value):
        return "primary"
    return "reference" if isinstance(value, dict | Reference) else "columns"


Key = Annotated[
    Annotated[Primary, Tag("primary")] | Annotated[Columns, Tag("columns")],
    Discriminator(lambda value: "primary" if isinstance(value, dict | Primary) else "columns"),
]
Ref = Annotated[
    Annotated[Reference, Tag("reference")] | Annotated[Columns, Tag("columns")],
    Discriminator(_key_form),
]
# Equality, or one of a list. Numbers are compared as numbers, text without the blanks on its right.
Where = dict[str, Annotated[tuple[Scalar, ...], BeforeValidator(_many)]]


class Block(_Strict):
    """One table that feeds one entity.

    where: the rows that are meant; deleted: what a deleted row means (purge: the POS archived it).
    """

    from_: str = Field(alias="from")
    key: Key
    where: Where = {}
    deleted: Literal["delete", "purge", "void"] = "delete"


class CategoryBlock(Block):
    """Feeds `records.Category`."""

    name: Value


class ProductBlock(Block):
    """Feeds `records.Product`."""

    sku: Value
    name: Value
    barcode: Value | None = None
    category: Ref | None = None
    cost_price: Value | None = None
    selling_price: Value | None = None
    tax_rate: Value | None = None
    is_active: Value | None = None
    last_sale_at: Value | None = None


class StockBlock(Block):
    """Feeds `records.Stock`. store: the column that holds `stores.external_id`."""

    product: Ref
    quantity: Value
    store: Value | None = None


class LinesBlock(Block):
    """Feeds `records.SaleLine`. sale: the header's key; product: only where the line names the product's key."""

    deleted: Literal["delete", "purge", "void"] = "purge"
    sale: Columns
    sku: Value
    product: Ref | None = None
    quantity: Value
    unit_price: Value | None = None
    line_total: Value | None = None
    tax_rate: Value | None = None
    line_no: Value | None = None


class SaleBlock(Block):
    """Feeds `records.SaleHeader`.

    since: the column that bounds the first load. closed_when: as `where`, when the document is finished (default: as
    soon as it exists). line_count: the column that says how many lines it has.
    """

    deleted: Literal["delete", "purge", "void"] = "purge"
    since: str | None = None
    closed_when: Where = {}
    line_count: str | None = None
    store: Value | None = None
    number: Value
    doc_type: Value = Constant(value="invoice")
    status: Value | None = None
    register_id: Value | None = None
    sold_at: Value
    currency: Value | None = None
    subtotal: Value | None = None
    tax_total: Value | None = None
    total: Value
    prices_include_tax: Value | None = None
    lines: LinesBlock


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        message = f"{name!r} is not a time zone; name one of the IANA list, such as America/Caracas"
        raise ValueError(message) from None
    return name


class Defaults(_Strict):
    """Said once a system. tax_rate and min_margin are percent; tax_rate only where a product has none."""

    time_zone: Annotated[str, AfterValidator(_zone)] = "America/Caracas"
    currency: str = Field("VES", pattern="^[A-Z]{3}$")
    prices_include_tax: bool = False
    tax_rate: Decimal = Field(Decimal(16), ge=0, le=100)
    min_margin: Decimal = Field(Decimal(5), ge=0, le=100)


B = TypeVar("B", bound=Block)
Blocks = Annotated[tuple[B, ...], BeforeValidator(_many)]


class Template(_Strict):
    """A point of sale's mapping. One table may feed several entities, several tables one entity.

    databases: the kinds of source it is meant for. keys: ignore_case where the database compares keys so.
    """

    template: str
    version: int
    title: str
    databases: tuple[str, ...]
    schema_: str | None = Field(None, alias="schema")
    keys: Literal["exact", "ignore_case"] = "exact"
    defaults: Defaults = Defaults()
    category: Blocks[CategoryBlock] = ()
    product: Blocks[ProductBlock] = ()
    stock: Blocks[StockBlock] = ()
    sale: Blocks[SaleBlock] = ()


def blocks(template: Template) -> list[tuple[Entity, Block]]:
    """Return every block with the entity that it feeds, a sale's lines behind the sale."""
    found: list[tuple[Entity, Block]] = [
        *(("category", block) for block in template.category),
        *(("product", block) for block in template.product),
        *(("stock", block) for block in template.stock),
    ]
    for sale in template.sale:
        found += [("sale", sale), ("line", sale.lines)]
    return found


_NOT_FIELDS = frozenset({"from_", "key", "where", "deleted", "since", "closed_when", "line_count", "store", "lines"})


def fields(block: Block) -> dict[str, Constant | Column]:
    """Return the block's fields that hold values, by name; references, keys and conditions are not among them."""
    return {
        name: value
        for name in type(block).model_fields
        if name not in _NOT_FIELDS and isinstance(value := getattr(block, name), Constant | Column)
    }


def references(block: Block) -> dict[Entity, tuple[str, ...] | Reference]:
    """Return the entities that the block's rows refer to, with the columns that hold their keys."""
    names: tuple[Entity, ...] = ("category", "product", "sale")
    found: dict[Entity, Any] = {name: getattr(block, name, None) for name in names}
    return {name: value for name, value in found.items() if value is not None}
