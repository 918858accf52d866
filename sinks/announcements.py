"""Reads sales whole and writes what `announce` decides: outbox rows, and when to look at a sale again."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import msgspec

from schemas.topics import SALE_EVENTS
from sinks.announce import SALE_CREATED, Announce, Announcement, StoredLine, StoredSale, Wait, announcement, decide
from sinks.systems import Owner
from sinks.tables import Link

# The relay listens on it, so that an event leaves as soon as it is committed.
CHANNEL = "fluxion_outbox"

_SALES = """
select s.tenant_id::text, s.id::text, s.pos_system_id::text, coalesce(s.external_id, ''), s.store_id::text, s.has_header,
       s.number, s.doc_type, s.status, s.register_id, s.sold_at, s.sold_at_precision, s.business_date, s.currency,
       s.subtotal, s.tax_total, s.total, s.prices_include_tax, s.closed, s.expected_lines, s.is_snapshot, s.version,
       s.mapping_revision, s.purged_at is not null, s.announced_version is not null
from unnest(%s::uuid[], %s::uuid[]) as wanted (tenant_id, id)
join fluxion.sales s on s.tenant_id = wanted.tenant_id and s.id = wanted.id
where s.announced_version is null and s.has_header and s.closed
order by s.tenant_id, s.id
"""

# A line's product: the one it is linked with, or else the first that has its SKU today.
_LINES = """
select i.sale_id::text, i.id::text, i.external_id, i.line_no, i.sku, coalesce(linked.id, found.id)::text,
       coalesce(linked.name, found.name), i.quantity, i.unit_price, i.line_total, i.tax_rate, i.version,
       i.mapping_revision, i.purged_at is not null
