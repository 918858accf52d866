"""The safe loop while something is down or refuses: what it waits for, how long, and with what it ends its worker."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NoReturn

import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from fluxion.clock import SystemClock
from fluxion.errors import DependencyDownError
from stream_processors import loop
from stream_processors.batch import Event
from stream_processors.pipeline import Chain
from stream_processors.worknote import WorkNote
from tests.stream_processors.bench import READ, Bench, Looks, event, raw, run
from tests.stream_processors.sets import SYSTEM, system

ENOUGH_S = 30
STRANGER = "00000000-0000-4000-8000-000000000001"


class Ended(BaseException):
    """The process would be gone; `args` hold its exit status."""


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(status: int) -> NoReturn:
        raise Ended(status)

    monkeypatch.setattr(os, "_exit", end)


class Hasty(SystemClock):
    """A clock on which so many seconds go by between two looks."""

    def __init__(self, step: float) -> None:
        self._step = step
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += self._step
        return self._now


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ENOUGH_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)


def test_outputs_that_are_not_confirmed_for_a_second_are_waited_for_by_name(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clock=Hasty(0.7))

    async def work() -> None:
        await bench.loop._work(event(1))
        batch = bench.loop._batch
        closing = asyncio.create_task(bench.loop.close())
        await asyncio.to_thread(until, lambda: bench.progress.wait is not None)
        assert bench.progress.wait is not None
        assert (bench.progress.wait.dependency, bench.acked) == ("Kafka", [])
        batch.delivered(None, None)  # type: ignore[arg-type]  # it looks at the error only
        await closing

    run(work())
    assert (bench.acked, bench.progress.wait) == ([1], None)


@pytest.mark.usefixtures("ended")
def test_what_kafka_refuses_for_no_fault_of_a_record_ends_the_worker(tmp_path: Path) -> None:
    bench = Bench(tmp_path, topic="x" * 600)  # (no topic is called so)

    async def events() -> AsyncIterator[Event]:
        yield event(1)
        raise AssertionError("it went on")

    with capture_logs() as lines, pytest.raises(Ended, match="70"):
        run(bench.loop.run(events(), bench._ack))
    assert [line["event"] for line in lines] == ["worker ends, to be started again"]  # (it was not set aside either)
    assert bench.acked == []
    bench.note.close()
    assert not WorkNote(tmp_path).suspected(raw(1))


@pytest.mark.usefixtures("ended")
def test_an_output_that_is_lost_ends_the_worker_that_waits_for_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def work() -> None:
        await bench.loop._work(event(1))
        bench.loop._batch.delivered(KafkaError(KafkaError._MSG_TIMED_OUT), None)  # type: ignore[arg-type]  # as above
        await bench.loop.close_every(0.01)

    with pytest.raises(Ended, match="70"):
        run(work())
    assert bench.acked == []


@pytest.mark.usefixtures("ended")
def test_a_worker_that_is_ended_in_a_step_leaves_the_note_of_its_record(tmp_path: Path) -> None:
    def hangs(_: object) -> object:
        bench.loop.end("nothing moved for 60 s")  # (as the watchdog's thread does)

    bench = Bench(tmp_path, Chain(hangs))
    with pytest.raises(Ended, match="70"):
        run(bench.loop._work(event(1)))
    bench.note.close()
    assert WorkNote(tmp_path).suspected(raw(1))


@pytest.mark.usefixtures("ended")
def test_a_stop_that_takes_too_long_is_no_records_fault(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    run(bench.loop._work(event(1)))
    with pytest.raises(Ended, match="0"):
        bench.loop.leave()
    bench.note.close()
    assert not WorkNote(tmp_path).suspected(raw(1))


def test_the_schema_registry_is_waited_for_and_no_record_is_poison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "RETRY_S", 0.01)
    tries = 0

    def down_twice(passed: object) -> object:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise DependencyDownError("the schema registry does not answer", "check that it runs")
        return passed

    bench = Bench(tmp_path)
    _, whole = bench.loop._mappings._known[SYSTEM]
    assert isinstance(whole, Chain)
    bench.loop._mappings._known = {SYSTEM: (3, Chain(down_twice, whole))}
    made = bench.made(event(5).value or b"")
    assert (len(made.sales), made.quarantined, tries) == (1, [], 3)
    assert bench.progress.wait is not None
    assert bench.progress.wait.dependency == "schema registry"


def test_a_new_system_waits_for_a_postgresql_that_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "RETRY_S", 0.01)
    looks = Looks(None)
    bench = Bench(tmp_path, mappings=looks)
    looks._known = {}

    async def work() -> None:
        making = asyncio.create_task(bench.loop._made(raw(5), event(5)))
        await asyncio.to_thread(until, lambda: looks.count >= 3)
        assert bench.progress.wait is not None
        assert bench.progress.wait.dependency == "PostgreSQL"
        looks.then = system()
        assert len(READ(await making).sales) == 1

    run(work())


def test_a_system_that_nobody_knows_holds_up_its_neighbours_half_a_minute_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "RETRY_S", 0.01)
    looks = Looks(None)
    (entry,) = Bench(tmp_path, mappings=looks, clock=Hasty(11.0)).made(b"", STRANGER).quarantined
    assert (entry.code, looks.count) == ("UNKNOWN_SYSTEM", 3)  # after 11, 22 and 33 s


def test_a_system_that_nobody_knows_is_not_looked_up_for_each_record(tmp_path: Path) -> None:
    looks = Looks(system())
    bench = Bench(tmp_path, mappings=looks)
    for _ in range(20):
        (entry,) = bench.made(b"", STRANGER).quarantined
        assert entry.code == "UNKNOWN_SYSTEM"
    assert looks.count == 1
    bench.loop._unknown[STRANGER] -= 2.0  # (that much later)
    bench.made(b"", STRANGER)
    assert looks.count == 2


def test_any_number_of_unknown_systems_fits_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "MAX_UNKNOWN", 3)
    bench = Bench(tmp_path)
    for number in range(10):
        bench.made(b"", f"nobody {number}")
        assert len(bench.loop._unknown) <= 3
