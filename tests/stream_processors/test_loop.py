"""The safe loop without Faust: what is acknowledged, and when. Its producer is the real one; nobody answers it."""

import asyncio
from pathlib import Path

import pytest

from fluxion.registry import Store
from stream_processors.batch import OutputLostError
from stream_processors.pipeline import Chain
from stream_processors.worknote import WorkNote
from tests.stream_processors.bench import GOOD, Bench, Looks, event, raw, run
from tests.stream_processors.sets import ENCODE, SALE, STORES, SYSTEM, TRANSACTIONS, cells, change_set, system


def test_what_the_broker_did_not_confirm_is_not_acknowledged(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def work() -> None:
        await bench.loop._work(event(1))
        closing = asyncio.create_task(bench.loop.close())
        await asyncio.sleep(0.05)
        await bench.loop._work(event(2))  # (a closing batch takes no more)
        with pytest.raises(OutputLostError):
            await closing
        assert [one.message.offset for one in bench.loop._batch.events] == [2]

    run(work())
    assert bench.acked == []
    assert bench.progress.count == 0
    bench.note.close()
    assert [WorkNote(tmp_path / "x").suspected(raw(1)), WorkNote(tmp_path).suspected(raw(1))] == [False, True]


def test_confirmed_events_are_acknowledged_in_their_order(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def work() -> None:
        for offset in (1, 2, 3):
            await bench.loop._work(event(offset))
        batch = bench.loop._batch
        for _ in range(batch.produced):
            batch.delivered(None, None)  # type: ignore[arg-type]  # it looks at the error only
        await bench.loop.close()

    run(work())
    assert bench.acked == [1, 2, 3]
    assert bench.progress.count == 3
    assert (tmp_path / "work-0").read_bytes() == b""


def test_a_step_that_fails_makes_poison(tmp_path: Path) -> None:
    def broken(_: object) -> object:
        raise ZeroDivisionError("a\0b")

    made = Bench(tmp_path, Chain(broken)).made(b"\x01\x02")
    (entry,) = made.quarantined
    assert (made.system_id, made.mapping_revision, made.captured_at) == (SYSTEM, 3, 1_795_000_000_500_000)
    assert (entry.code, entry.error_class, entry.offset, entry.raw) == (
        "STEP_FAILED",
        "DATA_VALIDATION_ERROR",
        5,
        "AQI=",
    )
    assert "ZeroDivisionError: a\\0b" in entry.message


def test_a_record_that_ended_the_worker_three_times_is_set_aside_unread(tmp_path: Path) -> None:
    (tmp_path / "suspects-0.json").write_text('[["pos.changes.v1", 4, 5, 3]]')

    def never(_: object) -> object:
        raise AssertionError("read all the same")

    (entry,) = Bench(tmp_path, Chain(never)).made(GOOD).quarantined
    assert entry.code == "ENDS_WORKER"


def test_what_is_no_fault_of_the_record_is_not_poison(tmp_path: Path) -> None:
    def full(_: object) -> object:
        raise MemoryError

    with pytest.raises(MemoryError):
        Bench(tmp_path, Chain(full)).made(GOOD)


STORE_9 = Store("0a54f7c2-6f0e-4b7e-8d61-1f1f6b7a2c09", "9", "Catia", "America/Caracas", "00:00:00")
IN_STORE_9 = ENCODE(change_set((TRANSACTIONS, "c", 0, cells(TRANSACTIONS, SALE, location_id="9"))))


def test_an_unknown_store_is_looked_up_once_before_its_sale_is_set_aside(tmp_path: Path) -> None:
    looks = Looks(system(stores=(*STORES, STORE_9), revision=4))
    made = Bench(tmp_path, mappings=looks).made(IN_STORE_9)
    assert (made.mapping_revision, made.quarantined, looks.count) == (4, [], 1)
    assert [sale.store_id for sale in made.sales] == [STORE_9.id]


def test_a_store_that_nobody_adds_is_not_looked_up_for_each_sale(tmp_path: Path) -> None:
    looks = Looks(system())
    bench = Bench(tmp_path, mappings=looks)
    for _ in range(20):
        (entry,) = bench.made(IN_STORE_9).quarantined
        assert entry.code == "UNKNOWN_STORE"
    bench.loop._looked -= 1  # (a second later)
    bench.made(IN_STORE_9)
    assert looks.count == 2


def test_an_unknown_store_does_not_wait_for_a_registry_that_is_down(tmp_path: Path) -> None:
    looks = Looks(None)
    bench = Bench(tmp_path, mappings=looks)
    for _ in range(3):
        (entry,) = bench.made(IN_STORE_9).quarantined
        assert entry.code == "UNKNOWN_STORE"
        bench.loop._looked -= 1
    assert (looks.count, looks.down) == (1, True)
