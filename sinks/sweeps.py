"""What the sink does between batches: sales that settled, deletes that were confirmed, and linking with products by SKU."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from sinks.announcements import announce, sales_due
from sinks.levels import recompute
from sinks.offsets import hold
from sinks.snapshot_ends import Gone, delete
from sinks.systems import Owner
from sinks.tables import SALE_ITEMS, STOCK_MOVEMENTS, Link

SETTLE_EVERY_S = 0.5
CONFIRMED_EVERY_S = 2.0
LINK_EVERY_S = 5.0
# One transaction's worth; more follow at the next sweep.
MOST_SALES = 500

_LINK = """
update {} i set product_id = p.id
from (
  select distinct on (tenant_id, pos_system_id, sku) tenant_id, pos_system_id, sku, id from fluxion.products
  where pos_system_id = any(%s::uuid[]) and sku is not null and deleted_at is null
  order by tenant_id, pos_system_id, sku, id
) p
where i.product_id is null and i.tenant_id = p.tenant_id and i.pos_system_id = p.pos_system_id and i.sku = p.sku
"""

_CONFIRMED = """
select tenant_id::text, id, pos_system_id::text, external_table, first_version, since::text,
       array(select d->>'entity' from jsonb_array_elements(deletions) d),
       array(select d->>'kind' from jsonb_array_elements(deletions) d), partition
from pos_integration.pending_deletes
where partition = any(%s) and confirmed_at is not null and done_at is null order by id limit 1
"""
_DONE = "update pos_integration.pending_deletes set done_at = now() where tenant_id = %s and id = %s"


class Gate:
    """Tells until which moment a partition has been read: a sale that fell due then has all its rows.

    A high watermark is sampled after the moment it stands for; once the partition has been read up to it, everything that
    was in the topic at that moment is in PostgreSQL. So a backlog never makes a sale look unfinished.
    """

    def __init__(self) -> None:
        self._samples: dict[int, tuple[datetime, int]] = {}

    def unsampled(self, partitions: Iterable[int]) -> list[int]:
        """Return the partitions that need a sample."""
        return [partition for partition in partitions if partition not in self._samples]

    def sample(self, partition: int, moment: datetime, high: int) -> None:
        """Note a high watermark that was read after `moment`."""
        self._samples[partition] = (moment, high)

    def open(self, places: Mapping[int, int]) -> dict[int, datetime]:
        """Return partition → moment for those that `places` (next offsets) has reached; their samples are used up."""
        through = {
            partition: moment
            for partition, (moment, high) in self._samples.items()
            if places.get(partition, -1) >= high
        }
        self._samples = {
            partition: sample
            for partition, sample in self._samples.items()
            if partition not in through and partition in places
        }
        return through


def partitions_with_due(link: Link, partitions: Iterable[int]) -> tuple[datetime, list[int]]:
    """Return PostgreSQL's time and the partitions in which a sale is due by it."""
    with link.transaction():
        rows = link.execute(
            "select clock_timestamp(), array(select p from unnest(%s::int[]) p where exists ("
            "select 1 from fluxion.sales s where s.partition = p and s.settle_at <= clock_timestamp()))",
            [list(partitions)],
        ).fetchall()
    return rows[0]


def settle(
    link: Link,
    topic_id: str,
    places: Mapping[int, int],
    through: Mapping[int, datetime],
    owner_of: Callable[[str], Owner | None],
) -> int:
    """Announce the sales that are due, in one transaction that holds our offsets; return how many there were.

    Raises FencedError where another sink has one of the partitions.
    """
    with link.transaction():
        hold(link, topic_id, {partition: places[partition] for partition in through})
        due = sales_due(link, through, MOST_SALES)
        announce(link, dict.fromkeys(due, "due"), owner_of)
    return len(due)


def delete_confirmed(
    link: Link,
    topic_id: str,
    places: Mapping[int, int],
    owner_of: Callable[[str], Owner | None],
    moved: Callable[[], None],
) -> bool:
    """Do the first of the deletes that a person confirmed, in one transaction that holds the partition's offset.

    False where there is none. moved: as in `snapshot_ends.delete`. Rows that came meanwhile have newer versions and stay. Raises FencedError as `settle`.
    """
    with link.transaction():
        row = link.execute(_CONFIRMED, [list(places)]).fetchone()
        if row is None:
            return False
        tenant_id, ident, system_id, table, first_version, since, entities, kinds, partition = row
        hold(link, topic_id, {partition: places[partition]})
        owner = owner_of(system_id)
        if owner is None:
            return False
        deletions = dict(zip(entities, kinds, strict=True))
        delete(link, Gone(tenant_id, system_id, table, first_version, since, deletions), owner, moved)
        link.execute(_DONE, [tenant_id, ident])
    return True


def link_by_sku(link: Link, owners: Iterable[Owner]) -> None:
    """Link lines and movements without a product with the product that has their SKU; sums follow their movements."""
    systems = {owner.system_id: owner for owner in owners}
    returning = " returning i.tenant_id::text, i.pos_system_id::text, i.store_id::text, i.product_id::text"
    with link.transaction():
        link.execute(_LINK.format(SALE_ITEMS.name).encode(), [list(systems)])
        linked = link.execute((_LINK.format(STOCK_MOVEMENTS.name) + returning).encode(), [list(systems)]).fetchall()
        recompute(link, {level for level in linked if level[2] is not None and systems[level[1]].stock_by_movements})
