import itertools

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.journal import Entry, Place
from producers.packing import MAX_BYTES, MAX_ROWS, Sender, pack, place_after
from producers.source import Capture, CaptureEnd
from schemas.identity import version_of
from schemas.records import ChangeSet, End
from tests.producers.captures import ITEMS, STOCK, change, part, rows_of

SENDER = Sender("00000000-0000-0000-0000-000000000001", 3, "journal")


def entries_of(counts: list[int], width: int = 1) -> list[Entry]:
    entries, number = [], 1
    for index, count in enumerate(counts):
        capture = change(f"p{index + 1}", ["x" * width] * count, STOCK if index % 2 else ITEMS)
        entries.append(Entry(index + 1, list(range(number, number + count)), 1, count * width, capture))
        number += count
    return entries


def packed(entries: list[Entry]) -> list[ChangeSet]:
    return list(pack(entries, SENDER, Place(0, "p0")))


def test_one_waiting_transaction_is_one_record() -> None:
    (record,) = packed(entries_of([3]))
    assert (record.sequence, record.position, record.part, record.last_part) == (1, "p1", 0, True)
    assert [row.version for row in record.rows] == [version_of(3, number) for number in (1, 2, 3)]
    assert (record.system_id, record.epoch, record.journal_id, record.producer) == (
        SENDER.system_id,
        3,
        "journal",
        "agent",
    )


def test_a_backlog_is_packed_and_layouts_are_kept_once() -> None:
    (record,) = packed(entries_of([2, 1, 2]))
    assert record.layouts == [ITEMS, STOCK]
    assert [(row.txn, row.layout) for row in record.rows] == [(0, 0), (0, 0), (1, 1), (2, 0), (2, 0)]
    assert (record.sequence, record.position) == (3, "p3")


def test_a_transaction_that_is_too_large_is_split_and_moves_the_position_with_its_last_part() -> None:
    records = packed(entries_of([1, 2 * MAX_ROWS + 1, 1]))
    shapes = [(record.sequence, record.part, record.last_part, record.position, len(record.rows)) for record in records]
    assert shapes == [
        (1, 0, True, "p1", 1),
        (2, 0, False, "p1", MAX_ROWS),
        (2, 1, False, "p1", MAX_ROWS),
        (2, 2, True, "p2", 1),
        (3, 0, True, "p3", 1),
    ]


