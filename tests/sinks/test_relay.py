"""The relay against real Kafka and PostgreSQL, in threads of the test's own process."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fluxion import kafka
from fluxion.clock import SystemClock
from fluxion.errors import ConfigurationError
from fluxion.progress import Progress
from fluxion.schema_registry import SchemaRegistry
from schemas.events import SaleEvent
from schemas.identity import event_id
from sinks import outbox
from sinks.cli import sale_encoder
from sinks.outbox import Relay
from tests.conftest import Cloud
from tests.sinks.conftest import SinkHere
from tests.sinks.desk import Desk
from tests.sinks.events import EventReader
from tests.sinks.locks import cut
from tests.sinks.shop import OpenShop

UNPUBLISHED = "select count(*) from pos_integration.outbox where tenant_id = :tenant and published_at is null"


@pytest.fixture
def relay(cloud: Cloud) -> Callable[[], Relay]:
    def make() -> Relay:
        producer = kafka.producer(cloud.stack.kafka, **{"message.timeout.ms": 0})
        return Relay(cloud.stack.postgres, producer, sale_encoder(SchemaRegistry(cloud.stack.registry)), SystemClock())

    return make


@contextmanager
def running(relay: Relay) -> Iterator[threading.Thread]:
    told = threading.Event()
    thread = threading.Thread(target=relay.run, args=[told.is_set])
    thread.start()
    try:
        yield thread
    finally:
        told.set()
        thread.join(30)
        assert not thread.is_alive()


def published(shop: OpenShop, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while shop.one(UNPUBLISHED):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_an_event_is_a_cloud_event_in_avro(shop: OpenShop, sink: SinkHere, relay: Callable[[], Relay]) -> None:
    mine = shop.shop
    shop.send(mine.record(sales=[mine.sale(1)]))
    sink.to_the_end(shop)
    with running(relay()):
        assert published(shop)
    (event,) = EventReader(shop).read()
    assert isinstance(event.value, SaleEvent)
    assert (event.value.tenant_id, event.value.store_id, event.key) == (mine.tenant, mine.store, mine.store)
    assert event.value.sale.sale_id == mine.id("sale", 1)
    time_of_event = event.headers.pop("ce_time")
    assert time_of_event.endswith("Z")
    assert event.headers == {
        "content-type": "application/avro",
        "ce_specversion": "1.0",
        "ce_id": event_id(mine.id("sale", 1), "sale_created", event.value.sale.version, 1),
        "ce_type": "sale_created",
        "ce_source": f"/tenants/{mine.tenant}/stores/{mine.store}",
        "ce_subject": mine.id("sale", 1),
    }


def test_events_of_a_store_keep_the_order_of_the_outbox(
    shop: OpenShop, sink: SinkHere, relay: Callable[[], Relay]
) -> None:
    mine = shop.shop
    shop.send(*[mine.record(sales=[mine.sale(number, lines=1)]) for number in range(1200)])
    sink.to_the_end(shop)
    with running(relay()):
        assert published(shop)
    order = shop.rows("select event_id::text from pos_integration.outbox where tenant_id = :tenant order by id")
    assert [event.id for event in EventReader(shop).read()] == [row[0] for row in order]


def test_a_row_that_commits_late_is_not_skipped(shop: OpenShop, sink: SinkHere, relay: Callable[[], Relay]) -> None:
    """Ids are not commit order: a smaller one may become visible after a greater one was published."""
    mine = shop.shop
    shop.send(mine.record(sales=[mine.sale(1), mine.sale(2)]))
    sink.to_the_end(shop)
    shop.link.execute(
        "update pos_integration.outbox set published_at = now() where tenant_id = %s and id ="
        " (select min(id) from pos_integration.outbox where tenant_id = %s)",
        [mine.tenant, mine.tenant],
    )
    with running(relay()):
        assert published(shop)
        shop.link.execute(
            "update pos_integration.outbox set published_at = null where tenant_id = %s and id ="
            " (select min(id) from pos_integration.outbox where tenant_id = %s)",
            [mine.tenant, mine.tenant],
        )
        assert published(shop)
    assert len(EventReader(shop).read()) == 2


def test_a_second_relay_waits_until_the_first_is_gone(
    shop: OpenShop, sink: SinkHere, relay: Callable[[], Relay]
) -> None:
    mine = shop.shop
    holders = "select count(*) from pg_locks where locktype = 'advisory' and granted and objid = 4203002"
    with running(relay()) as first:
        while not shop.one(holders):
            assert first.is_alive()
        with running(relay()):
            shop.send(mine.record(sales=[mine.sale(1)]))
            sink.to_the_end(shop)
            assert published(shop)
            assert shop.one(holders) == 1
    assert len(EventReader(shop).read()) == 1


def test_a_topic_that_the_relay_does_not_know_stops_it_and_loses_nothing(
    shop: OpenShop, sink: SinkHere, relay: Callable[[], Relay]
) -> None:
    mine = shop.shop
    shop.send(mine.record(sales=[mine.sale(1)]))
    sink.to_the_end(shop)
    rename = "update pos_integration.outbox set topic = %s where tenant_id = %s"
    shop.link.execute(rename, ["fluxion.nowhere.v1", mine.tenant])
    try:
        with pytest.raises(ConfigurationError, match=r"fluxion\.nowhere\.v1"):
            relay().run(lambda: False)
        assert shop.one(UNPUBLISHED) == 1
    finally:
        shop.link.execute(rename, ["fluxion.sale_events.v1", mine.tenant])
    with running(relay()):
        assert published(shop)


def test_an_event_that_kafka_refuses_stops_the_relay_and_is_not_noted(
    cloud: Cloud, desk: Desk, relay: Callable[[], Relay]
) -> None:
    desk.sales(desk.shop.sale(1))
    encode = sale_encoder(SchemaRegistry(cloud.stack.registry))

    def too_large(topic: str, event: SaleEvent) -> bytes:
        mine = event.tenant_id == desk.shop.tenant
        return os.urandom(kafka.MAX_MESSAGE_BYTES + 1024) if mine else encode(topic, event)

    limits = {"message.timeout.ms": 0, "message.max.bytes": 4 * kafka.MAX_MESSAGE_BYTES}
    producer = kafka.producer(cloud.stack.kafka, **limits)
    with pytest.raises(ConfigurationError, match="Kafka refuses an event"):
        Relay(cloud.stack.postgres, producer, too_large, SystemClock()).run(lambda: False)
    assert desk.open.one(UNPUBLISHED) == 1
    with running(relay()):
        assert published(desk.open)


class Hasty(SystemClock):
    """A clock on which two seconds go by between two looks."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 2.0
        return self._now


