"""The watchdog ends a process where work waits and nothing moves, and no other."""

import subprocess
import sys
from collections.abc import Hashable

from fluxion.errors import DependencyDownError
from fluxion.progress import Progress, SaidBefore, Watchdog, unless_waiting
from tests.support import local
from tests.support.clocks import HandClock


class Behind:
    """What waits, as a test says; None: it cannot be asked."""

    def __init__(self) -> None:
        self.at: Hashable | None = ()

    def pending(self) -> Hashable:
        if self.at is None:
            raise DependencyDownError("Kafka does not answer")
        return self.at


class Bench:
    def __init__(self) -> None:
        self.clock, self.behind = HandClock(), Behind()
        self.ended: list[str] = []
        self.dog = Watchdog(self.clock, stall_s=60)
        self.progress = self.dog.watch("records", self.behind.pending, asks="Kafka", end=self.ended.append)

    def looks(self, seconds: float, at: Hashable | None) -> bool:
        self.behind.at = at
        self.clock.sleep(seconds)
        self.dog.look()
        return bool(self.ended)

    def hangs(self) -> dict[str, bool]:
        return {standing.name: standing.stalled for standing in self.dog.standings()}


def test_lag_without_progress_ends_it() -> None:
    bench = Bench()
    assert not bench.looks(5, ((2, 7),))
    assert not bench.looks(59, ((2, 7),))
    assert bench.looks(1, ((2, 7),))
    assert bench.ended == ["records: work waits and nothing moved for 60 s"]


def test_no_lag_is_no_stall() -> None:
    bench = Bench()
    assert not bench.looks(5, ((2, 7),))
    assert not bench.looks(50, ())
    assert not bench.looks(50, ((2, 7),))


def test_a_place_that_moves_or_a_confirmed_batch_is_progress() -> None:
    bench = Bench()
    for offset in range(4):
        assert not bench.looks(50, ((2, offset),))
    for _ in range(4):
        bench.progress.finished(1)
        assert not bench.looks(50, ((2, 3),))


def test_waiting_for_a_named_dependency_is_progress() -> None:
    bench = Bench()
    for _ in range(4):
        bench.progress.waiting("schema registry", "down")
        assert not bench.looks(50, ((2, 3),))
    for _ in range(4):
        assert not bench.looks(50, None)
    assert bench.dog.standings()[1].wait is not None
    assert not bench.looks(5, ((2, 3),))
    assert bench.dog.standings()[1].wait is None
    assert bench.looks(60, ((2, 3),))


def test_a_wait_that_was_announced_is_no_stall_until_its_time_is_over() -> None:
    bench = Bench()
    assert not bench.looks(5, ((2, 7),))
    bench.progress.waits("source", "tried again in five minutes", 300)
    for _ in range(6):
        assert not bench.looks(49, ((2, 7),))
    assert bench.looks(66, ((2, 7),))


def test_where_one_piece_waits_for_a_dependency_another_is_not_to_move() -> None:
    bench = Bench()
    turns = Progress(bench.clock)
    asked = unless_waiting(turns, lambda: ((2, 7),))
    assert asked() == ((2, 7),)
    turns.waits("PostgreSQL", "down")
    assert asked() == ()
    turns.finished()
    assert asked() == ((2, 7),)


def test_a_loop_that_must_always_turn_ends_its_process_when_it_stands() -> None:
    bench = Bench()
    turns = bench.dog.watch("turns", end=bench.ended.append)
    for _ in range(3):
        turns.finished()
        assert not bench.looks(50, ())
    assert bench.looks(60, ())
    assert "turns" in bench.ended[0]


def test_who_asks_hears_of_a_stall_before_the_process_is_ended() -> None:
    bench = Bench()
    assert not bench.looks(5, ((2, 7),))
    assert bench.hangs() == {"watchdog": False, "records": False}
    assert not bench.looks(31, ((2, 7),))
    assert bench.hangs() == {"watchdog": False, "records": True}
    bench.progress.finished(1)
    assert not bench.looks(5, ((2, 8),))
    assert bench.hangs() == {"watchdog": False, "records": False}
    bench.clock.sleep(61)
    assert bench.hangs()["watchdog"]


def test_what_is_waited_for_is_told_until_something_is_finished() -> None:
    bench = Bench()
    bench.progress.waiting("PostgreSQL", "connection refused")
    (_, standing) = bench.dog.standings()
    assert standing.wait is not None
    assert (standing.wait.dependency, standing.wait.reason) == ("PostgreSQL", "connection refused")
    bench.progress.finished(1)
    assert bench.dog.standings()[1].wait is None


def test_what_repeats_is_said_at_once_and_then_every_ten_seconds() -> None:
    clock = HandClock()
    said = SaidBefore(clock)
    heard: list[tuple[float, str]] = []
    for _ in range(25):
        heard += [(clock.now - 100, subject) for subject in ("Kafka", "PostgreSQL") if said.due(subject)]
        clock.sleep(1)
    assert heard == [(at, subject) for at in (0, 10, 20) for subject in ("Kafka", "PostgreSQL")]


def test_progress_counts_what_is_finished_and_what_is_waited_for() -> None:
    progress = Progress(HandClock())
    progress.finished(3)
    progress.waiting("Kafka", "down")
    assert progress.count == 4


def test_a_process_that_hangs_really_ends_with_seventy() -> None:
    code = (
        "import time; from fluxion.clock import SystemClock; from fluxion.progress import Watchdog\n"
        "dog = Watchdog(SystemClock(), stall_s=0.4); dog.watch('turns'); dog.start(); time.sleep(30)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=local.ROOT, capture_output=True, timeout=25, check=False)
    assert ended.returncode == 70
    assert b"process ends, to be started again" in ended.stderr + ended.stdout
