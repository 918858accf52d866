"""A registered shop, and a sink that works until a test has seen enough."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fluxion.clock import SystemClock
from fluxion.schema_registry import SchemaRegistry
from schemas.codec import Decoder
from schemas.records import CanonicalSet
from sinks.consumer import Sink
from sinks.records_topic import RecordsTopic
from tests.conftest import Cloud
from tests.sinks.desk import Desk
from tests.sinks.shop import OpenShop

ENOUGH_S = 60


@pytest.fixture
def open_shop(cloud: Cloud) -> Iterator[Callable[..., OpenShop]]:
    """Register a shop with these sync settings."""
    with ExitStack() as shops:

        def make(**settings: Any) -> OpenShop:
            shop = OpenShop(cloud.stack.postgres, cloud.stack.kafka, cloud.stack.registry, **settings)
            shops.callback(shop.close)
            return shop

        yield make


@pytest.fixture
def shop(open_shop: Callable[..., OpenShop]) -> OpenShop:
    return open_shop()


@pytest.fixture
def open_desk(open_shop: Callable[..., OpenShop]) -> Iterator[Callable[..., Desk]]:
    """Register a shop with these sync settings, and write for it without Kafka."""
    with ExitStack() as desks:

        def make(**settings: Any) -> Desk:
            desk = Desk(open_shop(**settings))
            desks.callback(desk.close)
            return desk

        yield make


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()


class SinkHere:
    """Runs a sink in the test's own thread until a condition holds."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def make(self) -> Sink:
        registry = SchemaRegistry(self._cloud.stack.registry)
        decode = Decoder("canonical_set", CanonicalSet, registry.schema_text)
        return Sink(self._cloud.stack.postgres, RecordsTopic(self._cloud.stack.kafka), decode, SystemClock())

    def until(self, enough: Callable[[], bool], sink: Sink | None = None) -> None:
        deadline = time.monotonic() + ENOUGH_S

        def stop() -> bool:
            assert time.monotonic() < deadline, "the sink did not get there"
            return enough()

        (sink or self.make()).run(stop)

    def to_the_end(self, shop: OpenShop) -> None:
        """Run until everything that this shop sent so far is in PostgreSQL: a last record of its own says so."""
        shop.send(shop.shop.record(stock=[shop.shop.stock("end", str(shop.shop.rows))]))
        last = shop.shop.rows
        self.until(
            lambda: bool(
                shop.rows(
                    f"select 1 from fluxion.stock_levels where tenant_id = :tenant and version >= {(1 << 47) + last}"
                )
            )
        )


@pytest.fixture
def sink(cloud: Cloud) -> SinkHere:
    return SinkHere(cloud)
