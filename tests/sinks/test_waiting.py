"""What the sink and the relay do while something that they need is down."""

import threading
from collections.abc import Callable

import pytest
from psycopg import IsolationLevel
from structlog.testing import capture_logs

from fluxion.clock import SystemClock
from fluxion.errors import DependencyDownError
from fluxion.progress import Progress
from schemas.codec import Decoder, schema_text
from schemas.records import CanonicalSet
from sinks import consumer
from sinks.consumer import Sink
from sinks.faults import Waiting
from sinks.records_topic import RecordsTopic
from tests.conftest import Cloud
from tests.sinks.conftest import SinkHere
from tests.sinks.desk import PARTITION, Desk
from tests.sinks.locks import changed, cut, wait_until_blocked

NOBODY = "postgresql://nobody@127.0.0.1:1/none"
DECODE: Decoder[CanonicalSet] = Decoder("canonical_set", CanonicalSet, lambda _: schema_text("canonical_set"))


class HandClock:
    now = 0.0

    def micros(self) -> int:
        return int(self.now * 1_000_000)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_reason_is_said_at_once_and_then_each_10_seconds() -> None:
    clock = HandClock()
    waiting = Waiting(clock)
    asked = "Connection refused Is the server running on that host and accepting TCP/IP connections?"
    postgres = DependencyDownError(f"PostgreSQL does not answer ({asked})", "check that it runs")
    said: list[tuple[float, str]] = []
    for second in range(25):
        clock.now = second
        with capture_logs() as lines:
            waiting.say(postgres)
            if second >= 12:
                waiting.say(DependencyDownError("Kafka does not answer"))
        said += [(second, line["reason"]) for line in lines]
    sentence = "PostgreSQL does not answer (Connection refused); check that it runs"
    kafka = "Kafka does not answer"
    assert said == [(0, sentence), (10, sentence), (12, kafka), (20, sentence), (22, kafka)]


def test_stop_ends_the_wait_for_a_kafka_that_is_down() -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    topic = RecordsTopic("127.0.0.1:1")
    try:
        with pytest.raises(DependencyDownError, match=r"Kafka at .* does not answer"):
            topic.topic_id(stop)
    finally:
        topic.close()
    assert asked == 3


def test_a_postgresql_that_is_down_at_the_start_is_waited_for_by_name(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "RETRY_S", 0.1)
    clock = SystemClock()
    progress = Progress(clock)
    sink = Sink(NOBODY, RecordsTopic(cloud.stack.kafka), DECODE, clock, progress)
    with capture_logs() as lines:
        sink.run(lambda: progress.count >= 3)
    assert progress.wait is not None
    assert progress.wait.dependency == "PostgreSQL"
    assert [line["event"] for line in lines] == ["waiting"]  # (once, not at each try)


def test_a_sink_that_is_told_to_stop_while_postgresql_is_gone_waits_for_nothing(desk: Desk, sink: SinkHere) -> None:
    worker = sink.make()
    gone = False

    def stop() -> bool:
        nonlocal gone
        if not gone and worker._session is not None:
            gone = True
            cut(desk.open.dsn, worker._session.link.info.backend_pid)
            return False
        return gone

    with capture_logs() as lines:
        sink.until(stop, worker)
    assert gone
    assert "waiting" not in [line["event"] for line in lines]


def _is_due(desk: Desk) -> str:
    return f"update fluxion.sales set settle_at = now() - interval '1 second' where tenant_id = '{desk.shop.tenant}'"


def test_a_sweep_that_clashed_comes_again_on_the_same_connection(desk: Desk, sink: SinkHere) -> None:
    desk.sales(desk.shop.sale(1, txn_end=False))
    worker = sink.make()
    clashing: list[threading.Thread] = []
    links: set[int] = set()

    def clash(pid: int, ready: threading.Event) -> None:
        with changed(desk.open.dsn, _is_due(desk)) as other:
            ready.set()
            wait_until_blocked(desk.open.dsn, pid)
            other.commit()

    def enough() -> bool:
        if worker._session is not None and PARTITION in worker._places:
            link = worker._session.link
            links.add(link.info.backend_pid)
            if not clashing:
                link.isolation_level = IsolationLevel.REPEATABLE_READ  # then a change under its hands is 40001 at once
                desk.open.link.execute(_is_due(desk).encode())
                ready = threading.Event()
                clashing.append(threading.Thread(target=clash, args=[link.info.backend_pid, ready]))
                clashing[0].start()
                assert ready.wait(30)
        return desk.types() == ["sale_created"]

    with capture_logs() as lines:
        sink.until(enough, worker)
    clashing[0].join(30)
    assert len(links) == 1
    assert "waiting" not in [line["event"] for line in lines]


def test_a_due_sale_of_a_system_that_was_just_added_is_announced_by_whoever_takes_its_partition(
    open_desk: Callable[..., Desk], sink: SinkHere
) -> None:
    """The sink that had the partition ended; the one that takes it knows the registry as it was some seconds ago."""
    worker = sink.make()
    desks: list[Desk] = []

    def enough() -> bool:
        if PARTITION not in worker._places:
            return False
        if not desks:
            desks.append(open_desk())
            desks[0].sales(desks[0].shop.sale(1, txn_end=False))
            desks[0].open.link.execute(_is_due(desks[0]).encode())
            worker._topic.stale = True  # (as a rebalance leaves it)
        return bool(desks[0].types()) or not desks[0].rows(WAITS)

    sink.until(enough, worker)
    assert desks[0].types() == ["sale_created"]


WAITS = "select 1 from fluxion.sales where tenant_id = :tenant and settle_at is not null"
