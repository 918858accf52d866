"""Writes what `announce` decides about sales: outbox rows, what is remembered, and when to look at a sale again."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec

from schemas.topics import SALE_EVENTS
from sinks.announce import Judge, Judged, Wait, decide, judge
from sinks.reading import SaleKey, Touch
from sinks.sale_rows import columns, read_sales
from sinks.stored import StoredSale
from sinks.systems import Owner
from sinks.tables import PARTS_OF_SALES, Link

# The relay listens on it, so that an event leaves as soon as it is committed.
CHANNEL = "fluxion_outbox"

_OUTBOX = """
insert into pos_integration.outbox (tenant_id, topic, key, event_id, event_type, subject, occurred_at, data)
select tenant_id, %s, key, event_id, event_type, subject, clock_timestamp(), data
from jsonb_to_recordset(%s::jsonb)
  as t (tenant_id uuid, key text, event_id uuid, event_type text, subject uuid, data jsonb)
"""

_ANNOUNCED = """
update fluxion.sales s
set announced_version = t.version, announced_revision = t.revision, announced_hash = t.digest, announced_as = t.shown,
  announced_at = case when t.changed then now() else s.announced_at end, settle_at = null
from unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::int[], %s::bytea[], %s::text[], %s::bool[])
  as t (tenant_id, id, version, revision, digest, shown, changed)
where s.tenant_id = t.tenant_id and s.id = t.id
"""

_WAITS = """
update fluxion.sales s set settle_at = clock_timestamp() + t.seconds * interval '1 second'
from unnest(%s::uuid[], %s::uuid[], %s::float8[]) as t (tenant_id, id, seconds)
where s.tenant_id = t.tenant_id and s.id = t.id
"""

_SLEEPS = """
update fluxion.sales s set settle_at = null from unnest(%s::uuid[], %s::uuid[]) as t (tenant_id, id)
where s.tenant_id = t.tenant_id and s.id = t.id and s.settle_at is not null
"""

# What went was taken out of its sale, for that stands. In a document that is still open nothing is ever archived.
_TAKEN_OUT = """
update {} i set deleted_at = i.purged_at, purged_at = null
from unnest(%s::uuid[], %s::uuid[]) as t (tenant_id, id)
join fluxion.sales s on s.tenant_id = t.tenant_id and s.id = t.id
where i.tenant_id = t.tenant_id and i.sale_id = t.id and i.purged_at is not null and i.deleted_at is null
  and s.has_header and s.purged_at is null and s.deleted_at is null and s.status is distinct from 'voided' and {}
"""


@dataclass
class _Decided:
    told: list[tuple[StoredSale, Judged]] = field(default_factory=list)
    waiting: list[tuple[str, str, float]] = field(default_factory=list)
    settled: list[SaleKey] = field(default_factory=list)


def announce(
    link: Link, touched: Mapping[SaleKey, Touch | Literal["due"]], owner_of: Callable[[str], Owner | None]
) -> int:
    """Decide about the sales (tenant, id) that were touched or are due, write what follows, and return how many events."""
    wanted = {key: how for key, how in touched.items() if how != "read"}
    decided = _Decided()
    for sale in read_sales(link, wanted) if wanted else ():
        owner = owner_of(sale.system_id)
        if owner is not None:
            _decide(sale, wanted[sale.tenant_id, sale.id], owner, decided)
    _remember(link, decided)
    looked_at = {(sale.tenant_id, sale.id) for sale, _ in decided.told} | {row[:2] for row in decided.waiting}
    asleep = [key for key, how in wanted.items() if how == "due" and key not in looked_at]
    if asleep:
        link.execute(_SLEEPS, columns(asleep, 2))
    return sum(len(judged.events) for _, judged in decided.told)


def _decide(sale: StoredSale, how: Touch | Literal["due"], owner: Owner, decided: _Decided) -> None:
    verdict = decide(sale, how, owner.settle_seconds)
    if isinstance(verdict, Judge):
        zone = owner.stores.get(sale.store_id or "", "UTC")
        decided.told.append(
            (sale, judge(sale, complete=verdict.complete, zone=zone, announce_from=owner.announce_from))
        )
        if sale.removed_for() is not None:
            decided.settled.append((sale.tenant_id, sale.id))
    elif isinstance(verdict, Wait):
        decided.waiting.append((sale.tenant_id, sale.id, verdict.seconds))


def _remember(link: Link, decided: _Decided) -> None:
    events = [
        {
            "tenant_id": sale.tenant_id,
            "key": sale.store_id,
            "event_id": news.event_id,
            "event_type": news.event_type,
            "subject": sale.id,
            "data": news.event,
        }
        for sale, judged in decided.told
        for news in judged.events
    ]
    if events:
        link.execute(_OUTBOX, [SALE_EVENTS.name, msgspec.json.encode(events).decode()])
        link.execute("select pg_notify(%s, '')", [CHANNEL])
    if decided.told:
        told = [
            (s.tenant_id, s.id, j.version, j.mapping_revision, j.digest, j.announced_as, j.changed)
            for s, j in decided.told
        ]
        link.execute(_ANNOUNCED, columns(told, 7))
    if decided.waiting:
        link.execute(_WAITS, columns(decided.waiting, 3))
    if decided.settled:
        _take_out(link, decided.settled, "true")


def take_out_of_open(link: Link, sales: Iterable[SaleKey]) -> None:
    """Take the parts that went out of those of the sales (tenant, id) that are not closed yet."""
    _take_out(link, sales, "not s.closed")


def _take_out(link: Link, sales: Iterable[SaleKey], of_which: str) -> None:
    keys = columns(sales, 2)
    for table in PARTS_OF_SALES:
        link.execute(_TAKEN_OUT.format(table.name, of_which).encode(), keys)


def sales_due(link: Link, read_through: Mapping[int, datetime], limit: int) -> list[SaleKey]:
    """Return at most `limit` sales (tenant, id) that fell due until the moment given for their partition."""
    return link.execute(
        "select s.tenant_id::text, s.id::text from fluxion.sales s"
        " join unnest(%s::int[], %s::timestamptz[]) as t (partition, moment)"
        " on s.partition = t.partition and s.settle_at <= t.moment"
        " where s.settle_at is not null order by s.settle_at limit %s",
        [list(read_through), list(read_through.values()), limit],
    ).fetchall()
