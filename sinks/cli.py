"""`fluxion sink run` and `fluxion relay run`."""

import signal
from collections.abc import Callable
from types import FrameType

import typer

from fluxion import kafka
from fluxion.clock import SystemClock
from fluxion.errors import ConfigurationError
from fluxion.log import setup_logging
from fluxion.schema_registry import SchemaRegistry
from fluxion.settings import load_settings
from schemas.codec import Decoder, Encoder, schema_text
from schemas.records import CanonicalSet, SaleEvent
from schemas.topics import TOPICS, Topic
from sinks.consumer import Sink
from sinks.outbox import Encode, Relay
from sinks.records_topic import RecordsTopic

sink_app = typer.Typer(
    help="Canonical records into PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
relay_app = typer.Typer(
    help="What PostgreSQL committed to the public topics.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@sink_app.callback()
@relay_app.callback()
def _group() -> None:
    """Keep `run` a sub-command although it is the only one."""


@sink_app.command("run")
def run_sink() -> None:
    """Write what the processors produced, until SIGTERM. Start as many as there is work for; they share the partitions."""
    settings = load_settings()
    setup_logging("sink", settings.log_format)
    decode = Decoder("canonical_set", CanonicalSet, SchemaRegistry(settings.schema_registry).schema_text)
    Sink(settings.database.get_secret_value(), RecordsTopic(settings.kafka), decode, SystemClock()).run(_until_told())


@relay_app.command("run")
def run_relay() -> None:
    """Publish the outbox, until SIGTERM. A second relay waits until the first is gone."""
    settings = load_settings()
    setup_logging("relay", settings.log_format)
    # An event is never given up: what is not delivered would be overtaken by what comes behind it.
    producer = kafka.producer(settings.kafka, **{"message.timeout.ms": 0})
    encode = sale_encoder(SchemaRegistry(settings.schema_registry))
    Relay(settings.database.get_secret_value(), producer, encode, SystemClock()).run(_until_told())


def sale_encoder(registry: SchemaRegistry) -> Encode:
    """Return what writes an event for a topic; schema ids are asked for once, when a topic is first written."""
    topics = {topic.name: topic for topic in TOPICS}
    encoders: dict[str, Encoder[SaleEvent]] = {}

    def encode(name: str, event: SaleEvent) -> bytes:
        if name not in encoders:
            encoders[name] = _encoder(registry, topics.get(name), name)
        return encoders[name](event)

    return encode


def _encoder(registry: SchemaRegistry, topic: Topic | None, name: str) -> Encoder[SaleEvent]:
    if topic is None or topic.schema is None:
        message = f"the outbox names a topic ({name}) that this version does not write"
        raise ConfigurationError(message, "run the relay of the version that wrote it")
    return Encoder(topic.schema, registry.schema_id(topic.subject, schema_text(topic.schema)))


def _until_told() -> Callable[[], bool]:
    told = False

    def tell(_signal: int, _frame: FrameType | None) -> None:
        nonlocal told
        told = True

    signal.signal(signal.SIGTERM, tell)
    signal.signal(signal.SIGINT, tell)
    return lambda: told
