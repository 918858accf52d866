"""pos_integration.quarantine as people work on it: rows that could not be taken, and what became of them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection

from fluxion.errors import ConfigurationError
from fluxion.postgres import translated

Link = Connection[tuple[Any, ...]]
# Tenant of what names no system that was known when it came.
NOBODY = "00000000-0000-0000-0000-000000000000"

_COLUMNS = """
q.id, q.tenant_id::text, q.pos_system_id::text, s.system_name, q.topic, q.partition, q."offset", q.source_offset,
q.external_table, q.external_id, q.version, q.mapping_revision, q.code, q.error_class, q.message, q.created_at,
q.resolved_at, q.resolution, q.resolved_by, q.notes
"""
_FROM = """
from pos_integration.quarantine q
left join pos_integration.pos_systems s on s.tenant_id = q.tenant_id and s.id = q.pos_system_id
"""
_RESOLVE = """
update pos_integration.quarantine set resolved_at = now(), resolution = %s, resolved_by = %s, notes = %s
where tenant_id = %s and id = any(%s) and resolved_at is null
"""


@dataclass(frozen=True)
class Entry:
    """A row of the quarantine. external_table None: a whole record. source_offset: in pos.changes.v1."""

    id: int
    tenant_id: str
    system_id: str
    system_name: str | None
    topic: str
    partition: int
    offset: int
    source_offset: int | None
    external_table: str | None
    external_id: str | None
    version: int | None
    mapping_revision: int
    code: str
    error_class: str
    message: str
    created_at: datetime
    resolved_at: datetime | None
    resolution: str | None
    resolved_by: str | None
    notes: str | None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON takes it; times in ISO 8601."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class Held:
    """An entry with what it holds: the row as JSON or the record's bytes, and the row as a change set of its own."""

    entry: Entry
    raw: bytes
    change: str | None


@dataclass(frozen=True)
class Wanted:
    """Which entries are meant; None: any. ids: those only. resolved: also what was settled.

    from_offset: only what stood in the raw log there or behind.
    """

    system_id: str | None = None
    code: str | None = None
    table: str | None = None
    ids: Sequence[int] | None = None
    resolved: bool = False
    from_offset: int | None = None

    def condition(self) -> tuple[str, list[object]]:
        """Return an SQL condition and its parameters."""
        said: list[tuple[str, object]] = [
            ("q.pos_system_id = %s", self.system_id),
            ("q.code = %s", self.code),
            ("q.external_table = %s", self.table),
            ("q.id = any(%s)", list(self.ids) if self.ids is not None else None),
            ('coalesce(q.source_offset, q."offset") >= %s', self.from_offset),
        ]
        chosen = [(text, value) for text, value in said if value is not None]
        texts = [
            "q.tenant_id = %s",
            *(text for text, _ in chosen),
            *([] if self.resolved else ["q.resolved_at is null"]),
        ]
        return " and ".join(texts), [value for _, value in chosen]


def find(link: Link, tenants: Iterable[str], wanted: Wanted, limit: int | None = None) -> list[Entry]:
    """Return entries of these tenants, the oldest first; `link` acts as fluxion_app."""
    rows = _rows(link, tenants, wanted, _COLUMNS, limit)
    return [Entry(*row) for row in rows]


def find_held(link: Link, tenants: Iterable[str], wanted: Wanted) -> list[Held]:
    """As `find`, with what the entries hold."""
    rows = _rows(link, tenants, wanted, f"{_COLUMNS}, q.raw, q.change", None)
    return [Held(Entry(*row[:-2]), bytes(row[-2]), row[-1]) for row in rows]


def count(link: Link, tenants: Iterable[str], wanted: Wanted) -> int:
    """Return how many entries there are."""
    return sum(row[0] for row in _rows(link, tenants, wanted, "count(*)", None, ordered=False))


def _rows(
    link: Link, tenants: Iterable[str], wanted: Wanted, columns: str, limit: int | None, *, ordered: bool = True
) -> list[tuple[Any, ...]]:
    condition, values = wanted.condition()
    order = " order by q.id limit %s" if ordered else ""
    query = f"select {columns} {_FROM} where {condition}{order}".encode()
    found: list[tuple[Any, ...]] = []
    for tenant_id in tenants:
        with translated("PostgreSQL"), link.transaction():
            _act_for(link, tenant_id)
            found += link.execute(query, [tenant_id, *values, *([limit] if ordered else [])]).fetchall()
    found = sorted(found, key=lambda row: row[0]) if ordered else found
    return found[:limit]


def demand(link: Link, tenants: Iterable[str], ids: Sequence[int]) -> list[Entry]:
    """Return these entries, whether or not they are open; ConfigurationError names the ids that do not exist."""
    found = find(link, tenants, Wanted(ids=ids, resolved=True))
    missing = sorted(set(ids) - {entry.id for entry in found})
    if missing:
        message = f"the quarantine has no {', '.join(map(str, missing))}"
        raise ConfigurationError(message, "look the id up with `fluxion quarantine list`")
    return found


def resolve(
    link: Link, entries: Iterable[Entry], resolution: Literal["retried", "discarded"], by: str, notes: str
) -> int:
    """Note what became of entries and who did it; returns how many were still open."""
    by_tenant: dict[str, list[int]] = {}
    for entry in entries:
        by_tenant.setdefault(entry.tenant_id, []).append(entry.id)
    done = 0
    for tenant_id, ids in by_tenant.items():
        with translated("PostgreSQL"), link.transaction():
            _act_for(link, tenant_id)
            done += link.execute(_RESOLVE, [resolution, by, notes, tenant_id, ids]).rowcount
    return done


def _act_for(link: Link, tenant_id: str) -> None:
    """Row policies let this transaction see one tenant only."""
    link.execute("select set_config('fluxion.tenant_id', %s, true)", [tenant_id])
