"""Snapshot runs as the journal keeps them: asked for, worked on chunk by chunk, whole. A crash goes on at the chunk."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from producers.source import Bound, Capture, Position

RunKind = Literal["first", "again"]

_COLUMNS = "id, kind, tables, bounds, position, stream_start, row_count, started_at, first_number"
# "first" before "again": while the first snapshot is not whole there is nothing to read again.
_CURRENT = f"select {_COLUMNS} from runs order by kind = 'again', started_at, id limit 1"  # noqa: S608 -- names of our own
# A clock that was put back must not put a run in front of the one whose chunks are on their way.
_LAST = "max(?, coalesce((select max(started_at) from runs), 0) + 1)"


class Run(Struct, frozen=True):
    """A snapshot that is not whole yet.

    kind: first (the stream waits for it) or again (while the stream goes on). position: behind its last stored chunk, None
    before the first. stream_start: where the stream begins behind a first run. rows: stored so far. started_at:
    microseconds since the epoch when it was asked for, or put off last. first_number: the next row's number when its first Capture was stored.
    """

    id: int
    kind: RunKind
    tables: list[str]
    bounds: dict[str, Bound]
    position: Position | None
    stream_start: Position | None
    rows: int
    started_at: int
    first_number: int | None


def current(link: sqlite3.Connection) -> Run | None:
    """Return the run to work on."""
    row = link.execute(_CURRENT).fetchone()
    if row is None:
        return None
    ident, kind, tables, bounds, *rest = row
    return Run(
        ident,
        kind,
        msgspec.json.decode(tables, type=list[str]),
        msgspec.json.decode(bounds, type=dict[str, Bound]),
        *rest,
    )


def request(
    link: sqlite3.Connection, kind: RunKind, tables: Sequence[str], bounds: Mapping[str, Bound], at: int
) -> int:
    """Write down a run and return its id. A first one supersedes all others: it reads everything that they would."""
    if kind == "first":
        link.execute("delete from runs")
        link.execute("update state set stream_position = null")
    cursor = link.execute(
        f"insert into runs (kind, tables, bounds, started_at) values (?, ?, ?, {_LAST})",  # noqa: S608 -- names of our own
        [kind, msgspec.json.encode(list(tables)).decode(), msgspec.json.encode(dict(bounds)).decode(), at],
    )
    assert cursor.lastrowid is not None  # noqa: S101 -- an insert has one
    return cursor.lastrowid


def put_off(link: sqlite3.Connection, run_id: int, at: int) -> None:
    """Put a run behind all others; it goes on where it stood. One that is no more: no change."""
    link.execute(f"update runs set started_at = {_LAST} where id = ?", [at, run_id])  # noqa: S608 -- names of our own


def begun(link: sqlite3.Connection, run: Run, capture: Capture, next_number: int) -> Run:
    """Return the run as it is once `capture` is stored behind it, and write it down.

    Where it began is kept, also when a resumed run reads from another view: what changed meanwhile comes by the stream.
    """
    after = msgspec.structs.replace(
        run,
        position=capture.position,
        stream_start=capture.stream_start if run.stream_start is None else run.stream_start,
        first_number=next_number if run.first_number is None else run.first_number,
        rows=run.rows + len(capture.rows),
    )
    link.execute(
        "update runs set position = ?, stream_start = ?, first_number = ?, row_count = ? where id = ?",
        [after.position, after.stream_start, after.first_number, after.rows, run.id],
    )
    return after


def finish(link: sqlite3.Connection, run_id: int) -> None:
    """Take away a run whose last chunk is stored; behind a first one the stream begins. One superseded: no change."""
    row = link.execute("select kind, stream_start from runs where id = ?", [run_id]).fetchone()
    if row is None:
        return
    kind, start = row
    if kind == "first":
        if start is None:
            raise ValueError("the first snapshot said nowhere where the stream starts")
        link.execute("update state set stream_position = ?", [start])
    link.execute("delete from runs where id = ?", [run_id])
