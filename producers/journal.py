"""The journal: one SQLite file a system, where what the source told is safe before anything else happens to it.

A change set and the position behind it are stored in one transaction (WAL, synchronous=FULL). Captures get sequences
1, 2, … and rows rising numbers; neither is ever given twice. No clock takes part in either. Each thread opens a Journal of
its own on the same file; `prepare` comes before all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from fluxion.clock import Clock
from fluxion.errors import ConfigurationError
from producers import retention, runs
from producers.entries import Entry, Place, Ready, made_ready
from producers.journal_file import JournalFile, JournalFullError, JournalSetAsideError, prepare
from producers.retention import DEFAULT_BUDGET, KEPT_MICROS, MIN_BUDGET
from producers.runs import Run, RunKind
from producers.shipper_side import Rewound, ShipperSide
from producers.source import Bound, Capture, Position

__all__ = [
    "DEFAULT_BUDGET",
    "KEPT_MICROS",
    "MIN_BUDGET",
    "Entry",
    "Journal",
    "JournalFullError",
    "JournalSetAsideError",
    "Place",
    "Rewound",
    "Run",
    "State",
    "prepare",
]

_INSERT = "insert into entries values (?, ?, ?, ?, ?, ?, ?, ?)"
_UPDATE = "update state set next_number = ?, last_sequence = ?, stream_position = ?, row_count = ?"
_STATE = """
select journal_id, next_number, last_sequence, stream_position, row_count, acknowledged,
       (select min(sequence) from entries), (select stored_at from entries where sequence = acknowledged + 1), epoch, fenced
