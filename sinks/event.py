"""What an event says of a sale, and by what a later state is told to say something else: pure."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from schemas.events import EventLine, EventSale, EventTax, EventTender, SaleEvent
from sinks.customer import customer, masked
from sinks.stored import StoredLine, StoredPart, StoredPayment, StoredSale, StoredTax
from sinks.totals import totals_match

# What may differ between two readings of one unchanged sale: a re-snapshot gives new versions, products get names later.
_NOT_OF_THE_SALE = {"version", "complete", "isSnapshot", "lines", "timeZone", "voidedAt"}
_NOT_OF_THE_LINE = {"productId", "name"}
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_RUNS = re.compile(r"[0-9]+|[^0-9]+")


def sale_event(sale: StoredSale, *, complete: bool, zone: str) -> SaleEvent:
    """Assemble the event of a sale as it stands; `zone` is its store's time zone."""
    lines = sorted(sale.own(sale.lines), key=_place_of_line)
    payments = sorted(sale.own(sale.payments), key=_place)
    taxes = sorted(sale.own(sale.taxes), key=_place)
    version, _ = sale.newest()
    here = ZoneInfo(zone)
    shown = EventSale(
        sale_id=sale.id,
        external_id=sale.external_id,
        version=version,
        number=sale.number,
        doc_type=sale.doc_type or "invoice",
        status=sale.status or "completed",
        register_id=sale.register_id,
        sold_at=_local(sale.sold_at, here),
        sold_at_precision=sale.sold_at_precision,
        business_date=sale.business_date.isoformat() if sale.business_date else None,
        currency=sale.currency,
        subtotal=plain(sale.subtotal),
        tax_total=plain(sale.tax_total),
        total=plain(sale.total),
        prices_include_tax=sale.prices_include_tax,
        totals_match=totals_match(sale, lines, taxes),
        complete=complete,
        is_snapshot=sale.is_snapshot,
        lines=_event_lines(lines),
        control_number=sale.control_number,
        shift_id=sale.shift_id,
        cashier_id=sale.cashier_id,
        time_zone=zone,
        exchange_rate=plain(sale.exchange_rate),
        discount_total=plain(sale.discount_total),
        exempt_total=plain(sale.exempt_total),
        igtf_total=plain(sale.igtf_total),
        rounding=plain(sale.rounding),
        original_sale_id=sale.original_sale_id or sale.found_original_id,
        original_number=sale.original_number,
        fiscal_printer=sale.fiscal_printer,
        fiscal_number=sale.fiscal_number,
        fiscal_z=sale.fiscal_z,
        voided_at=_local(sale.voided_at, here),
        customer=customer(sale.tenant_id, sale.customer_tax_id),
        taxes=[_event_tax(tax) for tax in taxes],
        tenders=[_event_tender(payment) for payment in payments],
    )
    return SaleEvent(tenant_id=sale.tenant_id, store_id=sale.store_id or "", sale=shown)


def digest(sale: StoredSale, event: SaleEvent) -> bytes:
    """Return SHA-256 of what the POS said of the sale: the event's data without what changes by itself.

    The event grows by fields with a default; one that holds it is left out, so that a new field changes no sale's digest.
    """
    said = _said(event.sale)
    if sale.original_sale_id is None:
        said.pop("originalSaleId", None)  # it was found by its number, and may be found later only
    lines = [
        {name: value for name, value in _said(line).items() if name not in _NOT_OF_THE_LINE}
        for line in event.sale.lines
    ]
    of_sale = {name: value for name, value in said.items() if name not in _NOT_OF_THE_SALE}
    text = msgspec.json.encode([event.tenant_id, event.store_id, of_sale, lines], order="deterministic")
    return hashlib.sha256(text).digest()


def _said(record: EventSale | EventLine) -> dict[str, object]:
    data: dict[str, object] = msgspec.to_builtins(record)
    for name in _DEFAULTED[type(record)]:
        if data[name] in (None, []):
            del data[name]
    return data


_DEFAULTED = {
    kind: [field.encode_name for field in msgspec.structs.fields(kind) if not field.required]
    for kind in (EventSale, EventLine)
}


def _local(moment: datetime | None, zone: ZoneInfo) -> str | None:
    return moment.astimezone(zone).isoformat() if moment else None


def _event_lines(lines: Sequence[StoredLine]) -> list[EventLine]:
    said = [_number(line.line_no) for line in lines]
    if None in said or len(set(said)) < len(said):  # the POS numbers none, or not each by itself
        numbers = list(range(1, len(lines) + 1))
    else:
        numbers = [number or 0 for number in said]
    times = Counter(said)
    shown = {own: number for own, number in zip(said, numbers, strict=True) if times[own] == 1}
    return [
        EventLine(
            line_id=line.id,
            line_no=number,
            sku=line.sku,
            product_id=line.product_id,
            name=line.name,
            quantity=plain(line.quantity),
            unit_price=plain(line.unit_price),
            line_total=plain(line.line_total),
            tax_rate=plain(line.tax_rate),
            scanned_code=line.scanned_code,
            unit=line.unit,
            list_price=plain(line.list_price),
            discount=plain(line.discount),
            tax_category=line.tax_category,
            tax_amount=plain(line.tax_amount),
            unit_cost=plain(line.unit_cost),
            returned_quantity=plain(line.returned_quantity),
            kit_parent_line_no=None if line.kit_parent is None else shown.get(_number(line.kit_parent)),
        )
        for number, line in zip(numbers, lines, strict=True)
    ]


def _event_tender(payment: StoredPayment) -> EventTender:
    return EventTender(
        method=payment.method,
        currency=payment.currency,
        amount=plain(payment.amount),
        rate=plain(payment.rate),
        amount_base=plain(payment.amount_base),
        igtf=plain(payment.igtf),
        reference=masked(payment.reference),
    )


def _event_tax(tax: StoredTax) -> EventTax:
    return EventTax(category=tax.category, rate=plain(tax.rate), base=plain(tax.base), amount=plain(tax.amount))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None


def _place_of_line(line: StoredLine) -> tuple[bool, int, list[tuple[int, str]], str]:
    """By the POS's number, and by the key where it has none."""
    number = _number(line.line_no)
    return number is None, number or 0, *_place(line)


def _place(part: StoredPart) -> tuple[list[tuple[int, str]], str]:
    """By the key: digits compare as numbers, "9" before "10"."""
    return [(int(run), "") if run.isdecimal() else (-1, run) for run in _RUNS.findall(part.external_id)], part.id


def plain(amount: Decimal | None) -> str | None:
    """Return a decimal as text without exponent and without zeros that say nothing."""
    if amount is None:
        return None
    text = format(amount, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
