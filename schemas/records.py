"""The records between stages as frozen structs; `avro/*.avsc` is their form on the wire and is tested against them.

Times are microseconds since 1970-01-01 UTC as plain integers, versions are `epoch << 47 | n` (see `identity`), values and
decimals are text. A record grows only by fields with a default.
"""

from typing import Literal

from msgspec import Struct

Op = Literal["c", "u", "d", "r"]
Type = Literal[
    "integer", "decimal", "float", "boolean", "text", "bytes", "date", "time", "datetime", "instant", "uuid", "json"
]
Producer = Literal["agent", "gateway", "bridge"]
DeletionKind = Literal["delete", "purge", "void"]
# The id of the sale of deleted lines, tenders and taxes whose rows do not say which sale was theirs.
UNKNOWN_SALE = ""


class Column(Struct, frozen=True):
    """A column as it was when the row was written. `type` tells how its canonical text reads."""

    name: str
    type: Type


class Layout(Struct, frozen=True):
    """The columns that were sent for a table, and which of them are its key.

    A column that is not here was not sent: its target keeps its value. `table` is the name that templates use.
    """

    table: str
    key: list[str]
    columns: list[Column]


class Row(Struct, frozen=True):
    """One changed row. `values` stand in the order of the layout's columns; None means NULL.

    op: c created, u updated, d deleted (values: what is known of the old row, at least the key), r read by a snapshot.
    layout: index into the change set's layouts. txn: ordinal of the source transaction within the change set.
    version: None only in the raw record of a webhook.
    """

    layout: int
    op: Op
    txn: int
    version: int | None
    source_time: int | None
    values: list[str | None]


class Since(Struct, frozen=True):
    """A snapshot that read only rows whose `column` is not below `value` (canonical text)."""

    column: str
    value: str


class Deletion(Struct, frozen=True):
    """What a deleted row of a table means for the entity that it feeds (the template's `deleted`)."""

    entity: str
    kind: DeletionKind


class End(Struct, frozen=True):
    """The snapshot of a table ends here; it began when the next version was `first_version`. An empty table has one too.

    Rows of the table with a lower version are gone from the point of sale, as far as it was read. since: see `Since`; in a
    CanonicalSet its value is an instant in ISO 8601. deletions: filled by the processor, from the template.
    """

    table: str
    first_version: int
    since: Since | None = None
    deletions: list[Deletion] = []


class ChangeSet(Struct, frozen=True):
    """One or more whole source transactions of one system, in commit order; the value of pos.changes.v1.

    A transaction too large for a record is split: `part` counts from 0, `last_part` is true in the last (and in every
    record that is not split). `sequence` is the journal's last Capture in here. `position` is opaque to all but the source.
    """

    system_id: str
    producer: Producer
    epoch: int
    journal_id: str
    sequence: int
    captured_at: int
    position: str
    part: int
    last_part: bool
    layouts: list[Layout]
    rows: list[Row]
    ends: list[End]


class Change(Struct, frozen=True, kw_only=True):
    """What every canonical record carries.

    id: the Fluxion id (`identity.entity_id`). fields: the names of the fields that were sent; any other keeps its value.
    snapshot: the row was read by a snapshot. warnings: codes such as LOW_MARGIN, never a reason to refuse.
    deletion: what op delete means (delete: gone; purge: archived by the POS, kept; void: the document is void); None for upsert.
    """

    id: str
    external_id: str
    external_table: str
    op: Literal["upsert", "delete"]
    fields: list[str]
    version: int
    source_time: int | None = None
    snapshot: bool = False
    warnings: list[str] = []
    deletion: DeletionKind | None = None


class Category(Change, frozen=True, kw_only=True):
    """A product category; belongs to the system. `parent_ref` is a Fluxion id."""

    name: str | None = None
    parent_ref: str | None = None


class Supplier(Change, frozen=True, kw_only=True):
    """A supplier; belongs to the system. `tax_id` is the RIF as written there."""

    name: str | None = None
    tax_id: str | None = None


class Product(Change, frozen=True, kw_only=True):
    """A product; belongs to the system, not to a store. Refs are Fluxion ids, prices and percents are decimals."""

    sku: str | None = None
    name: str | None = None
    barcode: str | None = None
    category_ref: str | None = None
    supplier_ref: str | None = None
    cost_price: str | None = None
    selling_price: str | None = None
    tax_rate: str | None = None
    is_active: bool | None = None
    last_sale_at: str | None = None


class Stock(Change, frozen=True, kw_only=True):
    """The level of a product in a store, as the POS says it; negative is normal."""

    store_id: str | None = None
    product_ref: str | None = None
    quantity: str | None = None


class Movement(Change, frozen=True, kw_only=True):
    """A movement of stock in a store. `quantity` is signed: what comes in is positive. kind is the POS's own word."""

    store_id: str | None = None
    product_ref: str | None = None
    sku: str | None = None
    kind: str | None = None
    quantity: str | None = None
    reference: str | None = None
    occurred_at: str | None = None


