"""When a sale is announced, and what the event says: pure."""

import hashlib
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from schemas.identity import event_id
from schemas.records import EventLine, EventSale, SaleEvent

SALE_CREATED = "sale_created"
# A sale that nothing marks as whole is taken as whole when it has been quiet for so long.
QUIET_SECONDS = 2.0
_CENT = Decimal("0.01")
_STEPS = {"date": timedelta(days=1), "minute": timedelta(minutes=1), "second": timedelta(seconds=1)}
# What may differ between two readings of one unchanged sale: a re-snapshot gives new versions, products get names later.
_NOT_OF_THE_SALE = {"version", "complete", "isSnapshot", "lines"}
_NOT_OF_THE_LINE = {"productId", "name"}


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A line as PostgreSQL holds it, with the product that it is known to be of."""

    id: str
    external_id: str
    line_no: str | None
    sku: str | None
    product_id: str | None
    name: str | None
    quantity: Decimal | None
    unit_price: Decimal | None
    line_total: Decimal | None
    tax_rate: Decimal | None
    version: int
    mapping_revision: int
    purged: bool


@dataclass(frozen=True, slots=True)
class StoredSale:
    """A sale as PostgreSQL holds it, whole."""

    tenant_id: str
    id: str
    system_id: str
    external_id: str
    store_id: str | None
    has_header: bool
    number: str | None
    doc_type: str | None
    status: str | None
    register_id: str | None
    sold_at: datetime | None
    sold_at_precision: str | None
    business_date: date | None
    currency: str | None
    subtotal: Decimal | None
    tax_total: Decimal | None
    total: Decimal | None
    prices_include_tax: bool | None
    closed: bool
    expected_lines: int | None
    is_snapshot: bool
    version: int
    mapping_revision: int
    purged: bool
    announced: bool
    lines: tuple[StoredLine, ...]

    def own_lines(self) -> list[StoredLine]:
        """Return the lines that count, in order.

        A line that went while its sale lives is none of it any more; lines that the POS archived together with their
        sale still are.
        """
        return sorted((line for line in self.lines if self.purged or not line.purged), key=_place)


@dataclass(frozen=True, slots=True)
class Announce:
    """Announce it now. silent: remember it as announced, send nothing."""

    complete: bool
    silent: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after so many seconds, if nothing touches it before."""

    seconds: float


def decide(
    sale: StoredSale, *, txn_end: bool, due: bool, settle_seconds: float, announce_from: datetime
) -> Announce | Wait | None:
    """Decide about a sale that was touched, or whose time has come (`due`). None: something must happen to it first.

    Never before its header is there and closed. Then by the first that applies: (a) it has as many lines as its header
    says; (b) a source transaction with its header and lines ended; (c) 2 s passed after its last row; after
    `settle_seconds` as it stands, not complete. A sale of a snapshot waits for the snapshot's end instead.
    """
    if sale.announced or not sale.has_header or not sale.closed or sale.store_id is None:
        return None
    lines = len(sale.own_lines())
    counted = sale.expected_lines is not None and lines >= sale.expected_lines
    quiet = bool(lines) and sale.expected_lines is None
    if counted or due or (txn_end and lines):
        complete = counted or quiet or (txn_end and lines > 0)
        return Announce(complete=complete, silent=sale.is_snapshot and _before(sale, announce_from))
    if sale.is_snapshot:
        return None
    return Wait(min(QUIET_SECONDS, settle_seconds) if quiet else settle_seconds)


