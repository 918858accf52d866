"""Events with their outputs, and what the loop asks of an event."""

import threading
from typing import Protocol

from confluent_kafka import KafkaError, Message

from stream_processors.drafts import Raw


class Event(Protocol):
    """What a stream yields: key and value as bytes, and the Kafka record."""

    key: bytes | None
    value: bytes | None
    message: "Record"


class Record(Protocol):
    """Where an event stands in Kafka; `timestamp` in seconds."""

    topic: str
    partition: int
    offset: int
    timestamp: float


class OutputLostError(Exception):
    """The broker did not take an output in time; the events are delivered again to the next worker."""


class Batch:
    """Events with their outputs, counted apart from every other batch: `flush() == 0` proves nothing."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.raws: list[Raw] = []
        self.produced = 0
        self._lock = threading.Lock()
        self._confirmed = 0
        self._failed: KafkaError | None = None

    def delivered(self, error: KafkaError | None, _message: Message) -> None:
        """Count a delivery report; any thread that polls the producer may bring it."""
        with self._lock:
            if error is None:
                self._confirmed += 1
            else:
                self._failed = error

    def confirmed(self) -> bool:
        """Tell whether every output is on the broker; raises OutputLostError for one that never will be."""
        with self._lock:
            if self._failed is not None:
                raise OutputLostError(self._failed.str())
            return self._confirmed == self.produced
