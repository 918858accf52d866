"""Sales that lost a part in a row that does not name them: it moved to another sale, or was deleted by its own key alone."""

from collections.abc import Iterable
from dataclasses import dataclass

from sinks.reading import Said, SaleKey, Touch
from sinks.sale_rows import columns
from sinks.tables import Left, Link

# A sale that moved parts left keeps the newest of them: else two of its states could have one version, and one event id.
_LEFT = """
update fluxion.sales s set left_version = greatest(s.left_version, t.version), left_revision = greatest(s.left_revision, t.revision)
from (select tenant_id, id, max(version) as version, max(revision) as revision
  from unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::int[]) as t (tenant_id, id, version, revision) group by 1, 2) t
where s.tenant_id = t.tenant_id and s.id = t.id
"""

# Infinity: until the snapshot's end (`snapshot_ends`). One that was never announced is looked at without being asked.
_UNTIL_END = """
update fluxion.sales s set settle_at = 'infinity' from unnest(%s::uuid[], %s::uuid[]) as t (tenant_id, id)
where s.tenant_id = t.tenant_id and s.id = t.id and s.settle_at is null and s.announced_version is not null
"""


@dataclass(frozen=True, slots=True)
class Concerned:
    """The sales that a batch concerns: those that it names, and those that a part left.

    touched, removed: as in `Said`. reread: those of which a snapshot found a part in another sale, so that its end decides.
    """

    touched: dict[SaleKey, Touch]
    removed: set[SaleKey]
    reread: set[SaleKey]


def concerned_by(said: Said, left: Iterable[Left]) -> Concerned:
    """Return whom a batch concerns. A sale that a part left is looked at as the one that it went to."""
    found = Concerned(dict(said.touched), set(said.removed), set())
    for part in left:
        key = (part.tenant_id, part.was)
        how = said.unplaced[part.id] if part.now is None else said.touched[part.tenant_id, part.now]
        if part.now is None:
            found.removed.add(key)
        if how == "read":
            found.reread.add(key)
        elif found.touched.get(key, "read") == "read":
            found.touched[key] = how
    return found


def remember_left(link: Link, left: Iterable[Left]) -> None:
    """Keep the versions of the parts that moved to another sale."""
    moved = [(part.tenant_id, part.was, part.version, part.mapping_revision) for part in left if part.now is not None]
    if moved:
        link.execute(_LEFT, columns(moved, 4))


def wait_for_end(link: Link, sales: Iterable[SaleKey]) -> None:
    """Let those of the sales that were announced wait for the end of the snapshot that is being read."""
    wanted = columns(sales, 2)
    if wanted[0]:
        link.execute(_UNTIL_END, wanted)
