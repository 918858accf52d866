"""What tests of shippers need: systems in the registry, shippers in threads, and what they brought into the topic."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, TopicPartition

from fluxion import kafka
from fluxion.clock import SystemClock
from fluxion.postgres import APP, STAGE, connect
from fluxion.schema_registry import SchemaRegistry
from producers.journal import Journal, State
from producers.shipper import Destination, Shipper
from schemas.codec import Decoder, schema_text
from schemas.records import ChangeSet
from schemas.topics import CHANGES, PARTITIONS
from tests.conftest import Cloud

WAIT_S = 20.0


def registered_system(dsn: str) -> str:
    """A system of a tenant of its own."""
    tenant, system = str(uuid.uuid4()), str(uuid.uuid4())
    with connect(dsn, APP) as link:
        link.execute("select set_config('fluxion.tenant_id', %s, true)", [tenant])
        link.execute("insert into fluxion.tenants (tenant_id, name) values (%s, 'T')", [tenant])
        link.execute(
            "insert into pos_integration.pos_systems (tenant_id, id, system_type, system_name, connection_config,"
            " field_mappings, sync_settings) values (%s, %s, 'test', 'test', '{}', '{}', '{}')",
            [tenant, system],
        )
    return system


def asked(dsn: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with connect(dsn, STAGE) as link:
        return link.execute(query.encode(), values).fetchall()


def sessions_of(dsn: str, system_id: str) -> list[tuple[str, int, bool]]:
    """(host, acknowledged, fenced) of a system's sessions, oldest first."""
    query = "select host, acknowledged, fenced_at is not null from pos_integration.sessions where pos_system_id = %s order by id"
    return [(host, acknowledged, fenced) for host, acknowledged, fenced in asked(dsn, query, system_id)]


class Shipping:
    """A shipper in a thread of its own, as the agent has it; `fault` is what ended it."""

    def __init__(self, path: Path, to: Destination, schema_id: Callable[[], int]) -> None:
        self.path = path
        self.fault: BaseException | None = None
        self._to = to
        self._schema_id = schema_id
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        journal = Journal.for_shipping(self.path, SystemClock())
        try:
            Shipper(journal, self._to, self._wake, self._stop).run(self._schema_id)
        except BaseException as fault:  # noqa: BLE001 -- the test looks at it
            self.fault = fault
        finally:
            journal.close()

    def wake(self) -> None:
        self._wake.set()

    def wait_until_shipped(self) -> None:
        until(lambda: self.fault is not None or not state_of(self.path).unshipped, "shipped")
        if self.fault is not None:
            raise self.fault

    def wait_for_its_end(self) -> BaseException:
        self._thread.join(WAIT_S)
        assert self.fault is not None, "it goes on"
        return self.fault

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()


@contextmanager
def shipping(
    cloud: Cloud, path: Path, system_id: str, host: str = "caja-1", servers: str = "", database: str = ""
) -> Iterator[Shipping]:
    registry = SchemaRegistry(cloud.stack.registry)
    to = Destination(system_id, servers or cloud.stack.kafka, database or cloud.stack.postgres, host)
    one = Shipping(path, to, lambda: registry.schema_id(CHANGES.subject, schema_text("change_set")))
    try:
        yield one
    finally:
        one.stop()


def until(holds: Callable[[], bool], what: str) -> None:
    for _ in range(int(WAIT_S / 0.02)):
        if holds():
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"not {what} in {WAIT_S} s")


def state_of(path: Path) -> State:
    journal = Journal(path, SystemClock())
    try:
        return journal.state()
    finally:
        journal.close()


def records_of(cloud: Cloud, system_id: str) -> list[ChangeSet]:
    """Everything of one system in pos.changes, in order."""
    decode = Decoder("change_set", ChangeSet, SchemaRegistry(cloud.stack.registry).schema_text)
    return [decode(value) for value in values_on(cloud, CHANGES.name, system_id)]


def values_on(cloud: Cloud, topic: str, system_id: str) -> list[bytes]:
    """What a topic holds of one system, in order. Markers of transactions take offsets and are no records."""
    consumer = kafka.consumer(cloud.stack.kafka, str(uuid.uuid4()), **{"enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    found: list[bytes] = []
    ended: set[int] = set()
    while len(ended) < PARTITIONS:
        message = consumer.poll(10)
        assert message is not None
        error = message.error()
        if error is not None:
            assert error.code() == KafkaError._PARTITION_EOF
            ended.add(message.partition() or 0)
        elif message.key() == system_id.encode():
            found.append(message.value() or b"")
    consumer.close()
    return found
