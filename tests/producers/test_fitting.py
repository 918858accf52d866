"""Rows that are too large to be sent go without their largest values; all others go as they are."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.fitting import MAX_ROW_BYTES, LeftOut, characters, fitted
from producers.source import Capture, CaptureRow
from schemas.records import Column, Layout
from tests.producers.captures import change

PHOTOS = Layout(
    "items", ["id"], [Column("id", "integer"), Column("photo", "bytes"), Column("name", "text"), Column("note", "text")]
)
BIG = "x" * (MAX_ROW_BYTES + 1)


def capture_of(*rows: Sequence[str | None]) -> Capture:
    return Capture("stream", "p1", [PHOTOS], [CaptureRow(0, "c", 7, list(values)) for values in rows], [], 5)


def named(capture: Capture) -> list[dict[str, str | None]]:
    return [
        dict(zip([column.name for column in capture.layouts[row.layout].columns], row.values, strict=True))
        for row in capture.rows
    ]


def size_of(row: CaptureRow) -> int:
    return sum(len(value.encode()) for value in row.values if value is not None)


def test_a_value_that_is_too_large_is_left_out_and_the_rest_of_its_row_is_sent() -> None:
    found, left_out = fitted(capture_of(["1", None, "a", None], ["2", BIG, "b", "ñ"], ["3", BIG, "c", None]))
    assert named(found) == [
        {"id": "1", "photo": None, "name": "a", "note": None},
        {"id": "2", "name": "b", "note": "ñ"},
        {"id": "3", "name": "c", "note": None},
    ]
    assert left_out == [LeftOut("items", "photo", MAX_ROW_BYTES + 1)] * 2
    assert len(found.layouts) == 2, "rows of one form have one layout"
    assert (found.layouts[0], found.layouts[1].key) == (PHOTOS, ["id"])
    assert (found.rows[1].op, found.rows[1].source_time, found.position, found.captured_at) == ("c", 7, "p1", 5)


def test_of_several_values_the_largest_go_first_and_no_more_than_must() -> None:
    half = "x" * (MAX_ROW_BYTES // 2)
    found, left_out = fitted(capture_of(["1", half, half + "x", "short"]))
    assert named(found) == [{"id": "1", "photo": half, "note": "short"}]
    assert left_out == [LeftOut("items", "name", MAX_ROW_BYTES // 2 + 1)]
    found, left_out = fitted(capture_of(["1", BIG, "short", BIG]))
    assert named(found) == [{"id": "1", "name": "short"}]
    assert [one.column for one in left_out] == ["photo", "note"]


def test_bytes_count_and_not_characters() -> None:
    accents = "ñ" * (MAX_ROW_BYTES // 2)  # as many bytes as a row may have
    assert fitted(capture_of(["", accents, "", None]))[1] == []
    assert fitted(capture_of(["1", accents, "", None]))[1] == [LeftOut("items", "photo", MAX_ROW_BYTES)]


def test_a_column_of_the_key_is_never_left_out() -> None:
    found, left_out = fitted(capture_of([BIG, "p", "n", None]))
    assert named(found) == [{"id": BIG}]
    assert [one.column for one in left_out] == ["photo", "name", "note"]


def test_a_capture_that_fits_is_handed_on_as_it_is_even_where_it_is_large_as_a_whole() -> None:
    capture = change("p1", ["x" * 1000] * 1500)
    assert characters(capture) > MAX_ROW_BYTES
    found, left_out = fitted(capture)
    assert found is capture
    assert left_out == []
    assert characters(change("p1")) == 0


@given(
    st.lists(
        st.lists(
            st.sampled_from([0, 1, MAX_ROW_BYTES // 3, MAX_ROW_BYTES // 2, MAX_ROW_BYTES]), min_size=3, max_size=3
        ),
        max_size=3,
    ),
    st.sampled_from(["x", "ñ", "€"]),
)
def test_whatever_the_sizes_every_row_fits_and_no_row_or_small_value_is_lost(
    sizes: list[list[int]], letter: str
) -> None:
    before = capture_of(*([str(number), *(letter * size for size in row)] for number, row in enumerate(sizes)))
    after, left_out = fitted(before)
    assert all(size_of(row) <= MAX_ROW_BYTES for row in after.rows)
    assert [row["id"] for row in named(after)] == [row["id"] for row in named(before)]
    for old, new in zip(named(before), named(after), strict=True):
        assert new == {name: old[name] for name in new}
        assert all(
            value in ("", letter) or name in {one.column for one in left_out}
            for name, value in old.items()
            if name not in new
        )
    assert msgspec.structs.replace(after, rows=[], layouts=[]) == msgspec.structs.replace(before, rows=[], layouts=[])


@pytest.mark.parametrize("op", ["u", "d", "r"])
def test_every_kind_of_row_is_fitted(op: str) -> None:
    row = CaptureRow(0, op, None, ["1", BIG, "a", None])  # type: ignore[arg-type]  # op comes as plain text
    found, _ = fitted(Capture("snapshot", "s1", [PHOTOS], [row], [], 5))
    assert [(row.op, len(row.values)) for row in found.rows] == [(op, 3)]
