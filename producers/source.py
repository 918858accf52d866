"""The contract of a source: what every database, file or API behind a point of sale must promise. Read this page first.

A source turns changes into Captures. It knows nothing of journals, Kafka, epochs or versions. The journal stores each
Capture with its position in one transaction and numbers its rows; a crash goes on from the last stored position, so
whatever a source yielded after it is yielded again, and nothing is left out. Being asked for the next Capture does not
mean that the one before is stored (a few are committed together): only `after` tells what is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from msgspec import Struct

from schemas.records import Layout, Op, Since

# Opaque to all but the source that made it: text that names a place in its log and the identity of the database, so that
# the position of another database is recognised as lost instead of read from.
Position = str


class CaptureRow(Struct, frozen=True):
    """A row before the journal numbered it. `layout` is an index into the Capture's layouts; values as in `records.Row`."""

    layout: int
    op: Op
    source_time: int | None
    values: list[str | None]


class CaptureEnd(Struct, frozen=True):
    """The snapshot of `table` ends here; `since` where it read only newer rows."""

    table: str
    since: Since | None = None


class Capture(Struct, frozen=True):
    """One source transaction (kind stream) or one chunk of a snapshot (kind snapshot), in the order of commit.

    position: for a stream, where it goes on after this Capture; for a snapshot, what `snapshot(after=…)` takes to go on
    after this chunk; every Capture of a first snapshot also carries `stream_start`, the position at which the stream must
    start. A Capture without rows only moves a position. captured_at: microseconds since the epoch.

    A transaction too large for memory comes as several Captures: `part` counts from 0, `last_part` is true in the last;
    the others carry the position in front of the transaction, so that a crash between them reads it whole again.
    An end in a stream's Capture says that the table was emptied there (TRUNCATE, DROP).
    resnapshot: tables whose rows changed in a way that the log does not tell by rows (ALTER TABLE, another table renamed to
    this name, a rollback that left some rows); they must be read again. That is asked for, durably, before or together with
    storing this Capture's position, whether it has rows or not.
    """

    kind: Literal["snapshot", "stream"]
    position: Position
    layouts: list[Layout]
    rows: list[CaptureRow]
    ends: list[CaptureEnd]
    captured_at: int
    stream_start: Position | None = None
    part: int = 0
    last_part: bool = True
    resnapshot: list[str] = []


def table_of(capture: Capture) -> str:
    """Return the table that a snapshot's Capture reads."""
    return capture.layouts[0].table if capture.layouts else capture.ends[0].table if capture.ends else ""


@dataclass(frozen=True)
class Bound:
    """Which rows of a table a snapshot reads: those whose `column` is not below `value`, and those where it is NULL.

    value: a moment in ISO 8601; with a zone it is written as the column's type wants it (a datetime is the local time of
    that zone). header, link, key: for a table of lines the bound is its header's: `column` is one of the table `header`,
    whose columns `key` (empty: its primary key, in the order of its columns) the line names by its columns `link`.
    """

    column: str
    value: str
    header: str | None = None
    link: tuple[str, ...] = ()
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """Something that keeps a source from being captured, and what mends it; one sentence each.

    warning: it does not keep us from capturing, but will lose or delay something one day.
    """

    code: str
    message: str
    mend: str
    warning: bool = False


# Table → its bound; a table that is not in here is read whole.
Bounds = Mapping[str, Bound]


class Source(Protocol):
    """A point-of-sale database as a stream of changes.

    One thread drives it, but `resnapshot` may be driven by another beside `stream`; `close` may come from any.
    Every method raises only FluxionError: driver errors are translated where the driver is called.
    """

    def check(self) -> list[Fault]:
        """Return every fault at once. Writes nothing, takes no locks, ends within 10 s."""
        ...

    def snapshot(self, after: Position | None, tables: frozenset[str], bounds: Bounds) -> Iterator[Capture]:
        """Read the tables, consistent at one position, without locks, in chunks by key; ends each with a CaptureEnd.

        Tables of lines come behind all others, in the order in which `bounds` names them. `after` None begins; else the
        position of the last stored chunk: the run goes on behind it, on a new read view, and keeps the `stream_start` of its
        beginning, so that what changed meanwhile comes once more by the stream; PositionLostError at once where that place
        is gone. Memory is bounded by a chunk.
        """
        ...

    def resnapshot(self, after: Position | None, tables: frozenset[str], bounds: Bounds) -> Iterator[Capture]:
        """Read the tables again while the stream goes on: every chunk is a SELECT of its own on current data.

        The SELECT is made when the next Capture is asked for, and sees whatever `stream` of this source has yielded. Its
        caller journals no stream row between asking and having journaled what it got, so that no older state is stored
        behind a newer one. `after` as in `snapshot`, but there is no `stream_start`.
        """
        ...

    def estimate(self, tables: frozenset[str], bounds: Bounds) -> int:
        """Return about how many rows a snapshot will read, within 10 s."""
        ...

    def stream(self, after: Position) -> Iterator[Capture]:
        """Follow the log from `after`, in commit order, one Capture a transaction, for ever.

        Yields at least every 5 s (without rows: position only). Raises PositionLostError instead of leaving a gap.
        """
        ...

    def close(self) -> None:
        """From any thread; ends a blocked `stream` or `snapshot` within 2 s. Safe to call twice."""
        ...
