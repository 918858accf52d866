"""Reads the public topic as a consumer outside the project would."""

import time
import uuid
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Message, TopicPartition

from fluxion import kafka
from schemas.codec import Decoder
from schemas.events import SaleEvent
from schemas.topics import PARTITIONS, SALE_EVENTS
from tests.sinks.shop import OpenShop

ENOUGH_S = 30


@dataclass(frozen=True)
class ReadEvent:
    """An event as it stands in the topic."""

    id: str
    key: str
    headers: dict[str, str]
    value: SaleEvent


class EventReader:
    """Reads the events of one shop from the beginning of the topic to its end."""

    def __init__(self, shop: OpenShop) -> None:
        self._shop = shop
        self._decode = Decoder("sale_event", SaleEvent, shop.registry.schema_text)

    def read(self) -> list[ReadEvent]:
        consumer = kafka.consumer(self._shop.servers, f"test-{uuid.uuid4()}")
        try:
            ends = {
                partition: consumer.get_watermark_offsets(TopicPartition(SALE_EVENTS.name, partition), timeout=10)[1]
                for partition in range(PARTITIONS)
            }
            left = {partition: end for partition, end in ends.items() if end}
            consumer.assign([TopicPartition(SALE_EVENTS.name, partition, 0) for partition in left])
            found = []
            deadline = time.monotonic() + ENOUGH_S
            while left:
                assert time.monotonic() < deadline, "the topic could not be read"
                for message in consumer.consume(1000, 0.2):
                    assert message.error() is None
                    if (message.offset() or 0) + 1 >= ends[message.partition() or 0]:
                        left.pop(message.partition() or 0, None)
                    if message.key() == self._shop.shop.store.encode():
                        found.append(self._event(message))
            return found
        finally:
            consumer.close()

    def _event(self, message: Message) -> ReadEvent:
        pairs: Any = message.headers() or []  # the client's own type allows a dict, which it never gives
        headers = {name: value.decode() for name, value in pairs}
        return ReadEvent(
            headers["ce_id"], (message.key() or b"").decode(), headers, self._decode(message.value() or b"")
        )
