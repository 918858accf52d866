"""The Faust app around the safe loop; the only file that imports faust.

Faust brings partitions, rebalances and commits. It acknowledges in a `finally`, also what failed, so its stream is taken
with `noack` and the loop acknowledges for itself.
"""

import asyncio
import logging
import signal
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import faust
from confluent_kafka import KafkaException
from faust.transport.drivers import aiokafka

from fluxion import kafka
from fluxion.clock import Clock, SystemClock
from fluxion.errors import ConfigurationError
from fluxion.lag import Lag, committed_places, probe
from fluxion.log import get_logger
from fluxion.observe import observe
from fluxion.postgres import STAGE
from fluxion.progress import RESTART_ME, Progress
from fluxion.schema_registry import SchemaRegistry, UnknownSchemaError
from fluxion.settings import Settings
from schemas.codec import Encoder, LookUp, UnreadableRecordError, schema_text
from schemas.records import CanonicalSet
from schemas.topics import CHANGES, RECORDS
from stream_processors.batch import Event
from stream_processors.loop import SafeLoop
from stream_processors.mappings import Mappings
from stream_processors.pipeline import records
from stream_processors.steps.decode import decoding
from stream_processors.worknote import WorkNote

GROUP = "fluxion-processor"
BATCH_SECONDS = 0.01
# SIGTERM is heard only between two tries.
KAFKA_TIMEOUT_S = 2.0
# Change sets are up to 512 KiB each; what waits in memory must stay small.
BUFFERED_EVENTS = 128
# Faust and aiokafka take a minute to stop when Kafka is down; a supervisor does not wait that long.
STOP_S = 8.0
# aiokafka writes some 75 lines a second while Kafka is down. We say ourselves what we wait for, and why a worker ends.
NOISY = ("aiokafka", "faust", "mode")


def run(settings: Settings) -> int:
    """Run the worker until SIGTERM; returns the exit status. Waits for each dependency by name.

    Raises ConfigurationError or AccessDeniedError for what waiting cannot mend.
    """
    clock, folder = SystemClock(), settings.work_dir or Path(tempfile.gettempdir()) / "fluxion-processor"
    watchdog, started = observe("processor", settings, STAGE, clock), threading.Event()
    starting = watchdog.watch("start", lambda: not started.is_set())
    note = WorkNote(folder)
    _wait_for_topics(settings.kafka, starting, clock)
    # (1) the schema to write with, (2) the mappings, (3) the loop; a worker joins its group only when it can work
    registry = SchemaRegistry(settings.schema_registry, sleep=clock.sleep, waiting=starting.waiting)
    schema_id = registry.schema_id(RECORDS.subject, schema_text(RECORDS.schema or ""))
    decode = decoding(_look_up(settings.schema_registry))
    mappings = Mappings(settings.database.get_secret_value(), lambda mapping: records(decode, mapping), clock)
    mappings.load(starting.waiting)
    mappings.start()
    progress = Progress(clock)
    loop = SafeLoop(
        mappings=mappings,
        encode=Encoder[CanonicalSet](RECORDS.schema or "", schema_id),
        producer=kafka.producer(settings.kafka, **{"queue.buffering.max.kbytes": 128 * 1024}),
        topic=RECORDS.name,
        note=note,
        progress=progress,
        clock=clock,
    )
    app = _app(settings.kafka, folder, loop)
    asking = probe(settings.kafka, GROUP)
    lag = Lag(asking, CHANGES.name, committed_places(asking, CHANGES.name, _assigned(app)), clock)
    watchdog.watch("records", lag.pending, asks="Kafka", progress=progress, end=loop.end)
    started.set()
    status = _execute(_Worker(app, loop.leave))
    note.clear()
    return status


def _wait_for_topics(servers: str, starting: Progress, clock: Clock) -> None:
    admin = kafka.admin(servers)
    known: set[str] | None = None
    while known is None:
        try:
            known = set(admin.list_topics(timeout=KAFKA_TIMEOUT_S).topics)
        except KafkaException as fault:
            starting.waiting("Kafka", str(fault))
            clock.sleep(1.0)
    missing = [topic.name for topic in (CHANGES, RECORDS) if topic.name not in known]
    if missing:
        raise ConfigurationError(f"Kafka has no topic {' and no '.join(missing)}", "run `fluxion topics create`")


