"""Stock levels of systems whose levels are the sum of their movements: computed from them whole, never incremented."""

from collections.abc import Iterable, Sequence

from schemas.identity import entity_id
from sinks.sale_rows import columns
from sinks.tables import STOCK_MOVEMENTS, Link, Unit

# What a level's row says instead of a table of the POS.
ORIGIN = STOCK_MOVEMENTS.name
# Tenant, system, store, product.
Level = tuple[str, str, str, str]

_OF_MOVEMENTS = """
select distinct m.tenant_id::text, m.pos_system_id::text, m.store_id::text, m.product_id::text
from unnest(%s::uuid[], %s::uuid[]) as t (tenant_id, id)
join fluxion.stock_movements m on m.tenant_id = t.tenant_id and m.id = t.id
where m.store_id is not null and m.product_id is not null
"""

_GONE_NOW = """
select distinct tenant_id::text, pos_system_id::text, store_id::text, product_id::text from fluxion.stock_movements
where tenant_id = %s and pos_system_id = %s and deleted_at = now() and store_id is not null and product_id is not null
"""

_RECOMPUTE = """
insert into fluxion.stock_levels as t
  (tenant_id, id, pos_system_id, external_table, external_id, store_id, product_id, quantity, version, mapping_revision)
select w.tenant_id, w.id, w.pos_system_id, %s, w.store_id || '|' || w.product_id, w.store_id, w.product_id,
       coalesce(sum(m.quantity) filter (where m.deleted_at is null), 0), coalesce(max(m.version), 0),
       coalesce(max(m.mapping_revision), 0)
from unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[])
  as w (tenant_id, pos_system_id, store_id, product_id, id)
left join fluxion.stock_movements m on m.tenant_id = w.tenant_id and m.store_id = w.store_id
  and m.product_id = w.product_id and m.pos_system_id = w.pos_system_id
group by w.tenant_id, w.id, w.pos_system_id, w.store_id, w.product_id
order by w.tenant_id, w.id
on conflict (tenant_id, id) do update set quantity = excluded.quantity, version = greatest(t.version, excluded.version),
  mapping_revision = greatest(t.mapping_revision, excluded.mapping_revision), deleted_at = null, updated_at = now()
"""


def levels_of(link: Link, units: Iterable[Unit]) -> set[Level]:
    """Return the levels that these movements count in as they stand in PostgreSQL now."""
    return set(link.execute(_OF_MOVEMENTS, columns(((unit.tenant_id, unit.id) for unit in units), 2)).fetchall())


def levels_gone_now(link: Link, tenant_id: str, system_id: str) -> set[Level]:
    """Return the levels whose movements the caller's transaction has tombstoned."""
    return set(link.execute(_GONE_NOW, [tenant_id, system_id]).fetchall())


def recompute(link: Link, levels: Iterable[Level]) -> None:
    """Set levels to the sum of their movements.

    A sweep that links movements may work on the same system beside a batch, so whoever computes waits for the other: a
    sum that is taken under the lock sees all that was committed before.
    """
    wanted = sorted(levels)
    if not wanted:
        return
    for system_id in sorted({level[1] for level in wanted}):
        link.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"stock levels of {system_id}"])
    ids: Sequence[tuple[str, ...]] = [(*level, _level_id(level)) for level in wanted]
    link.execute(_RECOMPUTE, [ORIGIN, *columns(ids, 5)])


def _level_id(level: Level) -> str:
    _, system_id, store_id, product_id = level
    return entity_id(system_id, "stock", ORIGIN, [store_id, product_id])
