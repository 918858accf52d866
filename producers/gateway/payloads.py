"""The payloads of webhook events, as the specification has them: camelCase, or with underscores as its handlers read them.

The fields that are named here have these names as columns; every other field is a column too, by the name that it was sent
with, so that a template can map what a point of sale sends by its own names. Which fields are needed is the template's word.
"""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import AliasChoices, AliasGenerator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from producers.gateway.document import Plain


def _scalar(value: object) -> object:
    if value is None or isinstance(value, str | Decimal):
        return value
    raise ValueError("neither text nor a number")


def _flag(value: object) -> object:
    return value if isinstance(value, bool) else _scalar(value)


# A code may come as a number; a number as text, for no float spoils that. How such text reads is said by the template.
Scalar = Annotated[str | Decimal | None, BeforeValidator(_scalar)]
Flag = Annotated[bool | str | Decimal | None, BeforeValidator(_flag)]


def _or(name: str, *others: str) -> Any:
    """Return a field that has further names in the specification; what is not taken of them stays as it was sent."""
    return Field(None, validation_alias=AliasChoices(to_camel(name), name, *others))


class Payload(BaseModel):
    """A part of an event's data."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        strict=True,  # true is no number, and a number is no time
        alias_generator=AliasGenerator(validation_alias=lambda name: AliasChoices(to_camel(name), name)),
    )

    def document(self) -> dict[str, Plain]:
        """Return what was sent, under the names that columns have."""
        sent = {to_camel(name): _plain(getattr(self, name)) for name in self._fields() if name in self.model_fields_set}
        return sent | (self.model_extra or {})

    @classmethod
    def _fields(cls) -> list[str]:
        return list(cls.model_fields)


def _plain(value: Any) -> Plain:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    found: Plain = value.document() if isinstance(value, Payload) else value
    return found


class Sent(Payload):
    """What every event's data may say. tenant_id and store_id are compared with what the sender may speak for."""

    tenant_id: str | None = None
    store_id: Scalar = None


class Item(Payload):
    """A line of a sale."""

    sku: Scalar = _or("sku", "productSku", "product_sku")
    scanned_code: Scalar = None
    name: str | None = None
    quantity: Scalar = None
    unit: Scalar = None
    unit_price: Scalar = None
    list_price: Scalar = None
    discount: Scalar = None
    line_total: Scalar = None
    tax_rate: Scalar = None
    tax_category: Scalar = None
    tax_amount: Scalar = None
    unit_cost: Scalar = None
    returned_quantity: Scalar = None
    kit_parent: Scalar = None


class Payment(Payload):
    """A tender."""

    method: Scalar = _or("method", "paymentMethod", "payment_method")
    currency: str | None = None
    amount: Scalar = None
    rate: Scalar = None
    amount_base: Scalar = None
    igtf: Scalar = None
    reference: Scalar = None


class Tax(Payload):
    """What the document says of one tax."""

    category: Scalar = None
    rate: Scalar = None
    base: Scalar = None
    amount: Scalar = None


class SaleCompleted(Sent):
    """A whole document. id: its own in the point of sale; without one it is its store, register, kind and number.

    doc_type is invoice and status completed where nothing is said. payment_method: one tender of the whole total.
    """

    id: Scalar = _or("id", "saleId", "sale_id")
    invoice_number: Scalar = None
    control_number: Scalar = None
    doc_type: str | None = None
    status: str | None = None
    register_id: Scalar = None
    shift_id: Scalar = None
    cashier_id: Scalar = None
    sold_at: str | None = _or("sold_at", "saleDate", "sale_date", "date")
    business_date: str | None = None
    currency: str | None = None
    exchange_rate: Scalar = None
    subtotal: Scalar = None
    discount_total: Scalar = _or("discount_total", "discount")
    exempt_total: Scalar = None
    tax_total: Scalar = _or("tax_total", "tax", "iva")
    igtf_total: Scalar = None
    rounding: Scalar = None
    total: Scalar = None
    prices_include_tax: Flag = None
    original_id: Scalar = None
    original_number: Scalar = None
    customer_name: str | None = None
    customer_tax_id: Scalar = None
    fiscal_printer: Scalar = None
    fiscal_number: Scalar = None
    fiscal_z: Scalar = None
    payment_method: Scalar = None
    items: list[Item] | None = None
    payments: list[Payment] | None = None
    taxes: list[Tax] | None = None

    def document(self) -> dict[str, Plain]:
        """Return what was sent and what follows from it."""
        made = super().document()
        made["docType"] = self.doc_type or "invoice"
        made["status"] = self.status or "completed"
        if self.id is None and self.invoice_number is not None:
            words = (self.store_id, self.register_id, made["docType"], self.invoice_number)
            made["id"] = "/".join("" if word is None else str(word).strip().replace("/", "//") for word in words)
        if self.payments is None and self.payment_method is not None and self.total is not None:
            made["payments"] = [{"method": self.payment_method, "amount": self.total}]
        return made


class Named(Payload):
    """A category or a supplier."""

    id: Scalar = None
    name: str | None = None


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class ProductUpdated(Sent):
    """A product, or what changed of it. category, supplier: a name, or an object with id and name."""

    sku: Scalar = None
    name: str | None = None
    barcode: Scalar = None
    category: Annotated[Named | None, BeforeValidator(_named)] = None
    category_id: Scalar = None
    supplier: Annotated[Named | None, BeforeValidator(_named)] = None
    supplier_id: Scalar = None
    cost_price: Scalar = None
    selling_price: Scalar = None
    tax_rate: Scalar = None
    is_active: Flag = _or("is_active", "active")
    last_sale_at: str | None = _or("last_sale_at", "lastSaleDate", "last_sale_date")

    def document(self) -> dict[str, Plain]:
        """Return what was sent; category and supplier as objects with an id, the name where there is no other."""
        made = super().document()
        for name, found, id_ in (
            ("category", self.category, self.category_id),
            ("supplier", self.supplier, self.supplier_id),
        ):
            if {name, f"{name}_id"} & self.model_fields_set:
                said = found.document() if found is not None else {}
                made[name] = said | {"id": _first(said.get("id"), id_, said.get("name"))}
        return made


def _first(*values: Plain) -> Plain:
    """Return the first that says anything."""
    return next((value for value in values if value is not None and str(value).strip()), None)


class StockMovement(Sent):
    """A movement of stock that no sale tells of. quantity is signed: what comes in is positive."""

    id: Scalar = _or("id", "movementId", "movement_id")
    sku: Scalar = _or("sku", "productSku", "product_sku")
    kind: Scalar = _or("kind", "movementType", "movement_type", "type")
    quantity: Scalar = None
    reference: Scalar = None
    occurred_at: str | None = _or("occurred_at", "movementDate", "movement_date", "date")