def test_the_bytes_of_a_record_are_bounded() -> None:
    records = packed(entries_of([6], width=MAX_BYTES // 4))
    assert [len(record.rows) for record in records] == [3, 3]


def test_a_record_is_as_old_as_its_oldest_transaction() -> None:
    first, second = entries_of([1, 1])
    late = Entry(2, second.numbers, 1, 1, Capture("stream", "p2", [ITEMS], rows_of(["x"]), [], 99))
    assert packed([first, late])[0].captured_at == first.capture.captured_at


def test_an_end_says_where_its_snapshot_began() -> None:
    capture = Capture("snapshot", "s", [], [], [CaptureEnd("items")], 5, "start")
    (record,) = packed([Entry(7, [], 4, 10, capture)])
    assert record.ends == [End("items", version_of(3, 4))]
    assert record.rows == []


def parts_of(*shapes: tuple[str, int, int, bool]) -> list[Entry]:
    """(position, part, rows, last) of each entry."""
    entries, number = [], 1
    for sequence, (position, index, count, last) in enumerate(shapes, 1):
        capture = part(position, ["x"] * count, index, last=last)
        entries.append(Entry(sequence, list(range(number, number + count)), 1, count, capture))
        number += count
    return entries


def shapes_of(records: list[ChangeSet]) -> list[tuple[int, int, bool, str, int]]:
    return [(record.sequence, record.part, record.last_part, record.position, len(record.rows)) for record in records]


def test_a_transaction_that_came_in_parts_is_numbered_over_all_of_them_and_mixed_with_nothing() -> None:
    entries = parts_of(
        ("p1", 0, 1, True), ("p1", 0, 700, False), ("p1", 1, 2, False), ("p2", 2, 501, True), ("p3", 0, 1, True)
    )
    assert shapes_of(packed(entries)) == [
        (1, 0, True, "p1", 1),
        (2, 0, False, "p1", 500),
        (2, 1, False, "p1", 200),
        (3, 2, False, "p1", 2),
        (4, 3, False, "p1", 500),
        (4, 4, True, "p2", 1),
        (5, 0, True, "p3", 1),
    ]


def test_parts_go_on_in_the_next_batch_where_the_last_one_ended() -> None:
    entries = parts_of(("p1", 0, 700, False), ("p1", 1, 2, False), ("p2", 2, 501, True))
    first = packed(entries[:1])
    assert place_after(first[-1]) == Place(1, "p1", 2)
    rest = list(pack(entries[1:], SENDER, place_after(first[-1])))
    assert shapes_of(first + rest) == shapes_of(packed(entries))
    assert place_after(rest[-1]) == Place(3, "p2", 0)


def test_parts_that_a_crash_cut_off_are_sent_as_they_are_and_the_transaction_again_from_nought() -> None:
    entries = parts_of(("p1", 0, 3, False), ("p1", 1, 3, False), ("p1", 0, 3, False), ("p2", 1, 1, True))
    assert shapes_of(packed(entries)) == [
        (1, 0, False, "p1", 3),
        (2, 1, False, "p1", 3),
        (3, 0, False, "p1", 3),
        (4, 1, True, "p2", 1),
    ]


COUNTS = st.sampled_from([0, 1, 2, 7, 200, 499, 500, 501, 1300])


@st.composite
def backlogs(draw: st.DrawFn) -> list[Entry]:
    """Transactions, some in parts, some of these cut off; row numbers with gaps, ends here and there."""
    entries: list[Entry] = []
    number, front = 1, "p0"
    for transaction in range(draw(st.integers(0, 6))):
        behind = f"p{transaction + 1}"
        pieces, cut = draw(st.lists(COUNTS, min_size=1, max_size=3)), draw(st.booleans())
        for index, count in enumerate(pieces):
            last = index == len(pieces) - 1 and not cut
            layout = draw(st.sampled_from([ITEMS, STOCK]))
            capture = part(behind if last else front, ["x"] * count, index, last=last, layout=layout)
            ends = [CaptureEnd("items")] if draw(st.booleans()) else []
            capture = msgspec.structs.replace(capture, ends=ends)
            number += draw(st.sampled_from([0, 3]))
            entries.append(Entry(len(entries) + 1, list(range(number, number + count)), number, count, capture))
            number += count
        front = front if cut else behind
    return entries


@settings(deadline=None)
@given(backlogs(), st.integers(1, 4))
def test_packing_loses_nothing_keeps_order_and_never_mixes_parts(entries: list[Entry], batch: int) -> None:
    records: list[ChangeSet] = []
    place = Place(0, "p0")
    for first in range(0, len(entries), batch):
        records += pack(entries[first : first + batch], SENDER, place)
        place = place_after(records[-1])
        assert (place.sequence, place.position) == (
            entries[first : first + batch][-1].sequence,
            entries[first : first + batch][-1].capture.position,
        )
    # (1) every row once, in order, with its own version and layout
    wanted = [(version_of(3, n), entry.capture.layouts[0]) for entry in entries for n in entry.numbers]
    assert [(row.version, record.layouts[row.layout]) for record in records for row in record.rows] == wanted
    # (2) every end once, at its own number
    ends = [version_of(3, entry.ends_from) for entry in entries for _ in entry.capture.ends]
    assert [end.first_version for record in records for end in record.ends] == ends
    # (3) limits, whole transactions, parts by themselves
    assert all(len(record.rows) <= MAX_ROWS for record in records)
    check_places(entries, records)


def check_places(entries: list[Entry], records: list[ChangeSet]) -> None:
    reached, front, part_before, sequence_before = 0, "p0", -1, 0
    for record, following in itertools.zip_longest(records, records[1:]):
        inside = [entry for entry in entries if reached < entry.sequence <= record.sequence]
        capture, ends_entry = inside[-1].capture, following is None or following.sequence > record.sequence
        if capture.part or not capture.last_part or len(capture.rows) > MAX_ROWS:
            assert len(inside) == 1, "mixed with nothing"
            begins = capture.part == 0 and record.sequence != sequence_before
            assert record.part == (0 if begins else part_before + 1)
            assert record.last_part == (ends_entry and capture.last_part)
            assert record.position == (capture.position if ends_entry else front)
            assert {row.txn for row in record.rows} <= {0}
        else:
            assert (record.part, record.last_part, record.position) == (0, True, capture.position)
            assert [row.txn for row in record.rows] == [at for at, entry in enumerate(inside) for _ in entry.numbers]
        part_before, sequence_before = record.part, record.sequence
        if ends_entry:
            reached, front = record.sequence, record.position
