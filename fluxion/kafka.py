"""Kafka clients with the settings that every stage shares. The delivery promise stands or falls with them."""

import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from fluxion.errors import DependencyDownError
from fluxion.log import get_logger

# A row over 1 MiB goes without its largest values (docs/adr/0007); a change set never exceeds this.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024

# librdkafka writes a line for each try of each connection straight to standard error; we say it once in a while.
_SAY_AGAIN_S = 10.0
_CRITICAL = 2
_PROBE_S = 3.0


def _common(servers: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": servers,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 2_000,
        "log_level": _CRITICAL,
        "error_cb": _say_errors(servers),
    }


def _say_errors(servers: str) -> Callable[[KafkaError], None]:
    said = 0.0

    def say(fault: KafkaError) -> None:
        nonlocal said
        if time.monotonic() - said >= _SAY_AGAIN_S:
            said = time.monotonic()
            get_logger().warning("kafka does not answer, trying again", servers=servers, reason=fault.str())

    return say


def admin(servers: str) -> AdminClient:
    """Return an admin client. Keep it in a name: collected too early, it cancels its own requests."""
    return AdminClient(_common(servers))


def probe(servers: str) -> Callable[[], object]:
    """Return what asks the brokers for a sign of life; it raises DependencyDownError after 3 s without one."""

    def ask() -> None:
        client = admin(servers)  # asked now and then: kept, its threads would cost a store's computer 2 MB
        try:
            client.list_topics(timeout=_PROBE_S)
        except KafkaException as fault:
            message = f"Kafka at {servers} does not answer ({fault.args[0].str()})"
            raise DependencyDownError(message, "check that it runs and FLUXION_KAFKA") from None

    return ask


def producer(servers: str, **more: str | float) -> Producer:
    """Return an idempotent producer, acks=all.

    The partitioner is Java's: librdkafka's own default puts 97 % of keys elsewhere than Java and aiokafka do.
    Delivery time-outs are long on purpose: an outage delays, the caller decides when to give up.
    """
    return Producer(
        {
            **_common(servers),
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "compression.type": "lz4",
            "linger.ms": 0,
            **more,
        }
    )


def consumer(servers: str, group: str, **more: str | float) -> Consumer:
    """Return a consumer that never commits by itself and starts at the beginning where it has no offset.

    Sessions are short so that the partitions of a killed process move on within ten seconds. It reads what is not committed
    yet: shippers use transactions to fence one another, and what one aborts comes again with the same versions.
    """
    return Consumer(
        {
            **_common(servers),
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_uncommitted",
            "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 2_000,
            "fetch.wait.max.ms": 50,
            "topic.metadata.refresh.interval.ms": 10_000,
            **more,
        }
    )
