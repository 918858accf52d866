"""`fluxion tail TOPIC`: what passes through a topic, a JSON object a line."""

import json
import time
from collections.abc import Callable
from typing import Annotated

import msgspec
import typer
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from fluxion.errors import ConfigurationError, DependencyDownError
from fluxion.kafka import consumer
from fluxion.schema_registry import SchemaRegistry
from fluxion.settings import load_settings
from schemas.codec import Decoder, UnreadableRecordError
from schemas.events import SaleEvent
from schemas.records import CanonicalSet, ChangeSet
from schemas.status import Status
from schemas.topics import TOPICS

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

KINDS: dict[str, type[msgspec.Struct]] = {
    "change_set": ChangeSet,
    "canonical_set": CanonicalSet,
    "sale_event": SaleEvent,
    "status": Status,
}


@app.command()
def tail(
    topic: Annotated[str, typer.Argument(help="full name, or a part of it: sale_events")],
    *,
    from_beginning: Annotated[bool, typer.Option(help="all that is kept, not only what comes")] = False,
    limit: Annotated[int, typer.Option(help="end after so many records; 0: never")] = 0,
    seconds: Annotated[float, typer.Option(help="end after so many seconds; 0: never")] = 0,
) -> None:
    """Print records as they come, decoded: partition, offset, key, headers, value. Ctrl-C ends it."""
    names = [known.name for known in TOPICS if topic in known.name]
    if topic in names:
        names = [topic]
    if len(names) != 1:
        message = f"{topic!r} names {'several topics' if names else 'no topic'}"
        raise ConfigurationError(message, "name one of " + ", ".join(known.name for known in TOPICS))
    settings = load_settings()
    schema = next(known.schema for known in TOPICS if known.name == names[0])
    registry = SchemaRegistry(settings.schema_registry)
    decode = Decoder(schema, KINDS[schema], registry.schema_text) if schema else None
    follower = _follow(settings.kafka, names[0], from_beginning=from_beginning)
    end = time.monotonic() + seconds if seconds else None
    seen = 0
    try:
        while (end is None or time.monotonic() < end) and (limit == 0 or seen < limit):
            message_ = follower.poll(0.2)
            if message_ is None or message_.error():
                continue
            typer.echo(_line(message_, decode))
            seen += 1
    finally:
        follower.close()


def _follow(servers: str, topic: str, *, from_beginning: bool) -> Consumer:
    """Assign every partition by hand: a look at a topic is no member of a group and commits nothing."""
    follower = consumer(servers, "fluxion-tail")
    try:
        known = follower.list_topics(topic, timeout=10).topics[topic]
        if known.error is not None:
            message = f"there is no topic {topic}"
            raise ConfigurationError(message, "run `fluxion topics create`")
        places = []
        for partition in known.partitions:
            low, high = follower.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            places.append(TopicPartition(topic, partition, low if from_beginning else high))
    except KafkaException as fault:
        message = f"Kafka at {servers} does not answer ({fault.args[0].str()})"
        raise DependencyDownError(message, "check that it runs and FLUXION_KAFKA") from None
    follower.assign(places)
    return follower


def _line(message: Message, decode: Callable[[bytes], msgspec.Struct] | None) -> str:
    value = message.value() or b""
    shown: object
    try:
        shown = msgspec.to_builtins(decode(value)) if decode else _text(value)
    except UnreadableRecordError as fault:
        shown = {"unreadable": str(fault)}
    key = message.key()
    headers = {name: _text(held) for name, held in dict(message.headers() or []).items()}
    out = {
        "partition": message.partition(),
        "offset": message.offset(),
        "key": _text(key) if key else None,
        **({"headers": headers} if headers else {}),
        "value": shown,
    }
    return json.dumps(out, ensure_ascii=False)


def _text(held: str | bytes | None) -> str:
    return held if isinstance(held, str) else (held or b"").decode(errors="replace")
