"""Captures made up for tests of what stands behind a source."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fluxion.clock import Clock
from producers.journal import Journal
from producers.source import Capture, CaptureEnd, CaptureRow
from schemas.records import Column, Layout

ITEMS = Layout("items", ["id"], [Column("id", "integer"), Column("name", "text")])
STOCK = Layout("stock", ["id"], [Column("id", "integer"), Column("name", "text")])


class StillClock:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def micros(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1e6

    def sleep(self, seconds: float) -> None:
        self.now += int(seconds * 1e6)


def rows_of(values: Sequence[str], op: str = "c") -> list[CaptureRow]:
    return [CaptureRow(0, op, None, [str(index), value]) for index, value in enumerate(values)]  # type: ignore[arg-type]  # op comes as plain text


def change(position: str, values: Sequence[str] = (), layout: Layout = ITEMS) -> Capture:
    """A transaction of the stream; without values it moves the position only."""
    return Capture("stream", position, [layout], rows_of(values), [], 5)


def part(position: str, values: Sequence[str], number: int, *, last: bool = False, layout: Layout = ITEMS) -> Capture:
    """A part of a transaction; but for the last it carries the position in front of it."""
    return Capture("stream", position, [layout], rows_of(values), [], 5, part=number, last_part=last)


def chunk(position: str, values: Sequence[str], start: str = "start", end: str | None = None) -> Capture:
    """A chunk of a snapshot."""
    ends = [CaptureEnd(end)] if end else []
    return Capture("snapshot", position, [ITEMS], rows_of(values, "r"), ends, 5, start)


def streaming(path: Path, clock: Clock | None = None, **more: Any) -> Journal:
    """A journal whose first snapshot, one row, is whole: sequence 1, row 1."""
    journal = Journal(path, clock or StillClock(), create=True, **more)
    run = journal.request_run("first", ["items"], {})
    journal.append([chunk("s1", ["read"], end="items")])
    journal.finish_run(run)
    return journal
