from hypothesis import given
from hypothesis import strategies as st

from producers.journal import Entry
from producers.packing import MAX_BYTES, MAX_ROWS, Sender, pack
from producers.source import Capture, CaptureEnd
from schemas.identity import version_of
from schemas.records import ChangeSet, End
from tests.producers.captures import ITEMS, STOCK, change, rows_of

SENDER = Sender("00000000-0000-0000-0000-000000000001", 3, "journal")


def entries_of(counts: list[int], width: int = 1) -> list[Entry]:
    entries, number = [], 1
    for index, count in enumerate(counts):
        capture = change(f"p{index + 1}", ["x" * width] * count, STOCK if index % 2 else ITEMS)
        entries.append(Entry(index + 1, list(range(number, number + count)), 1, count * width, capture))
        number += count
    return entries


def packed(entries: list[Entry]) -> list[ChangeSet]:
    return list(pack(entries, SENDER, "p0"))


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


@given(st.lists(st.sampled_from([0, 1, 2, 7, 200, 499, 500, 501, 1300]), max_size=12))
def test_packing_loses_nothing_keeps_order_and_never_cuts_what_fits(counts: list[int]) -> None:
    entries = entries_of(counts)
    records = packed(entries)
    versions = [row.version for record in records for row in record.rows]
    assert versions == [version_of(3, number) for number in range(1, sum(counts) + 1)]
    assert all(len(record.rows) <= MAX_ROWS for record in records)
    places = [(record.sequence, record.part) for record in records]
    assert places == sorted(set(places))
    for record in records:
        whole = record.part == 0 and record.last_part
        if whole and record.rows:
            ends = [sum(counts[:index]) for index in range(len(counts) + 1)]
            first, last = record.rows[0].version, record.rows[-1].version
            assert first is not None
            assert last is not None
            assert first - version_of(3, 1) in ends
            assert last - version_of(3, 0) in ends
        assert [row.txn for row in record.rows] == sorted(row.txn for row in record.rows)
