"""What the end of a table's snapshot means: rows that it did not find are gone, and sales that it read can be judged.

Deletes that nobody saw (a position was lost, an agent was away) come to light here. Where they are too many to believe they
wait in pos_integration.pending_deletes for a person; the sweep then does them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from schemas.records import Deletion, DeletionKind
from sinks.levels import levels_gone_now, recompute
from sinks.reading import Ended
from sinks.systems import Owner
from sinks.tables import PARTS_OF_SALES, SALES, STOCK_MOVEMENTS, TABLES, Link, Table

# So few rows are believed whatever share of the table they are.
HANDFUL = 20
# One statement's worth. The pages of an end are one transaction, and only this process's partitions wait for it: 200,000 rows
# took 6 to 10 s on two busy cores, in steady memory. A crash between two pages leaves nothing, and the end comes again.
PAGE = 5000


@dataclass(frozen=True, slots=True)
class Gone:
    """Rows of one system's table that a snapshot did not find: those with a lower version than `first_version`.

    since: sales that are older were not read, so nothing is known of them. deletions: entity → kind.
    """

    tenant_id: str
    system_id: str
    table: str
    first_version: int
    since: str | None
    deletions: Mapping[str, DeletionKind]

    def tables(self) -> list[tuple[Table, DeletionKind]]:
        """Return the tables that may hold such rows, headers before what belongs to them, each with its kind."""
        return [
            (table, self.deletions.get(table.entity, table.deleted))
            for table in TABLES
            if not self.deletions or table.entity in self.deletions
        ]

    def values(self) -> dict[str, object]:
        """Return what `_in_scope` names."""
        return {
            "tenant": self.tenant_id,
            "system": self.system_id,
            "table": self.table,
            "first": self.first_version,
            "since": self.since,
        }


def take_ends(link: Link, ends: Iterable[Ended], moved: Callable[[], None]) -> None:
    """Tombstone what the ends say is gone, or set it aside for a person; then let the sweep judge what was read.

    moved: as in `delete`.
    """
    for end in ends:
        owner = end.owner
        gone = Gone(owner.tenant_id, owner.system_id, end.table, end.first_version, end.since, end.deletions)
        rows, of_rows = _count(link, gone)
        link.execute(_REPLACED, gone.values())
        if rows > HANDFUL and rows * 100 > owner.pending_percent * of_rows:
            _set_aside(link, gone, end.partition, rows, of_rows)
        elif rows:
            delete(link, gone, owner, moved)
        _judge(link, gone, owner.settle_seconds)


# An open row that a snapshot read and that could not be taken is there all the same.
_NOT_REFUSED = """
t.external_id <> all (array(
  select q.external_id from pos_integration.quarantine q
  where q.tenant_id = %(tenant)s and q.pos_system_id = %(system)s and q.external_table = %(table)s
    and q.version >= %(first)s and q.external_id is not null))
"""
_SOLD_SINCE = "(%(since)s::timestamptz is null or h.sold_at is null or h.sold_at >= %(since)s::timestamptz)"

_REPLACED = """
delete from pos_integration.pending_deletes
where tenant_id = %(tenant)s and pos_system_id = %(system)s and external_table = %(table)s and confirmed_at is null
  and first_version <= %(first)s
"""

_PENDING = """
insert into pos_integration.pending_deletes
  (tenant_id, pos_system_id, external_table, first_version, since, deletions, row_count, of_rows, partition)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing
