"""What the demo sees from outside: the public topic as any consumer reads it, and the count at each stage."""

import contextlib
import threading
import time
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaException, TopicPartition

from fluxion.errors import DependencyDownError
from fluxion.kafka import consumer
from fluxion.schema_registry import SchemaRegistry
from schemas.codec import Decoder
from schemas.events import SaleEvent
from schemas.topics import SALE_EVENTS, Topic

LOOK_TIMEOUT_S = 5
LEADERS_TIMEOUT_S = 30
_AT_ONCE = 1_000


@dataclass
class SeenSale:
    """A sale as the topic showed it. event_ids: distinct ce_id; repeats: deliveries with a ce_id that was there already."""

    event: SaleEvent
    arrived: int
    event_ids: set[str] = field(default_factory=set)
    repeats: int = 0


class EventWatcher:
    """A plain consumer of fluxion.sale_events.v1 that keeps the events of one tenant, by the POS's own sale id."""

    def __init__(self, kafka: str, schema_registry: str, tenant_id: str) -> None:
        self.sales: dict[str, SeenSale] = {}
        self._tenant_id = tenant_id
        self._decode = Decoder("sale_event", SaleEvent, SchemaRegistry(schema_registry).schema_text)
        self._consumer = consumer(kafka, "fluxion-demo")
        self._consumer.assign(
            [TopicPartition(SALE_EVENTS.name, p, end) for p, end in first_ends(self._consumer, SALE_EVENTS)]
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event watcher")

    def start(self) -> None:
        """Read from the end of the topic as it was when this object was made."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def count(self) -> int:
        """Distinct events so far: repeats of a ce_id do not count."""
        return sum(len(sale.event_ids) for sale in list(self.sales.values()))

    def _run(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.1)
            if message is None or message.error():
                continue
            arrived = time.time_ns() // 1000
            event = self._decode(message.value() or b"")
            if event.tenant_id != self._tenant_id:
                continue
            headers = dict(message.headers() or [])
            event_id = str(headers.get("ce_id"))
            sale = self.sales.setdefault(event.sale.external_id, SeenSale(event, arrived))
            sale.repeats += event_id in sale.event_ids
            sale.event_ids.add(event_id)


def ends(reader: Consumer, topic: Topic) -> list[tuple[int, int]]:
    """Return (partition, end offset) of a topic."""
    partitions = reader.list_topics(topic.name, timeout=LOOK_TIMEOUT_S).topics[topic.name].partitions
    return [(p, _end(reader, TopicPartition(topic.name, p))) for p in partitions]


def first_ends(reader: Consumer, topic: Topic) -> list[tuple[int, int]]:
    """Return `ends` of a topic that may have been created a moment ago, whose partitions still look for their leader."""
    deadline = time.monotonic() + LEADERS_TIMEOUT_S
    while True:
        try:
            return ends(reader, topic)
        except KafkaException as fault:
            if time.monotonic() > deadline:
                message = f"Kafka does not say where {topic.name} ends ({fault.args[0].str()})"
                raise DependencyDownError(message, "look at its log, and run the demo again") from None
            time.sleep(0.2)


def _end(reader: Consumer, place: TopicPartition) -> int:
    (_, high) = reader.get_watermark_offsets(place, timeout=LOOK_TIMEOUT_S)
    return int(high)


class TopicCounter:
    """Counts the records that came into a topic since it was made, by reading them."""

    def __init__(self, kafka: str, topic: Topic) -> None:
        self._reader = consumer(kafka, "fluxion-demo")
        self._reader.assign([TopicPartition(topic.name, p, end) for p, end in first_ends(self._reader, topic)])
        self._count = 0

    def count(self) -> int:
        """Records since the start; the last known number while the broker is away. Offsets count markers of transactions too."""
        with contextlib.suppress(KafkaException):
            while messages := self._reader.consume(_AT_ONCE, 0):
                self._count += sum(message.error() is None for message in messages)
        return self._count

    def close(self) -> None:
        """Leave the broker."""
        self._reader.close()
