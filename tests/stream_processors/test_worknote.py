"""The batch in work: what a worker finds that another left behind."""

from pathlib import Path

import pytest

from fluxion.errors import ConfigurationError
from stream_processors.drafts import Raw
from stream_processors.worknote import TRIES, WorkNote

A, B, C = (Raw("pos.changes.v1", 3, offset, b"x") for offset in (10, 11, 12))


def killed(note: WorkNote) -> None:
    """What kill -9 leaves: the kernel lets go of the lock, nothing is tidied."""
    note.close()


def test_an_orderly_end_leaves_nothing(tmp_path: Path) -> None:
    first = WorkNote(tmp_path)
    first.begin(A)
    first.clear()
    first.close()
    assert not WorkNote(tmp_path).suspected(A)


def test_a_batch_that_was_in_work_is_suspected_until_it_is_done(tmp_path: Path) -> None:
    first = WorkNote(tmp_path)
    for raw in (A, B, C):
        first.begin(raw)
    first.done([A])
    killed(first)
    second = WorkNote(tmp_path)
    assert [second.suspected(raw) for raw in (A, B, C)] == [False, True, True]
    assert not second.convicted(B)
    second.begin(B)
    second.done([B])
    killed(second)
    third = WorkNote(tmp_path)
    assert [third.suspected(raw) for raw in (A, B, C)] == [False, False, True]


def test_the_one_that_ends_it_three_times_is_convicted(tmp_path: Path) -> None:
    note = WorkNote(tmp_path)
    note.begin(A)
    note.begin(B)
    killed(note)
    for _ in range(TRIES):
        note = WorkNote(tmp_path)
        assert not note.convicted(B)
        note.begin(A)
        note.done([A])
        note.begin(B)
        killed(note)
    note = WorkNote(tmp_path)
    assert (note.convicted(B), note.suspected(A)) == (True, False)
    note.begin(B)
    note.done([B])
    assert not note.suspected(B)


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "work-0").write_bytes(b"pos.changes.v1 3 10\npos.changes.v1 3\n\xff\n")
    (tmp_path / "suspects-0.json").write_text("[[")
    note = WorkNote(tmp_path)
    assert (note.suspected(A), note.suspected(B)) == (True, False)


def test_living_workers_do_not_share_a_note(tmp_path: Path) -> None:
    first, second = WorkNote(tmp_path), WorkNote(tmp_path)
    first.begin(A)
    second.begin(B)
    second.clear()
    killed(first)
    killed(second)
    assert WorkNote(tmp_path).suspected(A)


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="FLUXION_WORK_DIR"):
        WorkNote(tmp_path / "file" / "below")