def test_a_kafka_that_does_not_acknowledge_is_waited_for_by_name_and_nothing_is_noted(cloud: Cloud, desk: Desk) -> None:
    desk.sales(desk.shop.sale(1))
    clock = Hasty()
    progress = Progress(clock)
    producer = kafka.producer("127.0.0.1:1", **{"message.timeout.ms": 0, "log_level": 0})
    encode = sale_encoder(SchemaRegistry(cloud.stack.registry))
    Relay(cloud.stack.postgres, producer, encode, clock, progress).run(lambda: progress.wait is not None)
    producer.purge()
    assert progress.wait is not None
    assert progress.wait.dependency == "Kafka"
    assert "events are not acknowledged yet" in progress.wait.reason
    assert desk.open.one(UNPUBLISHED) == 1


def test_a_relay_that_lost_its_connection_goes_on_publishing(
    desk: Desk, relay: Callable[[], Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "RETRY_S", 0.05)
    holder = "select pid from pg_locks where locktype = 'advisory' and granted and objid = 4203002"
    with running(relay()):
        desk.sales(desk.shop.sale(1))
        assert published(desk.open)
        cut(desk.open.dsn, desk.open.one(holder))
        desk.sales(desk.shop.sale(2))
        assert published(desk.open)
    assert [event.value.sale.external_id for event in EventReader(desk.open).read()] == ["1", "2"]
