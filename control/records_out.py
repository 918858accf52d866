"""Canonical sets that were mapped again, on their way to fluxion.records.v1: sent under the system's key, and acknowledged."""

from confluent_kafka import KafkaError, Message, Producer

from fluxion import kafka
from fluxion.errors import DependencyDownError
from fluxion.schema_registry import SchemaRegistry
from schemas.codec import Encoder, schema_text
from schemas.records import CanonicalSet
from schemas.topics import RECORDS

FLUSH_S = 60.0
SEND_POLL_S = 0.1


class RecordsOut:
    """Sends canonical sets; whatever was sent is in Kafka only when `confirm` has returned."""

    def __init__(self, servers: str, registry: SchemaRegistry) -> None:
        name = RECORDS.schema or ""
        self._encode: Encoder[CanonicalSet] = Encoder(name, registry.schema_id(RECORDS.subject, schema_text(name)))
        self._producer: Producer = kafka.producer(servers, **{"message.timeout.ms": FLUSH_S * 1000})
        self._failed: KafkaError | None = None

    def send(self, record: CanonicalSet) -> None:
        """Hand a set to the producer; raises DataValidationError where it cannot be written."""
        value = self._encode(record)
        while True:
            try:
                self._producer.produce(RECORDS.name, value, record.system_id.encode(), on_delivery=self._delivered)
            except BufferError:  # the local queue is full: let deliveries happen
                self._producer.poll(SEND_POLL_S)
            else:
                self._producer.poll(0)
                return

    def confirm(self) -> None:
        """Return when Kafka has acknowledged all that was sent; raises DependencyDownError where it has not in time."""
        left = self._producer.flush(FLUSH_S + 1)
        if self._failed is not None or left:
            why = self._failed.str() if self._failed else f"{left} are not acknowledged"
            self._failed = None
            message = f"Kafka did not take what was mapped again ({why})"
            raise DependencyDownError(message, "run it again: what was taken makes no difference")

    def _delivered(self, fault: KafkaError | None, _: Message) -> None:
        self._failed = fault or self._failed
