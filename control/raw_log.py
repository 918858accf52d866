"""pos.changes.v1 as it is read again: one system's partition, by hand, in no group, between two offsets."""

from collections.abc import Iterator
from datetime import datetime
from typing import Self

from aiokafka.partitioner import murmur2
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from fluxion.errors import ConfigurationError, DependencyDownError, PositionLostError
from fluxion.kafka import consumer
from fluxion.schema_registry import SchemaRegistry, UnknownSchemaError
from schemas.codec import LookUp, UnreadableRecordError
from schemas.topics import CHANGES, PARTITIONS
from stream_processors.drafts import Raw

TIMEOUT_S = 10.0
POLL_S = 0.5
# So many polls in a row without a word from Kafka: it is down.
SILENT_POLLS = 60
# Records of an aborted transaction come again with the same versions, so they do no harm; and a processor may have seen them.
_READING: dict[str, str | float] = {
    "enable.partition.eof": "true",
    "auto.offset.reset": "error",
    "isolation.level": "read_uncommitted",
}


def partition_of(key: str) -> int:
    """Return the partition that every producer gives a key: Java's DefaultPartitioner on 24 partitions."""
    return (int(murmur2(key.encode())) & 0x7FFFFFFF) % PARTITIONS


def look_up_of(registry: SchemaRegistry) -> LookUp:
    """Return what finds a writer's schema; a record that names an unknown one is unreadable, which is no fault of ours."""

    def look_up(schema_id: int) -> str:
        try:
            return registry.schema_text(schema_id)
        except UnknownSchemaError as fault:
            message = f"the record names schema {schema_id}, which the schema registry does not know"
            raise UnreadableRecordError(message, "find what else produces to this topic") from fault

    return look_up


class RawLog:
    """The raw records of one system. Close it, or use it in a `with`; every call raises DependencyDownError while Kafka is down."""

    def __init__(self, servers: str, system_id: str) -> None:
        self._servers = servers
        self._key = system_id.encode()
        self.partition = partition_of(system_id)
        self._consumer: Consumer = consumer(servers, "fluxion-raw-log", **_READING)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def bounds(self) -> tuple[int, int]:
        """Return the first offset that is kept and the one behind the last."""
        try:
            low, high = self._consumer.get_watermark_offsets(self._place(), timeout=TIMEOUT_S)
        except KafkaException as fault:
            raise self._down(fault.args[0]) from None
        return low, high

    def offset_at(self, moment: datetime) -> int:
        """Return the first offset whose record Kafka took at `moment` or later; the end where there is none."""
        place = self._place(int(moment.timestamp() * 1000))
        try:
            (found,) = self._consumer.offsets_for_times([place], timeout=TIMEOUT_S)
        except KafkaException as fault:
            raise self._down(fault.args[0]) from None
        return found.offset if found.offset >= 0 else self.bounds()[1]

    def moment_of(self, offset: int) -> datetime | None:
        """Return when Kafka took the first record at `offset` or behind it; None where there is none."""
        for message in self._messages(offset, self.bounds()[1]):
            return datetime.fromtimestamp(message.timestamp()[1] / 1000).astimezone()
        return None

    def read(self, start: int, end: int) -> Iterator[Raw]:
        """Yield this system's records from `start` up to `end`, which is not read."""
        for message in self._messages(start, end):
            if message.key() == self._key:
                yield Raw(CHANGES.name, self.partition, message.offset() or 0, message.value() or b"")

    def at(self, partition: int, offset: int) -> Raw | None:
        """Return this system's record at an offset; None where the topic no longer holds it, or another stands there."""
        low, high = self.bounds()
        if partition != self.partition or not low <= offset < high:
            return None
        return next((raw for raw in self.read(offset, offset + 1) if raw.offset == offset), None)

    def _messages(self, start: int, end: int) -> Iterator[Message]:
        if start >= end:
            return
        silent = 0
        self._consumer.assign([self._place(start)])
        try:
            while True:
                message = self._consumer.poll(POLL_S)
                if message is None:
                    silent += 1
                    if silent > SILENT_POLLS:
                        raise self._down(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 -- librdkafka's own codes begin with _
                    continue
                silent = 0
                fault = message.error()
                if fault is None and (message.offset() or 0) < end:
                    yield message
                # Markers of transactions have offsets too, so the end may hold no record.
                if (fault is None or self._is_end(fault)) and (message.offset() or 0) + (fault is None) >= end:
                    return
        finally:
            self._consumer.unassign()

    def _is_end(self, fault: KafkaError) -> bool:
        """Tell the end of the partition from what stops us; raises for the latter."""
        if fault.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 -- as above
            return True
        if fault.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 -- as above
            message = f"{CHANGES.name} no longer holds what was to be read ({fault.str()})"
            raise PositionLostError(message, "snapshot the system again")
        if fault.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            message = f"there is no topic {CHANGES.name}"
            raise ConfigurationError(message, "run `fluxion topics create`")
        if not fault.retriable() and fault.fatal():
            raise self._down(fault)
        return False  # librdkafka goes on by itself

    def _place(self, offset: int = 0) -> TopicPartition:
        return TopicPartition(CHANGES.name, self.partition, offset)

    def _down(self, fault: KafkaError) -> DependencyDownError:
        message = f"Kafka at {self._servers} does not answer ({fault.str()})"
        return DependencyDownError(message, "check that it runs and FLUXION_KAFKA")
