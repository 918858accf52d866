"""The watchdog ends a worker that lags and does not move, and no other."""

from confluent_kafka import KafkaError, KafkaException

from stream_processors.progress import Progress, SaidBefore, Watchdog


class HandClock:
    """A clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def micros(self) -> int:
        return int(self.now * 1_000_000)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Behind:
    """Partitions with records behind them, as a test says; None: Kafka does not answer."""

    def __init__(self) -> None:
        self.at: dict[int, int] | None = {}

    def committed(self) -> dict[int, int]:
        if self.at is None:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return self.at


class Bench:
    def __init__(self) -> None:
        self.clock, self.behind, self.progress = HandClock(), Behind(), Progress(HandClock())
        self.ended: list[str] = []
        self.dog = Watchdog(self.behind, self.progress, self.clock, self.ended.append, stall_s=60)

    def looks(self, seconds: float, at: dict[int, int] | None) -> bool:
        self.behind.at = at
        self.clock.sleep(seconds)
        self.dog.look()
        return bool(self.ended)


def test_lag_without_progress_ends_it() -> None:
    bench = Bench()
    assert not bench.looks(5, {2: 7})
    assert not bench.looks(59, {2: 7})
    assert bench.looks(1, {2: 7})
    assert "1 partitions lag" in bench.ended[0]


def test_no_lag_is_no_stall() -> None:
    bench = Bench()
    assert not bench.looks(5, {2: 7})
    assert not bench.looks(50, {})
    assert not bench.looks(50, {2: 7})


def test_a_commit_or_a_confirmed_batch_is_progress() -> None:
    bench = Bench()
    for offset in range(4):
        assert not bench.looks(50, {2: offset})
    for _ in range(4):
        bench.progress.finished(1)
        assert not bench.looks(50, {2: 3})


def test_waiting_for_a_named_dependency_is_progress() -> None:
    bench = Bench()
    for _ in range(4):
        bench.progress.waiting("schema registry", "down")
        assert not bench.looks(50, {2: 3})
    for _ in range(4):
        assert not bench.looks(50, None)
    assert not bench.looks(5, {2: 3})
    assert bench.looks(60, {2: 3})


def test_what_repeats_is_said_at_once_and_then_every_ten_seconds() -> None:
    clock = HandClock()
    said = SaidBefore(clock)
    heard: list[tuple[float, str]] = []
    for _ in range(25):
        heard += [(clock.now - 100, subject) for subject in ("Kafka", "PostgreSQL") if said.due(subject)]
        clock.sleep(1)
    assert heard == [(at, subject) for at in (0, 10, 20) for subject in ("Kafka", "PostgreSQL")]
