"""Whose a record is: tenant, stores and settings by system id, from the registry and never from a payload."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from fluxion.clock import Clock
from fluxion.errors import ConfigurationError
from fluxion.log import get_logger
from schemas.identity import EPOCH_SHIFT
from schemas.settings import SyncSettings, parse_settings

KEPT_S = 10.0

_QUERY = """
select s.id::text, s.tenant_id::text,
       s.sync_settings::text, s.created_at, s.epoch, coalesce(s.field_mappings->>'stock_origin' = 'movements', false),
       coalesce((select jsonb_object_agg(t.id, t.time_zone) from fluxion.stores t
                 where t.tenant_id = s.tenant_id and t.pos_system_id = s.id), '{}'),
       exists (select from pos_integration.quarantine q
               where q.tenant_id = s.tenant_id and q.pos_system_id = s.id and q.resolved_at is null)
from pos_integration.pos_systems s
"""


@dataclass(frozen=True)
class Owner:
    """A system's tenant, its stores (id → time zone), and the settings that decide when a sale is announced.

    announce_from: sales of a snapshot that are older send nothing; by default the system's registration. pending_percent:
    an end of a snapshot that would delete more of a table waits for a person. first_version: the first of the present
    epoch. stock_by_movements: the level is the sum of the movements, and levels that are sent are none. quarantined: rows of
    it wait in quarantine.
    """

    system_id: str
    tenant_id: str
    settle_seconds: float
    announce_from: datetime
    pending_percent: int
    first_version: int
    stock_by_movements: bool
    stores: dict[str, str]
    quarantined: bool


class Systems:
    """The registry as the sink needs it, read again every 10 s and when something unknown turns up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._owners: dict[str, Owner] = {}
        self._read_at = float("-inf")
        self._faults: set[tuple[str, str]] = set()

    def refresh(self, link: Connection[tuple[Any, ...]], *, unknown: bool = False) -> None:
        """Read the registry again where the copy is old, or where a batch holds something that it does not know."""
        if not unknown and self._clock.monotonic() - self._read_at < KEPT_S:
            return
        with link.transaction():
            rows = link.execute(_QUERY).fetchall()
        faults: set[tuple[str, str]] = set()
        self._owners = {row[0]: _owner(faults, row) for row in rows}
        for system_id, fault in sorted(faults - self._faults):  # once, not at each reading
            get_logger().warning("a setting is not used, its default holds", system=system_id, reason=fault)
        self._faults = faults
        self._read_at = self._clock.monotonic()

    def get(self, system_id: str) -> Owner | None:
        """Return a system's owner, None where the registry does not know it."""
        return self._owners.get(system_id)

    def ids(self) -> list[str]:
        """Return every system that is known."""
        return list(self._owners)

    def knows(self, system_id: str, stores: set[str]) -> bool:
        """Tell whether the system and all these stores of it are known."""
        owner = self._owners.get(system_id)
        return owner is not None and stores <= owner.stores.keys()


def _owner(faults: set[tuple[str, str]], row: tuple[Any, ...]) -> Owner:
    system_id, tenant_id, text, registered, epoch, stock_by_movements, stores, quarantined = row
    settings, bad = read_settings(text)
    faults.update((system_id, fault) for fault in bad)
    return Owner(
        system_id=system_id,
        tenant_id=tenant_id,
        settle_seconds=settings.settle_seconds,
        announce_from=datetime.fromisoformat(settings.announce_from) if settings.announce_from else registered,
        pending_percent=settings.pending_percent,
        first_version=epoch << EPOCH_SHIFT,
        stock_by_movements=stock_by_movements,
        stores=stores,
        quarantined=quarantined,
    )


def read_settings(text: str) -> tuple[SyncSettings, list[str]]:
    """Return the settings that are right, defaults for the others, and a sentence for each that is wrong.

    One tenant's mistake must never stop the sink for all of them, so nothing is raised.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as fault:  # jsonb takes numbers and depths that Python does not
        return SyncSettings(), [f"sync_settings cannot be read ({fault}); correct the system's sync_settings"]
    if not isinstance(said, dict):
        return SyncSettings(), ["sync_settings is no JSON object; correct the system's sync_settings"]
    right, faults = {}, []
    for name, value in said.items():
        try:
            parse_settings({name: value})
        except ConfigurationError as fault:
            faults.append(str(fault))
        else:
            right[name] = value
    return parse_settings(right), faults
