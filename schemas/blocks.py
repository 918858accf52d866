"""The blocks of a template: one table that feeds one entity, field by field as in `records`."""

from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import Discriminator, Field, Tag

from schemas.forms import Constant, Key, Ref, Strict, Value, Where, one_or_many
from schemas.identity import Entity
from schemas.records import DeletionKind


class Block(Strict):
    """One table that feeds one entity.

    where: the rows that are meant; a row outside is not there, so one that leaves is deleted. deleted: what a deleted row
    means (purge: the POS archived it, it is kept; void: the document is void; delete: it is gone).
    """

    # Reference's name in the template → the entity whose key it holds.
    refers: ClassVar[dict[str, Entity]] = {}

    from_: str = Field(alias="from")
    key: Key
    where: Where = Field(default_factory=dict)
    deleted: DeletionKind = "delete"


class CategoryBlock(Block):
    """Feeds `records.Category`. parent: the key of the category above."""

    refers: ClassVar[dict[str, Entity]] = {"parent": "category"}

    name: Value
    parent: Ref | None = None


class SupplierBlock(Block):
    """Feeds `records.Supplier`."""

    name: Value
    tax_id: Value | None = None


class ProductBlock(Block):
    """Feeds `records.Product`."""

    refers: ClassVar[dict[str, Entity]] = {"category": "category", "supplier": "supplier"}

    sku: Value
    name: Value
    barcode: Value | None = None
    category: Ref | None = None
    supplier: Ref | None = None
    cost_price: Value | None = None
    selling_price: Value | None = None
    tax_rate: Value | None = None
    is_active: Value | None = None
    last_sale_at: Value | None = None


class StockBlock(Block):
    """Feeds `records.Stock`. store: the column that holds `stores.external_id`."""

    refers: ClassVar[dict[str, Entity]] = {"product": "product"}

    product: Ref
    quantity: Value
    store: Value | None = None


class MovementBlock(Block):
    """Feeds `records.Movement`. A product is named by its key or by its SKU.

    quantity is signed, what comes in is positive. A POS that tells in and out by a kind says
    `{columns: [cantidad, {column: tipo, map: {E: 1, S: -1}}], call: signed}`, one with two columns
    `{columns: [entrada, salida], call: difference}`.
    """

    refers: ClassVar[dict[str, Entity]] = {"product": "product"}

    product: Ref | None = None
    sku: Value | None = None
    store: Value | None = None
    kind: Value
    quantity: Value
    reference: Value | None = None
    occurred_at: Value


class OfSaleBlock(Block):
    """A table whose rows belong to sales. sale: the header's key.

    doc_type: needed where the sale says `returns: negative`; it tells which rows are a return's, and feeds no field.
    """

    refers: ClassVar[dict[str, Entity]] = {"sale": "sale"}

    deleted: DeletionKind = "purge"
    sale: Ref
    doc_type: Value | None = None


class LinesBlock(OfSaleBlock):
    """Feeds `records.SaleLine`. product: only where the line names the product's key; without `sku` it has that product's."""

    refers: ClassVar[dict[str, Entity]] = {"sale": "sale", "product": "product"}

    sku: Value | None = None
    product: Ref | None = None
    scanned_code: Value | None = None
    name: Value | None = None
    quantity: Value
    unit: Value | None = None
    unit_price: Value | None = None
    list_price: Value | None = None
    discount: Value | None = None
    line_total: Value | None = None
    tax_rate: Value | None = None
    tax_category: Value | None = None
    tax_amount: Value | None = None
    unit_cost: Value | None = None
    returned_quantity: Value | None = None
    kit_parent: Value | None = None
    line_no: Value | None = None


class PaymentFields(Strict):
    """What a tender has, wherever it stands."""

    method: Value | None = None
    currency: Value | None = None
    amount: Value
    rate: Value | None = None
    amount_base: Value | None = None
    igtf: Value | None = None
    reference: Value | None = None


class TaxFields(Strict):
    """What a tax has, wherever it stands."""

    category: Value | None = None
    rate: Value | None = None
    base: Value | None = None
    amount: Value | None = None


class PaymentInRow(PaymentFields):
    """A tender that stands in the header's own row, so it has no `from`; feeds `records.Payment`.

    Its key is the header's and its place in the list. One whose amount is null or 0 is not there.
    """

    where: Where = Field(default_factory=dict)


class PaymentsBlock(OfSaleBlock, PaymentFields):
    """A table of tenders; feeds `records.Payment`."""


class TaxInRow(TaxFields):
    """A tax that stands in the header's own row; feeds `records.Tax`. One whose base and amount are null or 0 is not there."""

    where: Where = Field(default_factory=dict)


class TaxesBlock(OfSaleBlock, TaxFields):
    """A table of taxes; feeds `records.Tax`."""


def _place(value: object) -> str:
    return "table" if isinstance(value, OfSaleBlock) or (isinstance(value, dict) and "from" in value) else "row"


B = TypeVar("B", bound=Strict)
Blocks = Annotated[tuple[B, ...], one_or_many]
Payments = Annotated[
    Annotated[PaymentsBlock, Tag("table")] | Annotated[PaymentInRow, Tag("row")], Discriminator(_place)
]
Taxes = Annotated[Annotated[TaxesBlock, Tag("table")] | Annotated[TaxInRow, Tag("row")], Discriminator(_place)]


class SaleBlock(Block):
    """Feeds `records.SaleHeader`.

    since: the column that bounds the first load. closed_when: as `where`, when the document is finished (default: as
    soon as it exists). lines_saved: live where the POS saves lines one by one under a live header, so that only
    `closed_when` tells when the sale is whole. line_count: the column that says how many lines it has.
    returns: negative where the POS writes returns with negative amounts; they are made positive.
    original: the key of the document that a return or note corrects; original_number: its number as printed.
    business_date: only where the POS keeps it; else the day of sold_at, by the store's cut-off.
    """

    refers: ClassVar[dict[str, Entity]] = {"original": "sale"}

    deleted: DeletionKind = "purge"
    since: str | None = None
    closed_when: Where = Field(default_factory=dict)
    lines_saved: Literal["together", "live"] = "together"
    line_count: str | None = None
    returns: Literal["positive", "negative"] = "positive"
    store: Value | None = None
    number: Value
    control_number: Value | None = None
    doc_type: Value = Constant(value="invoice")
    status: Value | None = None
    register_id: Value | None = None
    shift_id: Value | None = None
    cashier_id: Value | None = None
    sold_at: Value
    business_date: Value | None = None
    currency: Value | None = None
    exchange_rate: Value | None = None
    subtotal: Value | None = None
    discount_total: Value | None = None
    exempt_total: Value | None = None
    tax_total: Value | None = None
    igtf_total: Value | None = None
    rounding: Value | None = None
    total: Value
    prices_include_tax: Value | None = None
    original: Ref | None = None
    original_number: Value | None = None
    customer_name: Value | None = None
    customer_tax_id: Value | None = None
    fiscal_printer: Value | None = None
    fiscal_number: Value | None = None
    fiscal_z: Value | None = None
    lines: LinesBlock
    payments: Blocks[Payments] = ()
    taxes: Blocks[Taxes] = ()


# Whatever feeds an entity.
Fed = Block | PaymentInRow | TaxInRow
