"""A sale as PostgreSQL holds it, whole: what is decided about and what an event is made of."""

from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeVar

from msgspec import Struct

# silent: remembered as announced, nothing was sent; standing, voided: as which the last event showed the sale.
AnnouncedAs = Literal["silent", "standing", "voided"]


class StoredPart(Struct, frozen=True):
    """What the parts of a sale have in common.

    deleted: no part of its sale any more, or never seen in it. purged: it went from the POS, perhaps together with its sale,
    `gone_for` seconds ago.
    """

    id: str
    external_id: str
    version: int
    mapping_revision: int
    purged: bool
    deleted: bool
    gone_for: float | None


class StoredLine(StoredPart, frozen=True):
    """A line, with the product that it is known to be of."""

    line_no: str | None
    sku: str | None
    product_id: str | None
    name: str | None
    scanned_code: str | None
    quantity: Decimal | None
    unit: str | None
    unit_price: Decimal | None
    list_price: Decimal | None
    discount: Decimal | None
    line_total: Decimal | None
    tax_rate: Decimal | None
    tax_category: str | None
    tax_amount: Decimal | None
    unit_cost: Decimal | None
    returned_quantity: Decimal | None
    kit_parent: str | None


class StoredPayment(StoredPart, frozen=True):
    """A tender."""

    method: str | None
    currency: str | None
    amount: Decimal | None
    rate: Decimal | None
    amount_base: Decimal | None
    igtf: Decimal | None
    reference: str | None


class StoredTax(StoredPart, frozen=True):
    """A tax as the document says it."""

    category: str | None
    rate: Decimal | None
    base: Decimal | None
    amount: Decimal | None


P = TypeVar("P", bound=StoredPart)


class StoredSale(Struct, frozen=True):
    """A sale with all its parts, also those that went.

    purged: the POS archived it; deleted: it is gone. found_original_id: the one document of the store that has the number
    which a return names. left_*: the newest of a part that moved to another sale. announced_*: of what was announced last,
    None before.
    """

    tenant_id: str
    id: str
    system_id: str
    external_id: str
    store_id: str | None
    has_header: bool
    number: str | None
    control_number: str | None
    doc_type: str | None
    status: str | None
    register_id: str | None
    shift_id: str | None
    cashier_id: str | None
    sold_at: datetime | None
    sold_at_precision: str | None
    business_date: date | None
    currency: str | None
    exchange_rate: Decimal | None
    subtotal: Decimal | None
    discount_total: Decimal | None
    exempt_total: Decimal | None
    tax_total: Decimal | None
    igtf_total: Decimal | None
    rounding: Decimal | None
    total: Decimal | None
    prices_include_tax: bool | None
    original_sale_id: str | None
    original_number: str | None
    customer_tax_id: str | None
    fiscal_printer: str | None
    fiscal_number: str | None
    fiscal_z: str | None
    voided_at: datetime | None
    closed: bool
    expected_lines: int | None
    is_snapshot: bool
    version: int
    mapping_revision: int
    purged: bool
    deleted: bool
    announced_version: int | None
    announced_revision: int | None
    announced_hash: bytes | None
    announced_as: AnnouncedAs | None
    left_version: int | None = None
    left_revision: int | None = None
    lines: tuple[StoredLine, ...] = ()
    payments: tuple[StoredPayment, ...] = ()
    taxes: tuple[StoredTax, ...] = ()
    found_original_id: str | None = None

    @property
    def announced(self) -> bool:
        """Whether it was announced, be it in silence."""
        return self.announced_version is not None

    @property
    def voided(self) -> bool:
        """Whether the document is void."""
        return self.status == "voided"

    @property
    def standing(self) -> bool:
        """Whether its header is there and holds: then a part that went was taken out of it."""
        return not (self.purged or self.deleted or self.voided)

    def parts(self) -> tuple[StoredPart, ...]:
        """Return all its parts."""
        return (*self.lines, *self.payments, *self.taxes)

    def own(self, parts: tuple[P, ...]) -> list[P]:
        """Return the parts that count.

        One that went while its sale stands is none of it any more; those that the POS archived or voided together with
        their sale still are.
        """
        return [part for part in parts if not part.deleted and not (part.purged and self.standing)]

    def newest(self) -> tuple[int, int]:
        """Return the greatest version and the greatest mapping revision of header and parts, also of those that went."""
        parts = self.parts()
        return (
            max([self.version, self.left_version or 0, *(part.version for part in parts)]),
            max([self.mapping_revision, self.left_revision or 0, *(part.mapping_revision for part in parts)]),
        )

    def removed_for(self) -> float | None:
        """Return for how many seconds the part that went last has been gone while the sale stands; None: none did."""
        if not self.standing:
            return None
        gone = [
            part.gone_for for part in self.parts() if part.purged and not part.deleted and part.gone_for is not None
        ]
        return min(gone, default=None)
