"""fluxion.records.v1 as a consumer that notes its partitions and reads from where PostgreSQL says."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import wait

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition

from fluxion import kafka
from fluxion.errors import ConfigurationError, DependencyDownError, PositionLostError
from schemas.topics import RECORDS

GROUP = "fluxion-sink"
FIRST_WAIT_S = 0.05
BATCH = 5000
REQUEST_S = 10.0
_STEP_S = 0.1

_READING: dict[str, str | float] = {"auto.offset.reset": "error", "queued.max.messages.kbytes": 16 * 1024}


class RecordsTopic:
    """The consumer of one sink. Rebalances are only noted inside `read`; `take` acts on them, outside the callback."""

    def __init__(self, servers: str, group: str = GROUP) -> None:
        self._admin = kafka.admin(servers)
        self._consumer: Consumer = kafka.consumer(
            servers,
            group,
            # Offsets are always given; one that Kafka does not hold must never be skipped in silence.
            **_READING,
        )
        self._servers = servers
        self.assigned: frozenset[int] = frozenset()
        self.stale = False
        self._consumer.subscribe(
            [RECORDS.name], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def topic_id(self, stop: Callable[[], bool]) -> str:
        """Return the id that Kafka gave the topic when it was created.

        Raises DependencyDownError where Kafka does not answer within 10 s, or not before `stop`.
        """
        try:
            future = self._admin.describe_topics(TopicCollection([RECORDS.name]), request_timeout=REQUEST_S)[
                RECORDS.name
            ]
            steps = int(REQUEST_S / _STEP_S)
            while steps and not stop() and not wait([future], _STEP_S).done:
                self._admin.poll(0)  # so that a broker that is down is said at once
                steps -= 1
            return str(future.result(0).topic_id)
        except KafkaException as fault:
            if fault.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                message = f"there is no topic {RECORDS.name}"
                raise ConfigurationError(message, "run `fluxion topics create`") from None
            raise self._down(fault) from None
        except TimeoutError:
            message = f"Kafka at {self._servers} does not answer (nothing in {REQUEST_S:.0f} s)"
            raise DependencyDownError(message, "check that it runs and FLUXION_KAFKA") from None

    def watermarks(self, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Ask the broker for the low and high watermarks of partitions."""
        try:
            return {
                partition: self._consumer.get_watermark_offsets(
                    TopicPartition(RECORDS.name, partition), timeout=REQUEST_S
                )
                for partition in partitions
            }
        except KafkaException as fault:
            raise self._down(fault) from None

    def take(self, places: Mapping[int, int]) -> None:
        """Read on from these offsets; partitions that are not named are not read."""
        self._consumer.assign([TopicPartition(RECORDS.name, partition, place) for partition, place in places.items()])
        self.stale = False

    def read(self) -> list[Message]:
        """(1) Wait at most 50 ms for a first message, then take what is already there."""
        first = self._consumer.poll(FIRST_WAIT_S)
        if first is None:
            return []
        return [m for m in (first, *self._consumer.consume(BATCH - 1, 0)) if self._is_record(m)]

    def idle(self, seconds: float) -> None:
        """Stay in the group without reading anything; `take` must follow."""
        self._consumer.assign([])
        self.stale = True
        self._consumer.poll(seconds)

    def note(self, places: Mapping[int, int]) -> None:
        """(10) Commit offsets to Kafka: for lag monitors only, so nothing waits for it."""
        offsets = [TopicPartition(RECORDS.name, partition, place) for partition, place in places.items()]
        self._consumer.commit(offsets=offsets, asynchronous=True)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _is_record(self, message: Message) -> bool:
        fault = message.error()
        if fault is None:
            return True
        if fault.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 -- librdkafka's own codes begin with _
            message_text = f"{RECORDS.name} no longer holds the next record ({fault.str()})"
            raise PositionLostError(message_text, "replay the raw records, then set pos_integration.stream_offsets")
        if not fault.retriable() and fault.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise ConfigurationError(f"there is no topic {RECORDS.name}", "run `fluxion topics create`")
        return False  # librdkafka goes on by itself

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.assigned = frozenset(partition.partition for partition in partitions)
        self.stale = True
        consumer.assign([])  # nothing is fetched until PostgreSQL has said from where

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.assigned -= {partition.partition for partition in partitions}
        self.stale = True
        consumer.unassign()

    def _down(self, fault: KafkaException) -> DependencyDownError:
        message = f"Kafka at {self._servers} does not answer ({fault.args[0].str() or fault.args[0].name()})"
        return DependencyDownError(message, "check that it runs and FLUXION_KAFKA")