def _before(sale: StoredSale, moment: datetime) -> bool:
    if sale.sold_at is None:
        return False
    # A POS that keeps the date only says midnight for a sale of the whole day, one that keeps seconds 10:00:07 for 10:00:07.9.
    return sale.sold_at + _STEPS.get(sale.sold_at_precision or "second", _STEPS["second"]) <= moment


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event for the outbox. `digest` tells whether a later state of the sale says something else."""

    event_id: str
    version: int
    digest: bytes
    event: SaleEvent


def announcement(sale: StoredSale, *, complete: bool, zone: str) -> Announcement:
    """Assemble the event of a sale as it stands; `zone` is its store's time zone."""
    lines = sale.own_lines()
    version = max([sale.version, *(line.version for line in lines)])
    revision = max([sale.mapping_revision, *(line.mapping_revision for line in lines)])
    event = SaleEvent(
        tenant_id=sale.tenant_id,
        store_id=sale.store_id or "",
        sale=EventSale(
            sale_id=sale.id,
            external_id=sale.external_id,
            version=version,
            number=sale.number,
            doc_type=sale.doc_type or "invoice",
            status=sale.status or "completed",
            register_id=sale.register_id,
            sold_at=sale.sold_at.astimezone(ZoneInfo(zone)).isoformat() if sale.sold_at else None,
            sold_at_precision=sale.sold_at_precision,
            business_date=sale.business_date.isoformat() if sale.business_date else None,
            currency=sale.currency,
            subtotal=plain(sale.subtotal),
            tax_total=plain(sale.tax_total),
            total=plain(sale.total),
            prices_include_tax=sale.prices_include_tax,
            totals_match=totals_match(sale, lines),
            complete=complete,
            is_snapshot=sale.is_snapshot,
            lines=_event_lines(lines),
        ),
    )
    return Announcement(event_id(sale.id, SALE_CREATED, version, revision), version, digest(event), event)


def digest(event: SaleEvent) -> bytes:
    """Return SHA-256 of what the POS said of the sale: the event's data without what changes by itself."""
    data = msgspec.to_builtins(event)
    sale = data["sale"]
    lines = [{name: value for name, value in line.items() if name not in _NOT_OF_THE_LINE} for line in sale["lines"]]
    said = {name: value for name, value in sale.items() if name not in _NOT_OF_THE_SALE}
    text = msgspec.json.encode([data["tenantId"], data["storeId"], said, lines], order="deterministic")
    return hashlib.sha256(text).digest()


def totals_match(sale: StoredSale, lines: list[StoredLine]) -> bool | None:
    """Tell whether the lines add up to the header, to a cent a line; None where they cannot be compared.

    Prices with tax add up to the total, prices without to the subtotal.
    """
    said = sale.total if sale.prices_include_tax else _net(sale)
    amounts = [_amount(line) for line in lines]
    if said is None or not amounts:
        return None
    known = [amount for amount in amounts if amount is not None]
    return None if len(known) < len(amounts) else abs(sum(known) - said) <= _CENT * len(known)


def _net(sale: StoredSale) -> Decimal | None:
    if sale.subtotal is None and sale.total is not None and sale.tax_total is not None:
        return sale.total - sale.tax_total
    return sale.subtotal


def _amount(line: StoredLine) -> Decimal | None:
    if line.line_total is None and line.quantity is not None and line.unit_price is not None:
        return line.quantity * line.unit_price
    return line.line_total


def _event_lines(lines: list[StoredLine]) -> list[EventLine]:
    numbers = [_number(line) for line in lines]
    if None in numbers or len(set(numbers)) < len(numbers):  # the POS numbers none, or not each by itself
        numbers = list(range(1, len(lines) + 1))
    return [
        EventLine(
            line_id=line.id,
            line_no=number or 0,
            sku=line.sku,
            product_id=line.product_id,
            name=line.name,
            quantity=plain(line.quantity),
            unit_price=plain(line.unit_price),
            line_total=plain(line.line_total),
            tax_rate=plain(line.tax_rate),
        )
        for number, line in zip(numbers, lines, strict=True)
    ]


def _number(line: StoredLine) -> int | None:
    return int(line.line_no) if line.line_no is not None and re.fullmatch(r"-?[0-9]{1,18}", line.line_no) else None


def _place(line: StoredLine) -> tuple[bool, int, list[tuple[int, str]], str]:
    """By the POS's number, and by the key where it has none: digits compare as numbers, "9" before "10"."""
    number = _number(line)
    parts = [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.findall(r"[0-9]+|[^0-9]+", line.external_id)
    ]
    return number is None, number or 0, parts, line.id


def plain(amount: Decimal | None) -> str | None:
    """Return a decimal as text without exponent and without zeros that say nothing."""
    if amount is None:
        return None
    text = format(amount, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