from state, shipped
"""

# Called with the error when the journal becomes full, and with None when it goes on.
SayFull = Callable[[JournalFullError | None], None]


class State(Struct, frozen=True):
    """Where the journal stands.

    stream_position: None until the first snapshot is whole. snapshot_position: of the run under way. unshipped: Captures
    not acknowledged. rows: stored ever. bytes: on the disk, free pages and write-ahead log too.
    oldest: the oldest sequence that is kept. unshipped_since: when the oldest unshipped Capture was stored, microseconds by
    the store's clock. epoch: of the last session. fenced: why this journal ships no more, None where it does.
    """

    journal_id: str
    next_number: int
    last_sequence: int
    stream_position: Position | None
    snapshot_position: Position | None
    acknowledged: int
    unshipped: int
    rows: int
    bytes: int
    oldest: int | None
    unshipped_since: int | None
    epoch: int | None
    fenced: str | None


class _Counters(Struct, frozen=True):
    """The row of `state`, in the order of _UPDATE."""

    next_number: int
    last_sequence: int
    stream_position: Position | None
    row_count: int


class Journal(ShipperSide):
    """Open the journal at `path`. Raises ConfigurationError where it is missing (unless `create`) or something else.

    create: make it where it is missing. budget: bytes on the disk. say_full: see `SayFull`; called from `append`.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        create: bool = False,
        budget: int = DEFAULT_BUDGET,
        say_full: SayFull = lambda _: None,
    ) -> None:
        if not create and not path.exists():
            raise ConfigurationError(f"there is no journal at {path}", "run `fluxion agent enrol` first")
        super().__init__(JournalFile(path))
        self._clock = clock
        self._budget = budget
        self._say_full = say_full
        self._is_full = False
        with self._file.translated():
            (self.journal_id,) = self._file.one("select journal_id from state")

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
        self._file.close()

    # The source's side -----------------------------------------------------------------------------------------------

    def append(self, captures: Sequence[Capture]) -> None:
        """Store Captures in their order, with the position behind the last, in one transaction.

        A Capture without rows and ends moves its position only. A stream's is refused (ValueError) while the first snapshot
        is not whole, a snapshot's while no run is asked for. Raises JournalFullError: nothing is stored, try again soon.
        """
        if not captures:
            return
        ready = [made_ready(capture) for capture in captures]
        try:
            try:
                self._store_all(ready)
            except JournalFullError:
                # What is acknowledged, or done with in the write-ahead log, may go for it: once more.
                self._give_way(ready)
                self._store_all(ready)
        except JournalFullError as fault:
            self._tell(fault)
            raise
        self._tell(None)

    def _store_all(self, ready: Sequence[Ready]) -> None:
        sizes = [len(one.body) for one in ready if one.is_stored]
        with self._file.transaction():
            before = after = self._counters()
            run = runs.current(self._link) if any(one.capture.kind == "snapshot" for one in ready) else None
            if not retention.make_room(self._link, self._budget, sizes):
                raise self._full()
            for one in ready:
                ends_from = after.next_number
                taken = bool(one.capture.ends)
                if one.capture.kind == "snapshot":
                    taken = run is not None and run.first_number is None
                    run = self._begun(run, one.capture, after.next_number)
                    ends_from = run.first_number or ends_from
                elif before.stream_position is None:
                    raise ValueError("a stream's Capture came before the snapshot was whole")
                if taken:  # an end's number is its own: what it takes away is older than any row that follows
                    after = msgspec.structs.replace(after, next_number=after.next_number + 1)
                after = self._moved(one, self._store(one, ends_from, after))
            if after != before:
                self._link.execute(_UPDATE, msgspec.structs.astuple(after))
            retention.sweep_old(self._link, self._clock.micros(), len(ready))

    def _counters(self) -> _Counters:
        return _Counters(*self._file.one("select next_number, last_sequence, stream_position, row_count from state"))

    def _begun(self, run: Run | None, capture: Capture, next_number: int) -> Run:
        if run is None:
            raise ValueError("a snapshot's Capture came, and no run was asked for")
        return runs.begun(self._link, run, capture, next_number)

    def _store(self, one: Ready, ends_from: int, now: _Counters) -> _Counters:
        if not one.is_stored:
            return now
        sequence, number, rows = now.last_sequence + 1, now.next_number, len(one.capture.rows)
        at = self._clock.micros()
        self._link.execute(_INSERT, [sequence, number, ends_from, rows, len(one.body), at, one.body, one.checksum])
        return msgspec.structs.replace(
            now, last_sequence=sequence, next_number=number + rows, row_count=now.row_count + rows
        )

    @staticmethod
    def _moved(one: Ready, now: _Counters) -> _Counters:
        if one.capture.kind == "snapshot":
            return now
        return msgspec.structs.replace(now, stream_position=one.capture.position)

    def _full(self) -> JournalFullError:
        message = f"rows that are not shipped fill the journal {self._file.path}, {self._budget} bytes"
        return JournalFullError(
            message, "the source waits until Kafka can be reached; or raise its budget, journal_bytes in agent.toml"
        )

    def _give_way(self, ready: Sequence[Ready]) -> None:
        with suppress(JournalFullError):
            with self._file.transaction():
                retention.free_oldest(self._link, 2 * sum(len(one.body) for one in ready))
            with self._file.translated():
                self._file.one("pragma wal_checkpoint(truncate)")

    def _tell(self, fault: JournalFullError | None) -> None:
        if self._is_full != (fault is not None):
            self._is_full = fault is not None
            self._say_full(fault)

    # Snapshots -------------------------------------------------------------------------------------------------------

    def request_run(self, kind: RunKind, tables: Sequence[str], bounds: Mapping[str, Bound]) -> int:
        """Ask for a snapshot and return its id. By the thread that appends: a chunk belongs to the run of its moment.

        "first" supersedes every other run, and the stream waits until it is whole; "again" queues behind.
        """
        with self._file.transaction():
            return runs.request(self._link, kind, tables, bounds, self._clock.micros())

    def run(self) -> Run | None:
        """Return the run to work on, "first" before "again"; None where every snapshot is whole."""
        with self._file.translated():
            return runs.current(self._link)

    def put_off_run(self, run_id: int) -> None:
        """Put a run behind the others, while none of its chunks is on its way."""
        with self._file.transaction():
            runs.put_off(self._link, run_id, self._clock.micros())

    def finish_run(self, run_id: int) -> None:
        """Note that a run's last chunk is stored. Behind "first" the stream begins where that run says."""
        with self._file.transaction():
            runs.finish(self._link, run_id)

    # Both ------------------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return where the journal stands."""
        with self._file.translated():
            ident, number, last, stream, rows, acknowledged, *more = self._file.one(_STATE)
            oldest, since, epoch, fenced = more
            run = runs.current(self._link)
            return State(
                journal_id=ident,
                next_number=number,
                last_sequence=last,
                stream_position=stream,
                snapshot_position=run.position if run else None,
                acknowledged=acknowledged,
                unshipped=last - acknowledged,
                rows=rows,
                bytes=retention.bytes_on_disk(self._file.path),
                oldest=oldest,
                unshipped_since=since,
                epoch=epoch,
                fenced=fenced,
            )
