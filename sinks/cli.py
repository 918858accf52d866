"""`fluxion sink run` and `fluxion relay run`."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

from fluxion import kafka
from fluxion.clock import SystemClock
from fluxion.errors import ConfigurationError, FluxionError
from fluxion.lag import Lag, probe
from fluxion.log import get_logger, setup_logging
from fluxion.observe import observe
from fluxion.postgres import SINK
from fluxion.progress import RESTART_ME, unless_waiting
from fluxion.schema_registry import SchemaRegistry
from fluxion.settings import METRICS_PORT, load_settings
from schemas.codec import Decoder, Encoder, schema_text
from schemas.events import SaleEvent
from schemas.records import CanonicalSet
from schemas.topics import RECORDS, TOPICS, Topic
from sinks.consumer import Sink
from sinks.outbox import Encode, Relay
from sinks.outbox_lag import OutboxLag
from sinks.records_topic import GROUP, RecordsTopic

MetricsPort = Annotated[int | None, typer.Option(help=METRICS_PORT)]

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
def run_sink(metrics_port: MetricsPort = None) -> None:
    """Write what the processors produced, until SIGTERM. Start as many as there is work for; they share the partitions."""
    settings, clock = load_settings(metrics_port=metrics_port), SystemClock()
    setup_logging("sink", settings.log_format)
    told = _Told()
    watchdog = observe("sink", settings, SINK, clock)
    turns = watchdog.watch("turns")
    registry = SchemaRegistry(settings.schema_registry, sleep=told.sleep, waiting=turns.waiting)
    decode = Decoder("canonical_set", CanonicalSet, registry.schema_text)
    sink = Sink(settings.database.get_secret_value(), RecordsTopic(settings.kafka), decode, clock, turns)
    lag = Lag(probe(settings.kafka, GROUP), RECORDS.name, sink.places, clock)
    watchdog.watch("records", unless_waiting(turns, lag.pending), asks="Kafka")
    with _restarted():
        sink.run(told)


@relay_app.command("run")
def run_relay(metrics_port: MetricsPort = None) -> None:
    """Publish the outbox, until SIGTERM. A second relay waits until the first is gone."""
    settings, clock = load_settings(metrics_port=metrics_port), SystemClock()
    setup_logging("relay", settings.log_format)
    # An event is never given up: what is not delivered would be overtaken by what comes behind it.
    producer = kafka.producer(settings.kafka, **{"message.timeout.ms": 0})
    told = _Told()
    watchdog = observe("relay", settings, SINK, clock)
    turns = watchdog.watch("turns")
    encode = sale_encoder(SchemaRegistry(settings.schema_registry, sleep=told.sleep, waiting=turns.waiting))
    dsn = settings.database.get_secret_value()
    relay = Relay(dsn, producer, encode, clock, turns)
    outbox = OutboxLag(dsn, lambda: relay.is_publishing)
    watchdog.watch("outbox", unless_waiting(turns, outbox.pending), asks="PostgreSQL")
    with _restarted():
        relay.run(told)


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


class _Told:
    """Whether SIGTERM or SIGINT came. Waiting for the schema registry ends with it too: nothing is in hand then."""

    def __init__(self) -> None:
        self._told = False
        signal.signal(signal.SIGTERM, self._tell)
        signal.signal(signal.SIGINT, self._tell)

    def __call__(self) -> bool:
        return self._told

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
        if self._told:
            raise SystemExit(0)

    def _tell(self, _signal: int, _frame: FrameType | None) -> None:
        self._told = True


@contextmanager
def _restarted() -> Iterator[None]:
    """End with 70 where we do not know what happened: PostgreSQL knows where to go on, so a new process is the mend."""
    try:
        yield
    except FluxionError:
        raise
    except Exception:  # noqa: BLE001 -- the last line of defence of a process
        get_logger().exception("ended by a mistake of our own")
        raise SystemExit(RESTART_ME) from None
