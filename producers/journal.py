"""The journal: one SQLite file a system, where what the source told is safe before anything else happens to it.

A change set and the position behind it are stored in one transaction (WAL, synchronous=FULL). Captures get sequences
1, 2, … and rows numbers 1, 2, …; neither is ever given twice. Each thread opens a Journal of its own on the same file.
"""

import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from fluxion.clock import Clock
from fluxion.errors import ConfigurationError, DependencyDownError
from fluxion.log import get_logger
from producers.source import Capture, CaptureRow, Position

MAX_ROW_BYTES = 1024 * 1024
KEPT_MICROS = 7 * 24 * 3600 * 1_000_000
FORMAT = 1

_BUSY_TIMEOUT_S = 30.0
# How many old entries one append sweeps out, so that none of them waits long for it.
_SWEEP = 200

_TABLES = """
create table if not exists state (
  id integer primary key check (id = 1),
  format integer not null,
  journal_id text not null,
  next_number integer not null default 1,       -- of the next row
  last_sequence integer not null default 0,
  stream_position text,                         -- null until the first snapshot is whole
  snapshot_position text,
  stream_start text,                            -- where the stream begins behind the snapshot's run
  snapshot_first integer not null default 1     -- the next row's number when that run began
);
create table if not exists shipped (            -- apart from state: the shipper writes it from its own thread
  id integer primary key check (id = 1),
  acknowledged integer not null
);
create table if not exists entries (
  sequence integer primary key,
  first_number integer not null,
  snapshot_first integer not null,
  row_count integer not null,
  byte_count integer not null,
  stored_at integer not null,                   -- microseconds since the epoch
  body blob not null                            -- the Capture as MessagePack
);
create table if not exists quarantined (        -- rows too large to be sent; nothing is thrown away
  number integer primary key,
  sequence integer not null,
  source_table text not null,
  reason text not null,
  stored_at integer not null,
  body blob not null
);
"""
_NEW = "insert into state (id, format, journal_id) values (1, ?, ?) on conflict do nothing"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Capture).decode


class Entry(Struct, frozen=True):
    """A stored Capture. Its rows are numbered from `first_number`; `snapshot_first` is what its ends begin at.

    size: bytes of its body, near enough to what Avro makes of it.
    """

    sequence: int
    first_number: int
    snapshot_first: int
    size: int
    capture: Capture


class State(Struct, frozen=True):
    """Where the journal stands; `stream_position` is None until the first snapshot is whole."""

    journal_id: str
    next_number: int
    last_sequence: int
    stream_position: Position | None
    snapshot_position: Position | None
    acknowledged: int
    unshipped: int
    quarantined: int


