"""Entries of the quarantine whose row came again: at most the newest is open, and none once the row was taken."""

from collections.abc import Callable, Iterable, Sequence

from sinks.refused import Refused
from sinks.sale_rows import columns
from sinks.systems import Owner
from sinks.tables import Link, Unit

_SETTLED = """
update pos_integration.quarantine q
set resolved_at = now(), resolution = 'superseded', resolved_by = 'fluxion', notes = {}
from (select distinct * from unnest(%s::uuid[], %s::uuid[], %s::bigint[]) as t (tenant_id, row_id, version)) t
where q.tenant_id = t.tenant_id and q.row_id = t.row_id and q.resolved_at is null and {}
"""
_BY_TAKEN = _SETTLED.format("'the row came again and was taken'", "q.version < t.version").encode()
# Of two entries of one version (a shipper sent a row twice) the later one is the newer.
_BY_REFUSED = _SETTLED.format(
    "'the row came again'",
    "exists (select from pos_integration.quarantine n where n.tenant_id = q.tenant_id and n.row_id = q.row_id"
    " and (n.version, n.id) > (q.version, q.id))",
).encode()


class Superseding:
    """Settles them, and asks PostgreSQL nothing for a system without an open entry.

    That a system has one is known from the registry's copy, or because this sink wrote one since that was read: nobody else
    writes for its partitions.
    """

    def __init__(self, owner_of: Callable[[str], Owner | None]) -> None:
        self._owner_of = owner_of
        self._wrote_under: dict[str, Owner | None] = {}

    def settle(self, link: Link, refused: Sequence[Refused], taken: Iterable[Unit]) -> None:
        """Settle what these make old, in the caller's transaction; `refused` stand in quarantine already."""
        known = [(row.tenant_id, row.row_id, row.version) for row in refused if row.row_id is not None]
        if known:
            link.execute(_BY_REFUSED, columns(known, 3))
        for row in refused:
            self._wrote_under[row.pos_system_id] = self._owner_of(row.pos_system_id)
        by_system: dict[str, list[tuple[object, ...]]] = {}
        for unit in taken:
            by_system.setdefault(unit.system_id, []).append((unit.tenant_id, unit.id, unit.version))
        newer = [one for system_id, units in by_system.items() if self._has_open(system_id) for one in units]
        if newer:
            link.execute(_BY_TAKEN, columns(newer, 3))

    def _has_open(self, system_id: str) -> bool:
        owner = self._owner_of(system_id)
        return owner is not None and (owner.quarantined or self._wrote_under.get(system_id) is owner)
