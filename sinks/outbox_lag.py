"""What waits in the outbox, for the relay's watchdog and its metrics: asked on a connection of its own."""

from collections.abc import Callable, Hashable
from typing import Any

import psycopg
from psycopg import Connection

from fluxion import metrics
from fluxion.postgres import SINK, connect
from sinks import faults

_WAITING = """
select count(*), coalesce(min(id), 0), coalesce(extract(epoch from now() - min(created_at)), 0)::float8
from pos_integration.outbox where published_at is null
"""


class OutboxLag:
    """`is_publishing`: whether this relay is the one that works; another one's events are not its own delay."""

    def __init__(self, dsn: str, is_publishing: Callable[[], bool]) -> None:
        self._dsn = dsn
        self._is_publishing = is_publishing
        self._link: Connection[tuple[Any, ...]] | None = None

    def pending(self) -> Hashable:
        """Return what tells whether the outbox moves; falsy where nothing waits. Raises what `connect` raises."""
        if not self._is_publishing():
            return ()
        try:
            events, first, age = self._asked()
        except psycopg.Error as fault:
            if self._link is not None:
                self._link.close()
            self._link = None
            raise faults.down(fault) or fault from fault
        metrics.OUTBOX_UNPUBLISHED.set(events)
        metrics.OUTBOX_AGE.set(age)
        return (events, first) if events else ()

    def _asked(self) -> tuple[Any, ...]:
        if self._link is None:
            self._link = connect(self._dsn, SINK)
            self._link.autocommit = True
        return self._link.execute(_WAITING).fetchone() or (0, 0, 0.0)