class Journal:
    """Open or create the journal at `path`. Raises ConfigurationError where the file is something else."""

    def __init__(self, path: Path, clock: Clock, *, create: bool = True) -> None:
        if not create and not path.exists():
            raise ConfigurationError(f"there is no journal at {path}", "run `fluxion agent enrol` first")
        self._path = path
        self._clock = clock
        with self._translated():
            self._link = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
            self._link.execute("pragma journal_mode = wal")
            self._link.execute("pragma synchronous = full")
            self._link.executescript(_TABLES)
            self._link.execute(_NEW, [FORMAT, str(uuid.uuid4())])
            self._link.execute("insert into shipped values (1, 0) on conflict do nothing")
            self.journal_id, written = self._one("select journal_id, format from state")
        if written != FORMAT:
            message = f"the journal {path} has format {written}, this agent writes {FORMAT}"
            raise ConfigurationError(message, "use the agent that wrote it")

    def close(self) -> None:
        """Close the file; the journal is not used afterwards."""
        self._link.close()

    # The source's side -----------------------------------------------------------------------------------------------

    def append(self, captures: Sequence[Capture]) -> None:
        """Store Captures in their order, with the position behind the last, in one transaction.

        A Capture without rows and ends moves the position only. A stream's is refused while the snapshot is not whole.
        """
        if not captures:
            return
        with self._transaction():
            number, sequence, first, start, streaming = self._one(
                "select next_number, last_sequence, snapshot_first, stream_start, stream_position is not null from state"
            )
            for capture in captures:
                if capture.kind == "stream" and not streaming:
                    raise ValueError("a stream's Capture came before the snapshot was whole")
                if capture.kind == "snapshot" and capture.stream_start != start:
                    start, first = capture.stream_start, number  # another run of the snapshot begins
                if capture.rows or capture.ends:
                    sequence += 1
                    self._store(capture, sequence, number, first)
                    number += len(capture.rows)
            last = captures[-1]
            column = "stream_position" if last.kind == "stream" else "snapshot_position"
            self._link.execute(
                f"update state set next_number = ?, last_sequence = ?, snapshot_first = ?, stream_start = ?, {column} = ?",  # noqa: S608 -- one of two names
                [number, sequence, first, start, last.position],
            )
            self._sweep()

    def finish_snapshot(self) -> None:
        """Note that the snapshot's last chunk is stored: the stream begins where that run says. Again: no change."""
        with self._transaction():
            (start,) = self._one("select stream_start from state")
            if start is None:
                raise ValueError("there was no snapshot")
            self._link.execute("update state set stream_position = coalesce(stream_position, stream_start)")

    def _store(self, capture: Capture, sequence: int, number: int, first: int) -> None:
        rows = capture.rows
        if any(_is_too_large(row) for row in rows):
            capture = self._set_aside(capture, sequence, number)
        body = _encode(capture)
        self._link.execute(
            "insert into entries values (?, ?, ?, ?, ?, ?, ?)",
            [sequence, number, first, len(rows), len(body), self._clock.micros(), body],
        )

    def _set_aside(self, capture: Capture, sequence: int, number: int) -> Capture:
        """Move rows over 1 MiB into quarantine. Their numbers stay theirs: a row of the entry takes its place empty."""
        kept = []
        for index, row in enumerate(capture.rows):
            if not _is_too_large(row):
                kept.append(row)
                continue
            table = capture.layouts[row.layout].table
            reason = f"the row is larger than {MAX_ROW_BYTES} bytes"
            body = _encode([capture.layouts[row.layout], row])
            values = [number + index, sequence, table, reason, self._clock.micros(), body]
            self._link.execute("insert into quarantined values (?, ?, ?, ?, ?, ?)", values)
            get_logger().error("row set aside", table=table, row_number=number + index, reason=reason)
        # The numbers of the rows behind it move up; a number may stay unused, never be used twice.
        return msgspec.structs.replace(capture, rows=kept)

    def _sweep(self) -> None:
        """Delete acknowledged entries older than 7 days, a few at a time."""
        self._link.execute(
            "delete from entries where sequence in (select sequence from entries where stored_at < ?"
            " and sequence <= (select acknowledged from shipped) order by sequence limit ?)",
            [self._clock.micros() - KEPT_MICROS, _SWEEP],
        )

    # The shipper's side ----------------------------------------------------------------------------------------------

    def unshipped(self, limit_rows: int = 500, limit_bytes: int = 512 * 1024) -> list[Entry]:
        """Return what follows the last acknowledged entry, in order: at least one if there is any, else within limits."""
        found: list[Entry] = []
        rows = size = 0
        with self._translated():
            for sequence, first_number, first, row_count, byte_count, body in self._link.execute(
                "select sequence, first_number, snapshot_first, row_count, byte_count, body from entries"
                " where sequence > (select acknowledged from shipped) order by sequence"
            ):
                rows, size = rows + row_count, size + byte_count
                if found and (rows > limit_rows or size > limit_bytes):
                    break
                found.append(Entry(sequence, first_number, first, byte_count, _decode(body)))
        return found

    def acknowledge(self, sequence: int) -> None:
        """Note that everything up to `sequence` is in Kafka. Never goes back."""
        with self._translated():
            self._link.execute("update shipped set acknowledged = ? where acknowledged < ?", [sequence, sequence])

    def acknowledged_position(self) -> Position:
        """Return the position of the last acknowledged entry; empty before the first, or after it was swept out."""
        with self._translated():
            row = self._link.execute(
                "select body from entries where sequence = (select acknowledged from shipped)"
            ).fetchone()
        return _decode(row[0]).position if row else ""

    # Both ------------------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return where the journal stands."""
        with self._translated():
            return State(
                *self._one(
                    "select journal_id, next_number, last_sequence, stream_position, snapshot_position, acknowledged,"
                    " (select count(*) from entries where sequence > acknowledged),"
                    " (select count(*) from quarantined) from state, shipped"
                )
            )

    def _one(self, query: str) -> Any:
        return self._link.execute(query).fetchone()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated():
            self._link.execute("begin immediate")
            try:
                yield
                self._link.execute("commit")
            except BaseException:
                if self._link.in_transaction:
                    self._link.execute("rollback")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as fault:  # disk full, locked, unreadable
            message = f"the journal {self._path} cannot be written or read ({fault})"
            raise DependencyDownError(message, "make room on the disk and give the agent its folder") from fault
        except sqlite3.DatabaseError as fault:
            message = f"{self._path} is no journal, or is damaged ({fault})"
            raise ConfigurationError(message, "keep the file aside and enrol anew") from fault


def _is_too_large(row: CaptureRow) -> bool:
    # Characters first: counting bytes of every value would cost more than storing it.
    if sum(len(value) for value in row.values if value is not None) * 4 <= MAX_ROW_BYTES:
        return False
    return sum(len(value.encode()) for value in row.values if value is not None) > MAX_ROW_BYTES
