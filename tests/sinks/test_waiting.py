"""What the sink and the relay do while something that they need is down."""

import pytest
from structlog.testing import capture_logs

from fluxion.errors import DependencyDownError
from sinks.faults import Waiting
from sinks.records_topic import RecordsTopic


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