class SaleHeader(Change, frozen=True, kw_only=True):
    """The header of a document at a register. Totals are as printed; `sold_at` is ISO 8601 with its zone.

    doc_type: invoice, credit_note (a return), debit_note, delivery_note. status: partial, completed, voided. A return has
    positive quantities and names its invoice by `original_sale_ref` (a Fluxion id) or `original_number` (as printed).
    exchange_rate is the recorded one, never recomputed. igtf_total belongs to the payment and is no part of tax_total.
    """

    number: str | None = None
    control_number: str | None = None
    doc_type: str | None = None
    status: str | None = None
    register_id: str | None = None
    shift_id: str | None = None
    cashier_id: str | None = None
    sold_at: str | None = None
    sold_at_precision: str | None = None
    business_date: str | None = None
    currency: str | None = None
    exchange_rate: str | None = None
    subtotal: str | None = None
    discount_total: str | None = None
    exempt_total: str | None = None
    tax_total: str | None = None
    igtf_total: str | None = None
    rounding: str | None = None
    total: str | None = None
    prices_include_tax: bool | None = None
    original_sale_ref: str | None = None
    original_number: str | None = None
    customer_name: str | None = None
    customer_tax_id: str | None = None
    fiscal_printer: str | None = None
    fiscal_number: str | None = None
    fiscal_z: str | None = None


class SaleLine(Change, frozen=True, kw_only=True):
    """A line of a document. It keeps the SKU; `product_ref` is sent only where the POS names the product's key.

    line_no: the line's place; where the POS has none, lines are in the order of their keys. scanned_code: what the scanner
    read (it may hold a weight or a price); quantity has decimals. tax_category: general, reduced, luxury, exempt,
    not_subject; 0 % and exempt differ. kit_parent: the line number of the kit that this line is a part of.
    """

    sku: str | None = None
    product_ref: str | None = None
    scanned_code: str | None = None
    name: str | None = None
    quantity: str | None = None
    unit: str | None = None
    unit_price: str | None = None
    list_price: str | None = None
    discount: str | None = None
    line_total: str | None = None
    tax_rate: str | None = None
    tax_category: str | None = None
    tax_amount: str | None = None
    unit_cost: str | None = None
    returned_quantity: str | None = None
    kit_parent: str | None = None
    line_no: str | None = None


class Payment(Change, frozen=True, kw_only=True):
    """A tender of a document. amount is in `currency`, rate is the recorded one, amount_base in the document's currency."""

    method: str | None = None
    currency: str | None = None
    amount: str | None = None
    rate: str | None = None
    amount_base: str | None = None
    igtf: str | None = None
    reference: str | None = None


class Tax(Change, frozen=True, kw_only=True):
    """What a document says of one tax: category as in `SaleLine`, rate in percent, base and amount as printed."""

    category: str | None = None
    rate: str | None = None
    base: str | None = None
    amount: str | None = None


class Sale(Struct, frozen=True, kw_only=True):
    """What one source transaction said of one sale: its header, or some of its lines, tenders and taxes, or both.

    closed: the template's `closed_when` holds. expected_lines: where the template names a count. None of either: not known
    here, and what is known stays. txn_end: the source transaction that carried it ends in this record; false for a snapshot.
    live: lines are saved one by one under a live header, so the end of a transaction says nothing.
    store_id is None where only lines came; they belong to their sale's store. id is UNKNOWN_SALE where deleted lines, tenders
    and taxes name no sale; nothing else is in it then, and each was in the sale with which it is stored, if it is.
    """

    id: str
    store_id: str | None
    header: SaleHeader | None
    lines: list[SaleLine]
    closed: bool | None = None
    expected_lines: int | None = None
    txn_end: bool = False
    live: bool = False
    payments: list[Payment] = []
    taxes: list[Tax] = []


class Quarantined(Struct, frozen=True, kw_only=True):
    """A row, or a whole raw record, that could not be taken; nothing is lost, it waits in PostgreSQL for mending.

    raw: the row as JSON {column: value}, or the raw record's bytes in base64 where it could not even be read.
    version: that of the row; None for a whole record. message is one sentence with its mend. change: the row as a
    ChangeSet of its own in JSON, from which it is mapped again after mending; None for a whole record. record_id: of the
    canonical record that the row would have been, where its key can be read; a newer one settles the entry.
    """

    topic: str
    partition: int
    offset: int
    external_table: str | None
    external_id: str | None
    version: int | None
    code: str
    error_class: str
    message: str
    raw: str
    change: str | None = None
    record_id: str | None = None


class CanonicalSet(Struct, frozen=True, kw_only=True):
    """What one ChangeSet means; the value of fluxion.records.v1, internal. One ChangeSet gives one CanonicalSet.

    source_offset: the offset in pos.changes.v1. A sale touched by several transactions appears once for each, in order.
    replayed: the raw record was mapped again on request, after a mapping or a row was mended; versions are the original.
    """

    system_id: str
    mapping_revision: int
    source_offset: int
    captured_at: int
    categories: list[Category] = []
    products: list[Product] = []
    stock: list[Stock] = []
    sales: list[Sale] = []
    ends: list[End] = []
    quarantined: list[Quarantined] = []
    suppliers: list[Supplier] = []
    movements: list[Movement] = []
    replayed: bool = False
