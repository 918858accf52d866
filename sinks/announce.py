"""When a sale is looked at, and what is said of it then: pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from schemas.events import SaleEvent
from schemas.identity import event_id
from sinks.event import digest, sale_event
from sinks.reading import Touch
from sinks.stored import AnnouncedAs, StoredSale

EventType = Literal["sale_created", "sale_corrected", "sale_voided"]
# A sale that nothing marks as whole is taken as whole when it has been quiet for so long.
QUIET_SECONDS = 2.0
_STEPS = {"date": timedelta(days=1), "minute": timedelta(minutes=1), "second": timedelta(seconds=1)}


@dataclass(frozen=True, slots=True)
class Judge:
    """Look at it now, as it stands. complete: nothing is missing as far as can be known."""

    complete: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after so many seconds, if nothing touches it before."""

    seconds: float


def decide(sale: StoredSale, how: Touch | Literal["due"], settle_seconds: float) -> Judge | Wait | None:
    """Decide about a sale that was touched, or whose time has come ("due"). None: something must happen to it first.

    Before it is announced never without its header, closed. Then by the first that applies: (a) it has as many lines as
    its header says; (b) a source transaction with its header and lines ended; (c) 2 s passed after its last row; after
    `settle_seconds` as it stands, not complete. A sale of a snapshot waits for the snapshot's end instead.

    Afterwards an edit is looked at when (b) its source transaction ended or (c) 2 s passed after its last row, so that
    one applied by halves is not told twice; one that opens the document again waits until it is closed.

    A part that went from a sale that was announced, or the last line of another, waits `settle_seconds`: if its sale
    went too, it was archived, else it was taken out. A sale that is saved anew, old lines out and new ones in, waits for
    nothing.
    """
    if not sale.has_header or sale.store_id is None or _is_over(sale):
        return None
    if not sale.closed and not (sale.announced and sale.voided):
        return None
    lines = len(sale.own(sale.lines))
    removed = sale.removed_for()
    if removed is not None and removed < settle_seconds and (sale.announced or not lines):
        return Wait(settle_seconds - removed)
    counted = sale.expected_lines is not None and lines >= sale.expected_lines
    quiet = bool(lines) and sale.expected_lines is None
    whole = how == "whole" and (bool(lines) or sale.announced)
    if how == "due" or whole or (counted and not sale.announced):
        return Judge(complete=counted or quiet or (how == "whole" and bool(lines)))
    if sale.is_snapshot and how != "again" and not sale.announced:
        return None
    return Wait(min(QUIET_SECONDS, settle_seconds) if quiet or sale.announced else settle_seconds)


def _is_over(sale: StoredSale) -> bool:
    """A sale that is gone says nothing more, but for having been voided before; one that was archived may be news still."""
    said = sale.voided and sale.announced and sale.announced_as != "voided"
    return (sale.deleted or (sale.purged and sale.announced)) and not said


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event for the outbox."""

    event_id: str
    event_type: EventType
    event: SaleEvent


@dataclass(frozen=True, slots=True)
class Judged:
    """What follows for a sale: events to send, none or more, and what to remember.

    digest: tells whether a later state of the sale says something else. changed: it differs from what was remembered.
    """

    version: int
    mapping_revision: int
    digest: bytes
    announced_as: AnnouncedAs
    events: tuple[Announcement, ...]
    changed: bool


def judge(sale: StoredSale, *, complete: bool, zone: str, announce_from: datetime) -> Judged:
    """Judge a sale as it stands; `zone` is its store's time zone.

    Only what says something else than before sends: one `sale_corrected`, or one `sale_voided`. `sale_created` always
    comes first, also for a sale that was void from the first or that was remembered in silence and changed later.
    """
    event = sale_event(sale, complete=complete, zone=zone)
    said = digest(sale, event)
    version, revision = sale.newest()
    types, shown = _types(sale, announce_from, version, revision, same=said == sale.announced_hash)
    events = tuple(Announcement(event_id(sale.id, kind, version, revision), kind, event) for kind in types)
    return Judged(version, revision, said, shown, events, said != sale.announced_hash)


def _types(
    sale: StoredSale, announce_from: datetime, version: int, revision: int, *, same: bool
) -> tuple[list[EventType], AnnouncedAs]:
    now: AnnouncedAs = "voided" if sale.voided else "standing"
    news: EventType = "sale_voided" if sale.voided else "sale_corrected"
    match sale.announced_as:
        case None if sale.is_snapshot and _before(sale, announce_from):
            return [], "silent"
        case None:
            return (["sale_created", news] if sale.voided else ["sale_created"]), now
        case shown if same or (shown == "silent" and _is_only_remapped(sale, version, revision)):
            return [], shown
        case "silent":
            return ["sale_created", news], now
        case "voided":
            return ["sale_corrected"], now
        case _:
            return [news], now


def _is_only_remapped(sale: StoredSale, version: int, revision: int) -> bool:
    """Another mapping reads an old sale otherwise; nobody corrected it in the POS."""
    newer = sale.announced_revision is not None and revision > sale.announced_revision
    return newer and (version == sale.announced_version or sale.is_snapshot)


def _before(sale: StoredSale, moment: datetime) -> bool:
    if sale.sold_at is None:
        return False
    # A POS that keeps the date only says midnight for a sale of the whole day, one that keeps seconds 10:00:07 for 10:00:07.9.
    return sale.sold_at + _STEPS.get(sale.sold_at_precision or "second", _STEPS["second"]) <= moment
