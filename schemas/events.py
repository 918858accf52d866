"""The public events as frozen structs; `avro/sale_event.avsc` is their form on the wire. Every new field has a default."""

from msgspec import Struct


class EventLine(Struct, frozen=True, kw_only=True, rename="camel"):
    """A line as the public event shows it; decimals as text. Field for field as in `SaleLine`."""

    line_id: str
    line_no: int
    sku: str | None
    product_id: str | None
    name: str | None
    quantity: str | None
    unit_price: str | None
    line_total: str | None
    tax_rate: str | None
    scanned_code: str | None = None
    unit: str | None = None
    list_price: str | None = None
    discount: str | None = None
    tax_category: str | None = None
    tax_amount: str | None = None
    unit_cost: str | None = None
    returned_quantity: str | None = None
    kit_parent_line_no: int | None = None


class EventTax(Struct, frozen=True, kw_only=True, rename="camel"):
    """One tax of the document as printed."""

    category: str | None
    rate: str | None
    base: str | None
    amount: str | None


class EventTender(Struct, frozen=True, kw_only=True, rename="camel"):
    """One tender; `reference` is masked but for its last four characters."""

    method: str | None
    currency: str | None
    amount: str | None
    rate: str | None
    amount_base: str | None
    igtf: str | None
    reference: str | None


class EventCustomer(Struct, frozen=True, kw_only=True, rename="camel"):
    """Who bought, without a name: id is a hash that is the same within the tenant, kind V, E, J, P, G, C or none."""

    id: str
    kind: str
    rif_valid: bool


class EventSale(Struct, frozen=True, kw_only=True, rename="camel"):
    """A sale as PostgreSQL committed it, whole.

    complete: false where it was announced as it stood after settle_seconds. totalsMatch: the lines add up to the header,
    None where they cannot be compared; a difference is reported, never repaired. A return (docType credit_note) has
    positive quantities and names its invoice in originalSaleId, where that is known, and originalNumber, as printed.
    """

    sale_id: str
    external_id: str
    version: int
    number: str | None
    doc_type: str
    status: str
    register_id: str | None
    sold_at: str | None
    sold_at_precision: str | None
    business_date: str | None
    currency: str | None
    subtotal: str | None
    tax_total: str | None
    total: str | None
    prices_include_tax: bool | None
    totals_match: bool | None
    complete: bool
    is_snapshot: bool
    lines: list[EventLine]
    control_number: str | None = None
    shift_id: str | None = None
    cashier_id: str | None = None
    time_zone: str | None = None
    exchange_rate: str | None = None
    discount_total: str | None = None
    exempt_total: str | None = None
    igtf_total: str | None = None
    rounding: str | None = None
    original_sale_id: str | None = None
    original_number: str | None = None
    fiscal_printer: str | None = None
    fiscal_number: str | None = None
    fiscal_z: str | None = None
    voided_at: str | None = None
    customer: EventCustomer | None = None
    taxes: list[EventTax] = []
    tenders: list[EventTender] = []


class SaleEvent(Struct, frozen=True, kw_only=True, rename="camel"):
    """The value of fluxion.sale_events.v1: public. `ce_type` in the headers says which event it is."""

    tenant_id: str
    store_id: str
    sale: EventSale
