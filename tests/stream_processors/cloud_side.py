"""What a test of a running processor needs: systems in the registry, a producer of raw records, a reader of canonical ones."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from control.registry import NewSystem, add_store, add_system, add_tenant, save_mapping
from fluxion import kafka
from fluxion.postgres import APP, STAGE, connect
from fluxion.registry import System, load_system
from fluxion.schema_registry import SchemaRegistry
from schemas.codec import Decoder, Encoder, schema_text
from schemas.mapping import load, restore
from schemas.records import CanonicalSet, ChangeSet
from schemas.topics import CHANGES, RECORDS
from tests.support.local import ROOT


def new_system(database: str) -> str:
    """Add a Systimax with two stores and return its id."""
    with connect(database, APP) as link:
        system = NewSystem("Abasto", load("systimax"), {"host": "127.0.0.1"}, {})
        system_id = add_system(link, add_tenant(link, "Uno"), system)
    for external_id in ("1", "2"):
        new_store(database, system_id, external_id)
    return system_id


def new_store(database: str, system_id: str, external_id: str) -> str:
    """Add a store to a system and return its id."""
    system = _system(database, system_id)
    with connect(database, APP) as link:
        return add_store(link, system, external_id, external_id, "America/Caracas")


def set_mapping(database: str, system_id: str, mapping: str) -> None:
    """Put any text in place of a system's stored mapping, which no command would save."""
    tenant_id = _system(database, system_id).tenant_id
    with connect(database, APP) as link:
        link.execute("select set_config('fluxion.tenant_id', %s, true)", [tenant_id])
        link.execute(
            "update pos_integration.pos_systems set field_mappings = %s, mapping_revision = mapping_revision + 1"
            " where id = %s",
            [mapping, system_id],
        )


def save(database: str, system_id: str, mapping: dict[str, Any]) -> int:
    """Save a template as `fluxion mapping save` does; returns the new revision."""
    system = _system(database, system_id)
    with connect(database, APP) as link:
        return save_mapping(link, system, restore(mapping))


def _system(database: str, system_id: str) -> System:
    with connect(database, STAGE) as link:
        return load_system(link, system_id)


class Topics:
    """Sends raw records and reads what a processor made of them, from now on."""

    def __init__(self, servers: str, registry_url: str) -> None:
        registry = SchemaRegistry(registry_url)
        text = schema_text("change_set")
        self._encode: Encoder[ChangeSet] = Encoder("change_set", registry.schema_id(CHANGES.subject, text))
        self._decode: Decoder[CanonicalSet] = Decoder("canonical_set", CanonicalSet, registry.schema_text)
        self._producer: Producer = kafka.producer(servers)
        self._consumer: Consumer = kafka.consumer(servers, "test-of-the-processor")
        partitions = self._consumer.list_topics(RECORDS.name, timeout=10).topics[RECORDS.name].partitions
        self._consumer.assign([TopicPartition(RECORDS.name, number, self._end(number)) for number in partitions])

    def _end(self, number: int) -> int:
        """Return a partition's end; one that was just made has no leader for a moment."""
        deadline = time.monotonic() + 10
        while True:
            try:
                return self._consumer.get_watermark_offsets(TopicPartition(RECORDS.name, number), timeout=5)[1]
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def send(self, value: ChangeSet | bytes, key: str | None = None) -> None:
        """Send a change set under its system's id, or any bytes under a key."""
        data = value if isinstance(value, bytes) else self._encode(value)
        self._producer.produce(CHANGES.name, data, key if isinstance(value, bytes) else value.system_id)
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until everything sent is in Kafka."""
        assert self._producer.flush(30) == 0

    def read(
        self, systems: set[str], count: int, seconds: float, known: Sequence[CanonicalSet] = ()
    ) -> list[CanonicalSet]:
        """Read canonical sets of these systems until `count` different raw records are answered, or time is up.

        `known`: what was read before; it counts, and stands first in what is returned.
        """
        found = list(known)
        places = {(one.system_id, one.source_offset) for one in known}
        deadline = time.monotonic() + seconds
        while len(places) < count and time.monotonic() < deadline:
            record = self._consumer.poll(0.2)
            if record is None or record.error() is not None:
                continue
            made = self._decode(record.value() or b"")
            if made.system_id in systems:
                assert record.key() == made.system_id.encode()
                found.append(made)
                places.add((made.system_id, made.source_offset))
        return found

    def close(self) -> None:
        self._consumer.close()


class Worker:
    """A running `fluxion processor run`."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.log = folder / "processor.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fluxion.cli", "processor", "run"],
                cwd=ROOT,
                env={**os.environ, **environment, "FLUXION_WORK_DIR": str(folder / "work")},
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        assert self._process.wait(10) == -signal.SIGKILL, self.log.read_text()

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self._process.terminate()
        return self._process.wait(30)

    def discard(self) -> None:
        """End it however it stands."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)


@contextmanager
def worker(environment: Mapping[str, str], folder: Path) -> Iterator[Worker]:
    """Run a worker for the block."""
    running = Worker(environment, folder)
    try:
        yield running
    finally:
        running.discard()