def _look_up(url: str) -> LookUp:
    # It does not wait: the loop does, and says what for.
    registry = SchemaRegistry(url, wait=False)

    def look_up(schema_id: int) -> str:
        try:
            return registry.schema_text(schema_id)
        except UnknownSchemaError as fault:
            message = f"the record names schema {schema_id}, which the schema registry does not know"
            raise UnreadableRecordError(message, "find what else produces to this topic") from fault

    return look_up


class _Consumer(aiokafka.Consumer):
    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        """Leave out the record behind the gap, which Faust counts as part of it.

        Counted twice, it stops a commit there. Between an agent's records stand the markers of its transactions, so
        that Faust by itself commits two offsets a second.
        """
        await super()._add_gap(tp, offset_from, offset_to - 1)


class _Transport(aiokafka.Transport):
    Consumer = _Consumer


class _App(faust.App):
    def _new_transport(self) -> _Transport:
        return _Transport(self.conf.broker_consumer, self)


def _app(servers: str, folder: Path, loop: SafeLoop) -> faust.App:
    app = _App(
        GROUP,
        broker=[f"kafka://{server}" for server in servers.split(",")],
        autodiscover=False,
        store="memory://",
        datadir=str(folder / "faust"),
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        stream_buffer_maxsize=BUFFERED_EVENTS,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        # A killed worker's partitions move on within ten seconds.
        broker_session_timeout=10.0,
        broker_heartbeat_interval=2.0,
    )
    changes = app.topic(CHANGES.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    @app.agent(changes, name="records", concurrency=1)
    async def process(stream: Any) -> None:
        await loop.run(cast("AsyncIterator[Event]", stream.noack().events()), stream.ack)

    @app.task  # type: ignore[untyped-decorator]  # Faust types it loosely
    async def close_batches() -> None:
        await loop.close_every(BATCH_SECONDS)

    @app.on_before_shutdown.connect
    async def finish(*_: object, **__: object) -> None:
        await asyncio.wait_for(loop.close(), timeout=5.0)

    return app


def _assigned(app: faust.App) -> Callable[[], set[int]]:
    def assigned() -> set[int]:
        try:
            return {place.partition for place in app.consumer.assignment() if place.topic == CHANGES.name}
        except Exception:  # noqa: BLE001 -- not yet started, or in the middle of a rebalance: then look at all
            return set()

    return assigned


class _Worker(faust.Worker):
    """Calls `leave` where an orderly stop takes too long after a signal."""

    def __init__(self, app: faust.App, leave: Callable[[], object]) -> None:
        super().__init__(app, quiet=True, redirect_stdouts=False, override_logging=False, loglevel="WARN")
        self.spinner = None  # it writes to the terminal even where the worker is quiet
        self._leave = leave

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        late = threading.Timer(STOP_S, self._leave)
        late.daemon = True
        late.start()
        super()._schedule_shutdown(signal)


def _execute(worker: faust.Worker) -> int:
    """Run Faust in this thread; what makes it end otherwise than by a signal is a reason to start again."""
    logging.getLogger().handlers[:] = [_ToStructlog(logging.WARNING)]
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    threading.excepthook = _say_thread_ended
    try:
        worker.execute_from_commandline()
    except (SystemExit, Exception) as end:  # noqa: BLE001 -- it is logged, and the supervisor starts the next worker
        return _status_after(end)


def _status_after(end: BaseException) -> int:
    """Return the exit status that follows from how Faust ended."""
    if isinstance(end, SystemExit) and end.code in {None, 0}:
        return 0
    reason = f"Faust ends with status {end.code}" if isinstance(end, SystemExit) else f"{type(end).__name__}: {end}"
    get_logger().error("worker ends, to be started again", reason=reason)
    return RESTART_ME


def _say_thread_ended(ended: threading.ExceptHookArgs) -> None:
    # aiokafka's own thread ends so when it must stop while Kafka is down.
    name = ended.thread.name if ended.thread else ""
    get_logger().warning("thread ends", thread=name, reason=f"{ended.exc_type.__name__}: {ended.exc_value}")


class _ToStructlog(logging.Handler):
    """Hands what Faust and its libraries log to structlog, one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        level = "error" if record.levelno >= logging.ERROR else "warning"
        getattr(get_logger(), level)(
            text, logger=record.name, at=time.strftime("%H:%M:%S", time.localtime(record.created))
        )
