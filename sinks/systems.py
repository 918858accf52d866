"""Whose a record is: tenant, stores and settings by system id, from the registry and never from a payload."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from fluxion.clock import Clock

KEPT_S = 10.0
SETTLE_SECONDS = 60.0

_QUERY = """
select s.id::text, s.tenant_id::text,
       coalesce((s.sync_settings ->> 'settle_seconds')::float8, %s),
       coalesce((s.sync_settings ->> 'announce_from')::timestamptz, s.created_at),
       coalesce((select jsonb_object_agg(t.id, t.time_zone) from fluxion.stores t
                 where t.tenant_id = s.tenant_id and t.pos_system_id = s.id), '{}')
from pos_integration.pos_systems s
"""


@dataclass(frozen=True)
class Owner:
    """A system's tenant, its stores (id → time zone), and the settings that decide when a sale is announced.

    announce_from: sales of a snapshot that are older send nothing; by default the system's registration.
    """

    system_id: str
    tenant_id: str
    settle_seconds: float
    announce_from: datetime
    stores: dict[str, str]


class Systems:
    """The registry as the sink needs it, read again every 10 s and when something unknown turns up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._owners: dict[str, Owner] = {}
        self._read_at = float("-inf")

    def refresh(self, link: Connection[tuple[Any, ...]], *, unknown: bool = False) -> None:
        """Read the registry again where the copy is old, or where a batch holds something that it does not know."""
        if not unknown and self._clock.monotonic() - self._read_at < KEPT_S:
            return
        with link.transaction():
            rows = link.execute(_QUERY, [SETTLE_SECONDS]).fetchall()
        self._owners = {row[0]: Owner(*row) for row in rows}
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
