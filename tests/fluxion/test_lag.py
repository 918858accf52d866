"""How far a reader is behind, asked of a real broker."""

import time
import uuid
from collections.abc import Hashable

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.cimpl import NewTopic

from deploy.stack import Stack
from fluxion import kafka, metrics
from fluxion.clock import SystemClock
from fluxion.errors import DependencyDownError
from fluxion.lag import Lag, committed_places, probe


@pytest.fixture
def topic(stack: Stack) -> str:
    name, admin = f"lag-{uuid.uuid4().hex[:8]}", kafka.admin(stack.kafka)
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(10)
    out = kafka.producer(stack.kafka, **{"transactional.id": name})
    out.init_transactions(10)
    out.begin_transaction()
    for number in range(3):
        out.produce(name, str(number).encode(), partition=1)
    out.commit_transaction(10)  # offsets 0, 1, 2 are records, 3 is its marker
    return name


def asked(lag: Lag) -> Hashable:
    """What waits, once the broker has found who coordinates a group that is new."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return lag.pending()
        except DependencyDownError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_reader_lags_until_it_has_read_the_last_record(stack: Stack, topic: str) -> None:
    places = {0: 0, 1: 1}
    lag = Lag(probe(stack.kafka, topic), topic, lambda: places, SystemClock())
    time.sleep(0.3)
    assert lag.pending() == ((1, 1),)
    assert metrics.LAG.labels(topic)._value.get() == 3
    assert 0.2 < metrics.OLDEST.labels(topic)._value.get() < 60
    places[1] = 3
    assert lag.pending() == (), "a marker of a transaction is no record"
    assert metrics.LAG.labels(topic)._value.get() == 0
    out = kafka.producer(stack.kafka)
    out.produce(topic, b"4", partition=1)
    assert out.flush(10) == 0
    assert lag.pending() == ((1, 3),), "behind a marker that was seen there is a record now"


def test_what_a_group_committed_is_where_it_stands(stack: Stack, topic: str) -> None:
    asking = probe(stack.kafka, topic)
    places = committed_places(asking, topic, set)
    assert asked(Lag(asking, topic, places, SystemClock())) == ((1, 0),)
    member = kafka.consumer(stack.kafka, topic)
    member.commit(offsets=[TopicPartition(topic, 1, 2)], asynchronous=False)
    assert asked(Lag(asking, topic, places, SystemClock())) == ((1, 2),)
    assert asked(Lag(asking, topic, committed_places(asking, topic, lambda: {0}), SystemClock())) == ()


def test_a_broker_that_is_away_is_a_dependency_that_is_down() -> None:
    asking = probe("127.0.0.1:1", "nobody")
    places = committed_places(asking, "any", set)
    with pytest.raises(DependencyDownError, match="how far any is read"):
        Lag(asking, "any", places, SystemClock()).pending()
