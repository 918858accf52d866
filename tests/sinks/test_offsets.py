"""Where the sink goes on: PostgreSQL's offsets against Kafka's, and against another sink's."""

import uuid

import pytest

from fluxion.errors import FencedError, PositionLostError, TopicReplacedError
from sinks.offsets import load_offsets
from tests.sinks.desk import Desk
from tests.sinks.shop import OpenShop

OVERTAKE = "update pos_integration.stream_offsets set next = next + 1 where topic_id = %s"


def test_a_new_partition_begins_at_its_low_watermark_and_a_known_one_where_it_was_left(shop: OpenShop) -> None:
    topic, ident = f"test-{uuid.uuid4()}", str(uuid.uuid4())
    assert load_offsets(shop.link, topic, ident, {0: (4, 9)}) == {0: 4}
    assert load_offsets(shop.link, topic, ident, {0: (3, 12), 1: (0, 7)}) == {0: 4, 1: 0}


@pytest.mark.parametrize(
    ("watermarks", "error", "said"),
    [
        ((5, 12), PositionLostError, "partition 0 begins at 5, but PostgreSQL has read only up to 4"),
        ((0, 3), TopicReplacedError, "partition 0 ends at 3, but PostgreSQL has read up to 4"),
    ],
)
def test_a_place_that_kafka_does_not_hold_stops_the_sink(
    shop: OpenShop, watermarks: tuple[int, int], error: type[Exception], said: str
) -> None:
    topic, ident = f"test-{uuid.uuid4()}", str(uuid.uuid4())
    load_offsets(shop.link, topic, ident, {0: (4, 9)})
    with pytest.raises(error, match=said):
        load_offsets(shop.link, topic, ident, {0: watermarks})


def test_a_sink_that_was_overtaken_in_the_middle_of_a_batch_writes_nothing(desk: Desk) -> None:
    mine = desk.shop
    desk.write(mine.record(products=[mine.product(1)]))
    desk.open.link.execute(OVERTAKE, [desk.topic_id])
    with pytest.raises(FencedError):
        desk.write(mine.record(products=[mine.product(2)]))
    assert desk.rows("select external_id from fluxion.products where tenant_id = :tenant") == [("1",)]


def test_a_sink_that_was_overtaken_between_batches_announces_nothing(desk: Desk) -> None:
    desk.sales(desk.shop.sale(1, txn_end=False))
    desk.open.link.execute(OVERTAKE, [desk.topic_id])
    with pytest.raises(FencedError):
        desk.pass_time(100)
    assert desk.types() == []