from unnest(%s::uuid[], %s::uuid[]) as wanted (tenant_id, id)
join fluxion.sale_items i on i.tenant_id = wanted.tenant_id and i.sale_id = wanted.id
left join fluxion.products linked on linked.tenant_id = i.tenant_id and linked.id = i.product_id
left join lateral (
  select p.id, p.name from fluxion.products p
  where i.product_id is null and p.tenant_id = i.tenant_id and p.pos_system_id = i.pos_system_id and p.sku = i.sku
    and p.deleted_at is null
  order by p.id limit 1
) found on true
"""

_OUTBOX = """
insert into pos_integration.outbox (tenant_id, topic, key, event_id, event_type, subject, occurred_at, data)
select tenant_id, %s, key, event_id, %s, subject, clock_timestamp(), data
from jsonb_to_recordset(%s::jsonb) as t (tenant_id uuid, key text, event_id uuid, subject uuid, data jsonb)
"""

_ANNOUNCED = """
update fluxion.sales s
set announced_version = t.version, announced_hash = t.digest, announced_at = now(), settle_at = null
from unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::bytea[]) as t (tenant_id, id, version, digest)
where s.tenant_id = t.tenant_id and s.id = t.id
"""

_WAITS = """
update fluxion.sales s set settle_at = clock_timestamp() + t.seconds * interval '1 second'
from unnest(%s::uuid[], %s::uuid[], %s::float8[]) as t (tenant_id, id, seconds)
where s.tenant_id = t.tenant_id and s.id = t.id
"""


def read_sales(link: Link, keys: Iterable[tuple[str, str]]) -> list[StoredSale]:
    """Return those of the sales (tenant, id) that may be announced, each with its lines."""
    rows = link.execute(_SALES, _columns(keys, 2)).fetchall()
    if not rows:
        return []
    lines: dict[str, list[StoredLine]] = {}
    for sale_id, *line in link.execute(_LINES, _columns((row[:2] for row in rows), 2)):
        lines.setdefault(sale_id, []).append(StoredLine(*line))
    return [StoredSale(*(*row, tuple(lines.get(row[1], ())))) for row in rows]


def announce(
    link: Link, touched: Mapping[tuple[str, str], bool], owner_of: Callable[[str], Owner | None], *, due: bool
) -> int:
    """Decide about the sales (tenant, id) → txn_end, write what follows, and return how many events that gave."""
    told: list[tuple[StoredSale, Announcement, bool]] = []
    waiting: list[tuple[str, str, float]] = []
    for sale in read_sales(link, touched) if touched else ():
        owner = owner_of(sale.system_id)
        if owner is None:
            continue
        txn_end = touched[sale.tenant_id, sale.id]
        verdict = decide(
            sale, txn_end=txn_end, due=due, settle_seconds=owner.settle_seconds, announce_from=owner.announce_from
        )
        if isinstance(verdict, Announce):
            zone = owner.stores.get(sale.store_id or "", "UTC")
            told.append((sale, announcement(sale, complete=verdict.complete, zone=zone), verdict.silent))
        elif isinstance(verdict, Wait):
            waiting.append((sale.tenant_id, sale.id, verdict.seconds))
    _write(link, told, waiting)
    return sum(not silent for _, _, silent in told)


def _write(
    link: Link, told: list[tuple[StoredSale, Announcement, bool]], waiting: list[tuple[str, str, float]]
) -> None:
    events = [
        {
            "tenant_id": sale.tenant_id,
            "key": sale.store_id,
            "event_id": news.event_id,
            "subject": sale.id,
            "data": msgspec.to_builtins(news.event),
        }
        for sale, news, silent in told
        if not silent
    ]
    if events:
        link.execute(_OUTBOX, [SALE_EVENTS.name, SALE_CREATED, msgspec.json.encode(events).decode()])
        link.execute("select pg_notify(%s, '')", [CHANNEL])
    if told:
        link.execute(
            _ANNOUNCED, _columns([(sale.tenant_id, sale.id, news.version, news.digest) for sale, news, _ in told], 4)
        )
    if waiting:
        link.execute(_WAITS, _columns(waiting, 3))


def judge_snapshot(link: Link, ends: Iterable[tuple[str, str, str]]) -> None:
    """Let the sweep look at the sales that waited for the end of a snapshot, since one of (tenant, system, table) ended.

    The end of a table of lines frees all; the end of the headers' own table those that have lines already.
    """
    for tenant_id, system_id, table in ends:
        waiting = (
            "tenant_id = %s and pos_system_id = %s and is_snapshot and announced_version is null"
            " and has_header and closed and settle_at is null"
        )
        if not link.execute(f"select 1 from fluxion.sales where {waiting} limit 1", [tenant_id, system_id]).fetchone():  # noqa: S608 -- only our own constants
            continue
        of_lines = link.execute(
            "select 1 from fluxion.sale_items where tenant_id = %s and pos_system_id = %s and external_table = %s limit 1",
            [tenant_id, system_id, table],
        ).fetchone()
        link.execute(
            f"update fluxion.sales s set settle_at = clock_timestamp() where {waiting}"  # noqa: S608 -- only our own constants
            " and (%s or s.external_table = %s and exists (select 1 from fluxion.sale_items i"
            " where i.tenant_id = s.tenant_id and i.sale_id = s.id))",
            [tenant_id, system_id, of_lines is not None, table],
        )


def sales_due(link: Link, read_through: Mapping[int, datetime], limit: int) -> list[tuple[str, str]]:
    """Return at most `limit` sales (tenant, id) that fell due until the moment given for their partition."""
    if not read_through:
        return []
    return link.execute(
        "select s.tenant_id::text, s.id::text from fluxion.sales s"
        " join unnest(%s::int[], %s::timestamptz[]) as t (partition, moment)"
        " on s.partition = t.partition and s.settle_at <= t.moment"
        " where s.settle_at is not null order by s.settle_at limit %s",
        [list(read_through), list(read_through.values()), limit],
    ).fetchall()


def _columns(rows: Iterable[tuple[object, ...]], width: int) -> list[list[object]]:
    turned = [list(column) for column in zip(*rows, strict=True)]
    return turned or [[] for _ in range(width)]
