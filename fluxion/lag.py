"""How far a reader of a topic is behind, asked apart from its own consumer: that one may be what hangs."""

from collections.abc import Callable, Hashable, Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from fluxion import kafka, metrics
from fluxion.clock import Clock
from fluxion.errors import DependencyDownError

KAFKA_TIMEOUT_S = 5.0
_RECORD_TIMEOUT_S = 1.0

# Partition → the next offset to read; what was never read stands below 0.
Places = Callable[[], Mapping[int, int]]


def probe(servers: str, group: str) -> Consumer:
    """Return the consumer to ask with. It never joins the group."""
    return kafka.consumer(servers, group, **{"enable.partition.eof": "true"})


def committed_places(probe: Consumer, topic: str, assigned: Callable[[], set[int]]) -> Places:
    """Return what asks for the offsets that the probe's group committed.

    `assigned` returns the worker's partitions; with none all of them are asked, so a group that never settles shows.
    """

    def places() -> Mapping[int, int]:
        everything = probe.list_topics(topic, timeout=KAFKA_TIMEOUT_S).topics[topic].partitions
        asked = [TopicPartition(topic, number) for number in assigned() or everything]
        return {found.partition: found.offset for found in probe.committed(asked, timeout=KAFKA_TIMEOUT_S)}

    return places


class Lag:
    """The records of a topic that wait for a reader that stands at `places`; keeps the metrics of that."""

    def __init__(self, probe: Consumer, topic: str, places: Places, clock: Clock) -> None:
        self._probe = probe
        self._topic = topic
        self._places = places
        self._clock = clock
        self._only_markers: dict[int, tuple[int, int]] = {}

    def pending(self) -> Hashable:
        """Return (partition, next offset) where a record waits; raises DependencyDownError where Kafka does not answer."""
        try:
            return self._pending()
        except KafkaException as fault:
            message = f"Kafka does not say how far {self._topic} is read ({fault.args[0].str()})"
            raise DependencyDownError(message, "check that it runs and FLUXION_KAFKA") from None

    def _pending(self) -> Hashable:
        found: list[tuple[int, int]] = []
        behind, oldest = 0, self._clock.micros()
        for number, place in self._places().items():
            partition = TopicPartition(self._topic, number)
            low, high = self._probe.get_watermark_offsets(partition, timeout=KAFKA_TIMEOUT_S)
            following = max(place, low)
            if following >= high or self._only_markers.get(number) == (following, high):
                continue
            if (written := self._written(number, following)) is None:
                self._only_markers[number] = following, high  # an idle topic is not read again at each look
                continue
            found.append((number, following))
            behind += high - following
            oldest = min(oldest, written)
        metrics.LAG.labels(self._topic).set(behind)
        metrics.OLDEST.labels(self._topic).set((self._clock.micros() - oldest) / 1_000_000)
        return tuple(sorted(found))

    def _written(self, number: int, offset: int) -> int | None:
        """Return when the record at that place or behind it was written, in micros; None where only markers of transactions are."""
        self._probe.assign([TopicPartition(self._topic, number, offset)])
        try:
            record = self._probe.poll(_RECORD_TIMEOUT_S)
        finally:
            self._probe.unassign()
        if record is None or record.error() is not None:
            return None
        return int(record.timestamp()[1]) * 1000
