import threading
import time

import msgspec
import pytest

from producers.handover import (
    GROUP_CAPTURES,
    GROUP_CHARACTERS,
    GROUP_ROWS,
    WAITING_CHARACTERS,
    WAITING_ROWS,
    Handover,
)
from tests.producers.captures import change, chunk


@pytest.fixture
def handover() -> Handover:
    return Handover(threading.Event())


def test_captures_come_out_in_their_order_in_groups_of_bounded_size(handover: Handover) -> None:
    for number in range(100):
        handover.put(change(f"p{number}", ["x"]))
    first, second = handover.take(), handover.take()
    assert len(first) == GROUP_CAPTURES
    assert [capture.position for capture in [*first, *second]] == [f"p{number}" for number in range(100)]
    assert handover.take() == []


def test_rows_wait_for_room_but_one_large_transaction_alone_does_not(handover: Handover) -> None:
    handover.put(change("large", ["x"] * (WAITING_ROWS + 1)))
    late = threading.Thread(target=handover.put, args=[change("late", ["x"])])
    late.start()
    time.sleep(0.05)
    assert late.is_alive()
    (large,) = handover.take()
    assert len(large.rows) > GROUP_ROWS
    late.join(5)
    assert [capture.position for capture in handover.take()] == ["late"]


def test_what_waits_and_what_is_stored_together_is_bounded_in_size_too(handover: Handover) -> None:
    half = "x" * (GROUP_CHARACTERS // 2)
    fit = 2 * WAITING_CHARACTERS // GROUP_CHARACTERS - 1  # (each row has a key, too)
    for number in range(fit):
        handover.put(change(f"p{number}", [half]))
    late = threading.Thread(target=handover.put, args=[change("late", [half])])
    late.start()
    time.sleep(0.05)
    assert late.is_alive()
    assert [capture.position for capture in handover.take()] == ["p0", "p1"]
    late.join(5)
    assert [capture.position for capture in handover.take()] == ["p2", "late"]
    handover.put(change("large", ["x" * (2 * WAITING_CHARACTERS)]))
    assert [capture.position for capture in handover.take()] == ["large"], "one alone waits for nothing"
    handover.put(change("after", ["x"]))
    assert [capture.position for capture in handover.take()] == ["after"]


def test_settle_waits_until_all_is_stored_not_only_taken(handover: Handover) -> None:
    handover.put(change("p1", ["x"]))
    waiter = threading.Thread(target=handover.settle)
    waiter.start()
    handover.take()
    time.sleep(0.05)
    assert waiter.is_alive()
    handover.stored(1)
    waiter.join(5)
    assert not waiter.is_alive()


def test_the_stream_stays_out_while_a_chunk_is_read_and_chunks_while_a_transaction_is_in_parts(
    handover: Handover,
) -> None:
    asked, told = threading.Event(), threading.Event()
    order: list[str] = []

    def ask() -> None:
        asked.set()
        assert told.wait(5)
        order.append("chunk")

    reader = threading.Thread(target=lambda: handover.put_asked(ask))
    reader.start()
    assert asked.wait(5)
    part = msgspec.structs.replace(change("p0", ["x"]), last_part=False)

    def put_part() -> None:
        handover.put_streamed(part)
        order.append("part")

    streamer = threading.Thread(target=put_part)
    streamer.start()
    time.sleep(0.05)
    assert order == []
    told.set()
    reader.join(5)
    streamer.join(5)
    assert order == ["chunk", "part"]
    # Between the parts of one transaction nothing else enters; and a stream that breaks off there gives the turn back.
    late = threading.Thread(target=lambda: handover.put_asked(lambda: chunk("c", ["x"])))
    late.start()
    time.sleep(0.05)
    assert [capture.position for capture in handover.take()] == ["p0"]
    streamer = threading.Thread(target=lambda: handover.put_streamed(change("p1", ["x"])))
    streamer.start()
    late.join(5)
    streamer.join(5)
    assert [capture.position for capture in handover.take()] == ["p1", "c"]


def test_nothing_waits_where_the_agent_ends() -> None:
    ending = threading.Event()
    handover = Handover(ending)
    handover.put(change("p1", ["x"]))
    ending.set()
    handover.settle()
    handover.put(change("p2", ["x"] * WAITING_ROWS))
