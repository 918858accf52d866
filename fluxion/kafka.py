"""Kafka clients with the settings that every stage shares. The delivery promise stands or falls with them."""

from confluent_kafka import Consumer, Producer

# A row over 1 MiB is quarantined by the journal; a change set never exceeds this.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024


def producer(servers: str, **more: str | float) -> Producer:
    """Return an idempotent producer, acks=all.

    The partitioner is Java's: librdkafka's own default puts 97 % of keys elsewhere than Java and aiokafka do.
    Delivery time-outs are long on purpose: an outage delays, the caller decides when to give up.
    """
    return Producer(
        {
            "bootstrap.servers": servers,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "compression.type": "lz4",
            "linger.ms": 0,
            "log.connection.close": False,
            **more,
        }
    )


def consumer(servers: str, group: str, **more: str | float) -> Consumer:
    """Return a consumer that never commits by itself and starts at the beginning where it has no offset.

    Sessions are short so that the partitions of a killed process move on within ten seconds.
    """
    return Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 2_000,
            "fetch.wait.max.ms": 50,
            "topic.metadata.refresh.interval.ms": 10_000,
            "log.connection.close": False,
            **more,
        }
    )