"""


def _in_scope(table: Table, kind: DeletionKind) -> str:
    """Return the condition of rows `t` of this table that live and that the snapshot would have read."""
    living = " and ".join(f"t.{mark} is null" for mark in table.marks)
    scope = f"t.tenant_id = %(tenant)s and t.pos_system_id = %(system)s and t.external_table = %(table)s and {living}"
    if table is SALES:
        stands = " and t.status is distinct from 'voided'" if kind == "void" else ""
        return f"{scope} and t.has_header{stands} and {_SOLD_SINCE.replace('h.', 't.')}"
    if table in PARTS_OF_SALES:
        # A part whose sale is not known may be older than what was read.
        return (
            f"{scope} and (%(since)s::timestamptz is null or exists (select from fluxion.sales h"
            f" where h.tenant_id = t.tenant_id and h.id = t.sale_id and h.has_header and {_SOLD_SINCE}))"
        )
    if table is STOCK_MOVEMENTS:
        return f"{scope} and {_SOLD_SINCE.replace('h.sold_at', 't.occurred_at')}"
    return scope


def _count(link: Link, gone: Gone) -> tuple[int, int]:
    """Return how many rows are gone, of how many that live."""
    rows = of_rows = 0
    for table, kind in gone.tables():
        query = (
            f"select count(*) filter (where t.version < %(first)s and {_NOT_REFUSED}), count(*)"  # noqa: S608 -- only our own constants
            f" from {table.name} t where {_in_scope(table, kind)}"
        )
        found = link.execute(query.encode(), gone.values()).fetchall()
        rows, of_rows = rows + found[0][0], of_rows + found[0][1]
    return rows, of_rows


def delete(link: Link, gone: Gone, owner: Owner, moved: Callable[[], None]) -> None:
    """Tombstone the rows, in pages by key, in the caller's transaction. What was archived sends nothing.

    moved: called behind each page, so that millions of rows are no stall. Sales that stand and lost a part are looked at when `settle_seconds` have passed, voided ones at once.
    """
    for table, kind in gone.tables():
        query = _tombstone(table, kind).encode()
        last: str | None = "00000000-0000-0000-0000-000000000000"
        while last is not None:
            values = {**gone.values(), "last": last, "page": PAGE, "settle": owner.settle_seconds}
            ((last,),) = link.execute(query, values).fetchall()
            moved()
    if owner.stock_by_movements:
        recompute(link, levels_gone_now(link, gone.tenant_id, gone.system_id))


def _tombstone(table: Table, kind: DeletionKind) -> str:
    """Return a statement that tombstones the next page and gives its last id, or null where there is none left."""
    if table is SALES and kind == "void":
        change = "status = 'voided', voided_at = coalesce(t.voided_at, now()), settle_at = clock_timestamp()"
    else:
        change = f"{table.mark(kind)} = now()"
    touched = ""
    if table in PARTS_OF_SALES:
        touched = (
            ", lost as (update fluxion.sales s set settle_at = clock_timestamp() + %(settle)s * interval '1 second'"
            " from (select distinct sale_id from done) d where s.tenant_id = %(tenant)s and s.id = d.sale_id"
            " and s.has_header and s.purged_at is null and s.deleted_at is null and s.announced_version is not null)"
        )
    return (
        f"with page as (select t.id from {table.name} t where {_in_scope(table, kind)} and t.version < %(first)s"  # noqa: S608 -- only our own constants
        f" and {_NOT_REFUSED} and t.id > %(last)s::uuid order by t.id limit %(page)s),"
        f" done as (update {table.name} t set {change}, version = %(first)s, updated_at = now() from page"
        f" where t.tenant_id = %(tenant)s and t.id = page.id returning t.*){touched}"
        " select (array_agg(id::text order by id desc))[1] from page"
    )


def _set_aside(link: Link, gone: Gone, partition: int, rows: int, of_rows: int) -> None:
    deletions = [Deletion(table.entity, kind) for table, kind in gone.tables()]
    link.execute(
        _PENDING,
        [
            gone.tenant_id,
            gone.system_id,
            gone.table,
            gone.first_version,
            gone.since,
            msgspec.json.encode(deletions).decode(),
            rows,
            of_rows,
            partition,
        ],
    )


# Sales of a first snapshot, that nobody has announced: the end of the lines' table frees all, that of the headers' own
# those that have lines already.
_FIRST = """
update fluxion.sales s set settle_at = clock_timestamp()
where s.tenant_id = %(tenant)s and s.pos_system_id = %(system)s and s.is_snapshot and s.announced_version is null
  and s.has_header and s.closed and s.settle_at is null
"""
_WITH_LINES = """
  and s.external_table = %(table)s
  and exists (select from fluxion.sale_items i
    where i.tenant_id = s.tenant_id and i.sale_id = s.id and i.deleted_at is null)
"""
# Announced ones that were read again. The lines may follow the headers, so those wait.
_AGAIN_HEADERS = """
update fluxion.sales s set settle_at = clock_timestamp() + %(settle)s * interval '1 second'
where s.tenant_id = %(tenant)s and s.pos_system_id = %(system)s and s.external_table = %(table)s
  and s.is_snapshot and s.version >= %(first)s and s.version > s.announced_version and s.settle_at is null
"""
_AGAIN_PARTS = """
update fluxion.sales s set settle_at = clock_timestamp()
from (select sale_id, max(version) as version from {} where tenant_id = %(tenant)s and pos_system_id = %(system)s
  and external_table = %(table)s and version >= %(first)s and deleted_at is null and purged_at is null group by 1) p
where s.tenant_id = %(tenant)s and s.id = p.sale_id and p.version > s.announced_version
"""
# A part of theirs was found in another sale (`left.wait_for_end`).
_LEFT = """
update fluxion.sales set settle_at = clock_timestamp()
where tenant_id = %(tenant)s and pos_system_id = %(system)s and settle_at = 'infinity'
"""


def _judge(link: Link, gone: Gone, settle_seconds: float) -> None:
    """Let the sweep look at the sales that waited for this end."""
    values = {**gone.values(), "settle": settle_seconds}
    of = {table.entity for table, _ in gone.tables() if gone.deletions or _holds(link, table, values)}
    if "line" in of:
        link.execute(_FIRST, values)
    elif "sale" in of:
        link.execute(_FIRST + _WITH_LINES, values)
    if "sale" in of:
        link.execute(_AGAIN_HEADERS, values)
    for table in PARTS_OF_SALES:
        if table.entity in of:
            link.execute(_AGAIN_PARTS.format(table.name).encode(), values)
            link.execute(_LEFT, values)


def _holds(link: Link, table: Table, values: Mapping[str, object]) -> bool:
    query = (
        f"select exists (select from {table.name} t where t.tenant_id = %(tenant)s and t.pos_system_id = %(system)s"  # noqa: S608 -- only our own constants
        " and t.external_table = %(table)s)"
    )
    return bool(link.execute(query.encode(), values).fetchall()[0][0])
