"""A sink's transactions on real PostgreSQL without Kafka between: each call is one batch, and time passes when a test says so."""

import uuid
from typing import Any

from fluxion.clock import SystemClock
from fluxion.postgres import SINK, connect
from fluxion.progress import Progress
from schemas.records import CanonicalSet
from schemas.topics import RECORDS
from sinks import sweeps
from sinks.incoming import Incoming
from sinks.stale import StaleRows
from sinks.systems import Systems
from sinks.transaction import BatchWriter
from tests.sinks.shop import OpenShop

PARTITION = 0


class Desk:
    """Writes a shop's records as the sink of one partition of a topic of its own."""

    def __init__(self, shop: OpenShop) -> None:
        self.open = shop
        self.shop = shop.shop
        self.topic_id = str(uuid.uuid4())
        self._systems = Systems(SystemClock())
        self._places = {PARTITION: 0}
        self.progress = Progress(SystemClock())
        shop.link.execute(
            "insert into pos_integration.stream_offsets (topic, topic_id, partition, next) values ('desk', %s, %s, 0)",
            [self.topic_id, PARTITION],
        )
        self.connect()

    def connect(self) -> None:
        """Open a connection, as a sink does that lost its own."""
        self._link = connect(self.open.dsn, SINK)
        self.refresh()
        stale_rows, moved = StaleRows(SystemClock()), self.progress.finished
        self._writer = BatchWriter(self._link, self.topic_id, self._systems.get, stale_rows, moved)

    def refresh(self) -> None:
        self._systems.refresh(self._link, unknown=True)

    def write(self, *records: CanonicalSet) -> None:
        """Write these records as one batch."""
        first = self._places[PARTITION]
        batch = [
            Incoming(RECORDS.name, PARTITION, first + place, record.system_id, b"", record)
            for place, record in enumerate(records)
        ]
        self._places = self._writer.write(batch, self._places)

    def sales(self, *sales: Any, **more: Any) -> None:
        """Write one record with these sales."""
        self.write(self.shop.record(sales=list(sales), **more))

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds go by for this shop's sales, then sweep until none is due."""
        parts = ("sale_items", "sale_payments", "sale_taxes")
        moves = [f"update fluxion.{part} set purged_at = purged_at - %s * interval '1 second'" for part in parts]
        moves.append("update fluxion.sales set settle_at = settle_at - %s * interval '1 second'")
        with self._link.transaction():
            for move in moves:
                self._link.execute(f"{move} where tenant_id = %s".encode(), [seconds, self.shop.tenant])
            ((now,),) = self._link.execute("select clock_timestamp()").fetchall()
        while sweeps.settle(self._link, self.topic_id, self._places, {PARTITION: now}, self._systems.get):
            pass

    def confirm(self) -> None:
        """A person confirms what is pending, and the sweep does it."""
        with connect(self.open.dsn, "fluxion_app") as link:
            link.execute("select set_config('fluxion.tenant_id', %s, true)", [self.shop.tenant])
            link.execute("update pos_integration.pending_deletes set confirmed_at = now(), confirmed_by = 'ana'")
        moved = self.progress.finished
        while sweeps.delete_confirmed(self._link, self.topic_id, self._places, self._systems.get, moved):
            pass

    def link_by_sku(self) -> None:
        owner = self._systems.get(self.shop.system)
        assert owner is not None
        sweeps.link_by_sku(self._link, [owner])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.open.rows(query)

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Return (type, sale) of every event, in order."""
        rows = self.rows(
            "select event_type, data->'sale' from pos_integration.outbox where tenant_id = :tenant order by id"
        )
        return [(kind, sale) for kind, sale in rows]

    def types(self) -> list[str]:
        return [kind for kind, _ in self.events()]

    def close(self) -> None:
        self._link.close()
