import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from fluxion import kafka
from fluxion.clock import SystemClock
from fluxion.schema_registry import SchemaRegistry
from producers.journal import Journal
from producers.packing import Sender
from producers.shipper import Shipper
from schemas.codec import Decoder, schema_text
from schemas.records import ChangeSet
from schemas.topics import CHANGES, PARTITIONS
from tests.conftest import Cloud
from tests.producers.captures import change, chunk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    journal = Journal(path, SystemClock(), create=True)
    journal.append([chunk("s1", ["read"], end="items")])
    journal.finish_snapshot()
    journal.append([change(f"p{number}", [f"{number}"] * 3) for number in range(400)])
    journal.append([change("large", ["x"] * 1200)])
    journal.close()
    return path


@contextmanager
def shipping(path: Path, system_id: str, servers: str, schema_id: Callable[[], int]) -> Iterator[threading.Thread]:
    stop, wake = threading.Event(), threading.Event()

    def ship() -> None:
        journal = Journal.for_shipping(path, SystemClock())
        Shipper(journal, Sender(system_id, 2, journal.journal_id), servers, wake, stop).run(schema_id)
        journal.close()

    thread = threading.Thread(target=ship)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        wake.set()
        thread.join(5)
        assert not thread.is_alive()


def unshipped(path: Path) -> int:
    journal = Journal(path, SystemClock())
    try:
        return journal.state().unshipped
    finally:
        journal.close()


def wait_until_shipped(path: Path) -> None:
    for _ in range(200):
        if not unshipped(path):
            return
        threading.Event().wait(0.05)
    raise AssertionError("not shipped in 10 s")


def records_of(cloud: Cloud, system_id: str) -> list[ChangeSet]:
    """Everything of one system in pos.changes, in order."""
    registry = SchemaRegistry(cloud.stack.registry)
    decode = Decoder("change_set", ChangeSet, registry.schema_text)
    consumer: Consumer = kafka.consumer(cloud.stack.kafka, str(uuid.uuid4()))
    found = []
    for partition in range(PARTITIONS):
        _, end = consumer.get_watermark_offsets(TopicPartition(CHANGES.name, partition), timeout=10)
        consumer.assign([TopicPartition(CHANGES.name, partition, 0)])
        for _ in range(end):
            message = consumer.poll(10)
            assert message is not None
            assert message.error() is None
            if message.key() == system_id.encode():
                found.append(decode(message.value() or b""))
    consumer.close()
    return found


def test_everything_arrives_in_order_and_is_acknowledged(cloud: Cloud, path: Path) -> None:
    system_id = str(uuid.uuid4())
    registry = SchemaRegistry(cloud.stack.registry)
    schema_id = registry.schema_id(CHANGES.subject, schema_text("change_set"))
    with shipping(path, system_id, cloud.stack.kafka, lambda: schema_id):
        wait_until_shipped(path)
        journal = Journal(path, SystemClock())
        journal.append([change("last", ["z"])])
        journal.close()
        wait_until_shipped(path)
    records = records_of(cloud, system_id)
    assert [row.version for record in records for row in record.rows] == [2 << 47 | n for n in range(1, 2403)]
    places = [(record.sequence, record.part) for record in records]
    assert places == sorted(set(places))
    assert records[-1].position == "last"
    assert [record.last_part for record in records if record.sequence == 402] == [False, False, True]
    assert [end.first_version for record in records for end in record.ends] == [2 << 47 | 1]


def test_nothing_is_acknowledged_that_kafka_did_not_take(path: Path) -> None:
    before = unshipped(path)
    with shipping(path, str(uuid.uuid4()), "127.0.0.1:1", lambda: 1):
        threading.Event().wait(1.5)
        assert unshipped(path) == before
    assert unshipped(path) == before
