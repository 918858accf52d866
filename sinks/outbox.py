"""The relay: what PostgreSQL committed goes to the public topics, in order per store, at least once, never lost.

An event that is sent twice (a relay killed between Kafka's acknowledgement and its note) has the same `ce_id`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from confluent_kafka import KafkaError, Message, Producer

from fluxion import metrics
from fluxion.clock import Clock
from fluxion.errors import ConfigurationError, DependencyDownError
from fluxion.log import get_logger
from fluxion.postgres import SINK, connect
from fluxion.progress import Progress
from schemas.events import SaleEvent
from sinks import faults
from sinks.announcements import CHANNEL
from sinks.tables import Link

BATCH = 500
RETRY_S = 1.0
# Without a notification the table is looked at all the same.
NAP_S = 0.5
_SEND_POLL_S = 0.1
# Arbitrary, but for ever the same: one relay a database.
_LOCK = 4_203_002

_UNPUBLISHED = """
select id, topic, key, event_id::text, event_type, subject::text, tenant_id::text, occurred_at, data
from pos_integration.outbox where published_at is null order by id limit %s
"""
_PUBLISHED = "update pos_integration.outbox set published_at = now() where published_at is null and id = any(%s)"

# From a topic's name to what writes its events; ConfigurationError for a topic that has none.
Encode = Callable[[str, SaleEvent], bytes]


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the outbox."""

    id: int
    topic: str
    key: str
    event_id: str
    event_type: str
    subject: str
    tenant_id: str
    occurred_at: datetime
    data: Mapping[str, Any]

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        """Return the CloudEvents 1.0 attributes of the Kafka binding's binary mode."""
        attributes = {
            "content-type": "application/avro",
            "ce_specversion": "1.0",
            "ce_id": self.event_id,
            "ce_type": self.event_type,
            "ce_source": f"/tenants/{self.tenant_id}/stores/{self.key}",
            "ce_subject": self.subject,
            "ce_time": self.occurred_at.isoformat().replace("+00:00", "Z"),
        }
        return [(name, value.encode()) for name, value in attributes.items()]


class Relay:
    """One relay works, others wait for its lock. `run` returns when `stop` says so."""

    def __init__(
        self, dsn: str, producer: Producer, encode: Encode, clock: Clock, progress: Progress | None = None
    ) -> None:
        self._dsn = dsn
        self._producer = producer
        self._encode = encode
        self._clock = clock
        self._progress = progress or Progress(clock)
        self._waiting = faults.Waiting(clock)
        self.is_publishing = False

    def run(self, stop: Callable[[], bool]) -> None:
        """Publish until `stop`; waits for what is down, and raises only what somebody must mend."""
        while not stop():
            try:
                # On a connection of its own, where no query runs that would swallow a notification.
                with connect(self._dsn, SINK) as link, connect(self._dsn, SINK) as bell:
                    link.autocommit = bell.autocommit = True
                    bell.execute(f"listen {CHANNEL}".encode())
                    try:
                        self._work(link, bell, stop)
                    finally:
                        self.is_publishing = False
            except (psycopg.Error, DependencyDownError) as fault:
                self._wait(faults.awaited(fault))

    def _wait(self, fault: DependencyDownError) -> None:
        self._waiting.say(fault)
        self._progress.waits("PostgreSQL", fault.message)
        self._clock.sleep(RETRY_S)

    def _work(self, link: Link, bell: Link, stop: Callable[[], bool]) -> None:
        while not self._locked(link):
            if stop():
                return
            self._progress.finished()
            self._clock.sleep(NAP_S)
        get_logger().info("publishing")
        self.is_publishing = True
        while not stop():
            self._progress.finished()
            if not self._publish(link, stop):
                for _ in bell.notifies(timeout=NAP_S, stop_after=1):
                    pass

    def _locked(self, link: Link) -> bool:
        row = link.execute("select pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
        return row is not None and bool(row[0])

    def _publish(self, link: Link, stop: Callable[[], bool]) -> bool:
        """Send one batch and note it; false where there is nothing. Ids are not commit order, so no cursor is kept."""
        events = [Event(*row) for row in link.execute(_UNPUBLISHED, [BATCH])]
        if events and self._deliver(events, stop):
            link.execute(_PUBLISHED, [[event.id for event in events]])
            metrics.count("published", len(events))
            metrics.BATCH.observe(len(events))
        return bool(events)

    def _deliver(self, events: list[Event], stop: Callable[[], bool]) -> bool:
        """Return when Kafka has acknowledged every event; false where `stop` came first: then none is noted."""
        faults_met: list[KafkaError] = []
        left = len(events)

        def confirmed(fault: KafkaError | None, _: Message) -> None:
            nonlocal left
            left -= 1
            if fault is not None:
                faults_met.append(fault)

        for event in events:
            value = self._encode(event.topic, msgspec.convert(event.data, SaleEvent))
            self._producer.produce(
                event.topic, value=value, key=event.key.encode(), headers=event.headers(), on_delivery=confirmed
            )
        beat = self._clock.monotonic()
        while left and not stop():
            self._producer.poll(_SEND_POLL_S)
            if self._clock.monotonic() - beat > RETRY_S:
                beat = self._clock.monotonic()
                self._progress.waiting("Kafka", f"{left} events are not acknowledged yet")
        if faults_met:
            message = f"Kafka refuses an event ({faults_met[0].str()})"
            raise ConfigurationError(message, "run `fluxion topics create`, or look at the broker's log")
        return not left
