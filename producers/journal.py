"""The journal: one SQLite file a system, where what the source told is safe before anything else happens to it.

A change set and the position behind it are stored in one transaction (WAL, synchronous=FULL). Captures get sequences
1, 2, … and rows numbers 1, 2, …; neither is ever given twice. Each thread opens a Journal of its own on the same file.
"""

import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from fluxion.clock import Clock
from fluxion.errors import ConfigurationError, DependencyDownError
from fluxion.log import get_logger
from producers.source import Capture, CaptureRow, Position
from schemas.records import Layout

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
  skipped text not null,                        -- JSON: which of its rows were set aside; their numbers stay unused
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
_UPDATE = """
update state set next_number = ?, last_sequence = ?, stream_position = ?, snapshot_position = ?, stream_start = ?,
                 snapshot_first = ?
"""
_UNSHIPPED = """
select sequence, first_number, snapshot_first, skipped, row_count, byte_count, body from entries
where sequence > (select acknowledged from shipped) order by sequence
"""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Capture).decode


class Entry(Struct, frozen=True):
    """A stored Capture. `numbers` are its rows' own; `snapshot_first` is the number that its ends begin at.

    size: bytes of its body, near enough to what Avro makes of it.
    """

    sequence: int
    numbers: list[int]
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


class _Counters(Struct, frozen=True):
    """The row of `state`, in the order of _UPDATE."""

    next_number: int
    last_sequence: int
    stream_position: Position | None
    snapshot_position: Position | None
    stream_start: Position | None
    snapshot_first: int


class Journal:
    """Open the journal at `path`. Raises ConfigurationError where it is missing (unless `create`) or something else."""

    def __init__(self, path: Path, clock: Clock, *, create: bool = False) -> None:
        if not create and not path.exists():
            raise ConfigurationError(f"there is no journal at {path}", "run `fluxion agent enrol` first")
        self._path = path
        self._clock = clock
        with self._translated():
            self._link = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
            self._link.execute("pragma journal_mode = wal")
            self._link.execute("pragma synchronous = full")
            if create:
                self._link.executescript(_TABLES)
                self._link.execute(_NEW, [FORMAT, str(uuid.uuid4())])
                self._link.execute("insert into shipped values (1, 0) on conflict do nothing")
            self.journal_id, written = self._one("select journal_id, format from state")
        if written != FORMAT:
            message = f"the journal {path} has format {written}, this agent writes {FORMAT}"
            raise ConfigurationError(message, "use the agent that wrote it")

    @classmethod
    def for_shipping(cls, path: Path, clock: Clock) -> "Journal":
        """Open it to read and acknowledge only: an acknowledgement that a power cut takes back is a batch sent twice.

        So it waits for no disk, and the source's commits never wait for it.
        """
        journal = cls(path, clock)
        journal._link.execute("pragma synchronous = normal")
        return journal

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
            before = self._counters()
            after = before
            for capture in captures:
                if capture.kind == "stream" and before.stream_position is None:
                    raise ValueError("a stream's Capture came before the snapshot was whole")
                if capture.rows or capture.ends:
                    after = self._store(capture, _entered(capture, after))
                after = _moved(capture, after)
            if after != before:
                self._link.execute(_UPDATE, msgspec.structs.astuple(after))
                self._sweep()

    def finish_snapshot(self) -> None:
        """Note that the snapshot's last chunk is stored: the stream begins where that run says. Again: no change."""
        with self._transaction():
            (start,) = self._one("select stream_start from state")
            if start is None:
                raise ValueError("there was no snapshot")
            self._link.execute("update state set stream_position = coalesce(stream_position, stream_start)")

    def _counters(self) -> "_Counters":
        return _Counters(*self._one(f"select {', '.join(_Counters.__struct_fields__)} from state"))  # noqa: S608

    def _store(self, capture: Capture, now: "_Counters") -> "_Counters":
        sequence, number = now.last_sequence + 1, now.next_number
        too_large = [index for index, row in enumerate(capture.rows) if _is_too_large(row)]
        for index in too_large:
            self._set_aside(capture.layouts, capture.rows[index], sequence, number + index)
        kept = [row for index, row in enumerate(capture.rows) if index not in too_large] if too_large else capture.rows
        body = _encode(msgspec.structs.replace(capture, rows=kept))
        skipped = msgspec.json.encode(too_large).decode()
        self._link.execute(
            "insert into entries values (?, ?, ?, ?, ?, ?, ?, ?)",
            [sequence, number, now.snapshot_first, skipped, len(kept), len(body), self._clock.micros(), body],
        )
        return msgspec.structs.replace(now, last_sequence=sequence, next_number=number + len(capture.rows))

    def _set_aside(self, layouts: list[Layout], row: CaptureRow, sequence: int, number: int) -> None:
        """Keep a row over 1 MiB here instead of sending it; it keeps its number."""
        layout = layouts[row.layout]
        reason = f"the row is larger than {MAX_ROW_BYTES} bytes"
        self._link.execute(
            "insert into quarantined values (?, ?, ?, ?, ?, ?)",
            [number, sequence, layout.table, reason, self._clock.micros(), _encode([layout, row])],
        )
        get_logger().error("a row was set aside in the journal", table=layout.table, row_number=number, reason=reason)

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
        with self._translated(), closing(self._link.execute(_UNSHIPPED)) as cursor:
            for sequence, first_number, snapshot_first, skipped, row_count, byte_count, body in cursor:
                rows, size = rows + row_count, size + byte_count
                if found and (rows > limit_rows or size > limit_bytes):
                    break
                numbers = _numbers(first_number, row_count, msgspec.json.decode(skipped))
                found.append(Entry(sequence, numbers, snapshot_first, byte_count, _decode(body)))
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


def _entered(capture: Capture, now: _Counters) -> _Counters:
    """A run of a snapshot is known by the stream's start that its Captures carry; another start is another run."""
    if capture.kind == "stream" or capture.stream_start == now.stream_start:
        return now
    return msgspec.structs.replace(now, stream_start=capture.stream_start, snapshot_first=now.next_number)


def _moved(capture: Capture, now: _Counters) -> _Counters:
    if capture.kind == "stream":
        return msgspec.structs.replace(now, stream_position=capture.position)
    return msgspec.structs.replace(now, snapshot_position=capture.position)


def _numbers(first: int, count: int, skipped: list[int]) -> list[int]:
    if not skipped:
        return list(range(first, first + count))
    unused = set(skipped)
    return [first + index for index in range(count + len(skipped)) if index not in unused]


def _is_too_large(row: CaptureRow) -> bool:
    # Characters first: counting bytes of every value would cost more than storing it.
    if sum(len(value) for value in row.values if value is not None) * 4 <= MAX_ROW_BYTES:
        return False
    return sum(len(value.encode()) for value in row.values if value is not None) > MAX_ROW_BYTES
