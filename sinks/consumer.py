"""The sink: fluxion.records.v1 into PostgreSQL, effectively once, whatever ends in the middle.

(1) read  (2) decode  (3) fold  (4) begin  (5) offsets  (6) stage  (7) upsert  (8) announce  (9) commit  (10) note in Kafka.
Between batches it sweeps. One thread does all of it, so that a rebalance never meets a transaction.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import psycopg
from confluent_kafka import Message
from psycopg import Connection

from fluxion.clock import Clock
from fluxion.errors import DependencyDownError
from fluxion.log import get_logger
from fluxion.postgres import SINK, connect
from fluxion.progress import Progress
from schemas.records import CanonicalSet
from schemas.topics import RECORDS
from sinks import faults, sweeps
from sinks.incoming import Incoming, read_record
from sinks.offsets import load_offsets
from sinks.records_topic import RecordsTopic
from sinks.stale import StaleRows
from sinks.systems import Systems
from sinks.transaction import BatchWriter

RETRY_S = 1.0


@dataclass(frozen=True)
class _Session:
    """A connection with what was made on it."""

    link: Connection[tuple[Any, ...]]
    topic_id: str
    writer: BatchWriter


class Sink:
    """One process's sink. `run` returns when `stop` says so; FencedError and configuration errors come out of it.

    A dependency that is down is waited for: nothing is lost and nothing is quarantined meanwhile.
    """

    def __init__(
        self,
        dsn: str,
        topic: RecordsTopic,
        decode: Callable[[bytes], CanonicalSet],
        clock: Clock,
        progress: Progress | None = None,
    ) -> None:
        self._dsn = dsn
        self._topic = topic
        self._decode = decode
        self._clock = clock
        self._systems = Systems(clock)
        self._progress = progress or Progress(clock)
        self._waiting = faults.Waiting(clock)
        self._stop: Callable[[], bool] = bool
        self._session: _Session | None = None
        self._places: dict[int, int] = {}
        self._gate = sweeps.Gate()
        self._stale_rows = StaleRows(clock)
        self._unlinked: set[str] = set()
        self._settle_at = self._confirmed_at = self._link_at = 0.0

    def places(self) -> dict[int, int]:
        """Partition → next offset, of the partitions that are ours; from any thread."""
        return dict(self._places)

    def run(self, stop: Callable[[], bool]) -> None:
        """Work until `stop`."""
        self._stop = stop
        try:
            while not stop():
                self._guarded(self._once)
        finally:
            self._disconnect()
            self._topic.close()

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (psycopg.Error, DependencyDownError) as fault:
            if isinstance(fault, psycopg.Error) and faults.is_clash(fault):
                return  # a sweep met somebody else's; it comes again
            self._wait(faults.awaited(fault))

    def _wait(self, fault: DependencyDownError) -> None:
        """Whether the last commit succeeded is unknown: forget all and begin again from what PostgreSQL says."""
        self._disconnect()
        if not self._stop():
            self._waiting.say(fault)
            self._progress.waits("Kafka" if fault.message.startswith("Kafka") else "PostgreSQL", fault.message)
            self._topic.idle(RETRY_S)

    def _once(self) -> None:
        session = self._session = self._session or self._connect()
        if self._topic.stale:
            self._take(session)
        batch = self._read(session)
        if batch:
            self._places = session.writer.write(batch, self._places)
            self._topic.note(self._places)  # (10)
        self._sweep(session)
        self._progress.finished()

    def _connect(self) -> _Session:
        topic_id = self._topic.topic_id(self._stop)
        link = connect(self._dsn, SINK)
        with link.transaction():
            # A generic plan made while a table was empty would scan it when it is large.
            link.execute("set plan_cache_mode = force_custom_plan")
        self._systems.refresh(link, unknown=True)
        self._unlinked.update(self._systems.ids())
        get_logger().info("connected")
        writer = BatchWriter(link, topic_id, self._systems.get, self._stale_rows, self._progress.finished)
        return _Session(link, topic_id, writer)

    def _disconnect(self) -> None:
        if self._session is not None:
            self._session.link.close()
            self._session = None

    def _take(self, session: _Session) -> None:
        wanted = self._topic.assigned
        watermarks = self._topic.watermarks(sorted(wanted))
        self._places = load_offsets(session.link, RECORDS.name, session.topic_id, watermarks)
        # Sales that are due in them may be of systems that were added since we last looked; after their offsets none is unknown.
        self._systems.refresh(session.link, unknown=True)
        self._gate = sweeps.Gate()
        self._topic.take(self._places)
        get_logger().info("partitions taken", partitions=sorted(wanted))

    def _read(self, session: _Session) -> list[Incoming]:
        messages = self._topic.read()  # (1)
        if self._topic.stale:
            return []  # a rebalance came in between: what is in hand is read again from PostgreSQL's offset
        batch = [self._incoming(message) for message in messages]  # (2)
        self._know(session, batch)
        self._unlinked.update(incoming.system_id for incoming in batch)
        return batch

    def _incoming(self, message: Message) -> Incoming:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        return read_record(
            str(topic), int(partition or 0), int(offset or 0), message.key(), message.value(), self._decode
        )

    def _know(self, session: _Session, batch: Iterable[Incoming]) -> None:
        """The registry's row was committed before the record was written, so one look now is enough."""
        unknown = any(not self._systems.knows(incoming.system_id, incoming.stores()) for incoming in batch)
        self._systems.refresh(session.link, unknown=unknown)

    def _sweep(self, session: _Session) -> None:
        now = self._clock.monotonic()
        if now >= self._settle_at:
            more = self._settle(session)
            self._settle_at = now if more else now + sweeps.SETTLE_EVERY_S
        if now >= self._confirmed_at:
            more = sweeps.delete_confirmed(
                session.link, session.topic_id, self._places, self._systems.get, self._progress.finished
            )
            self._confirmed_at = now if more else now + sweeps.CONFIRMED_EVERY_S
        if now >= self._link_at and self._unlinked:
            sweeps.link_by_sku(session.link, filter(None, map(self._systems.get, self._unlinked)))
            self._unlinked.clear()
            self._link_at = now + sweeps.LINK_EVERY_S

    def _settle(self, session: _Session) -> bool:
        """Announce what settled; true where there may be more at once."""
        moment, partitions = sweeps.partitions_with_due(session.link, self._places)
        for partition, (_, high) in self._topic.watermarks(self._gate.unsampled(partitions)).items():
            self._gate.sample(partition, moment, high)
        through = self._gate.open(self._places)
        if not through:
            return False
        return (
            sweeps.settle(session.link, session.topic_id, self._places, through, self._systems.get) >= sweeps.MOST_SALES
        )
