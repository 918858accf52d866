"""The shipper: what the journal holds and Kafka has not acknowledged, in order, again until it is acknowledged.

One batch is in flight, and it is one Kafka transaction (see `fluxion.transactions`): measured on two cores, one change set is
seen in the topic about 4 ms later than without, and a backlog goes as fast as the batch is large.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fluxion import metrics
from fluxion.clock import SystemClock
from fluxion.errors import DependencyDownError, FencedError, TwoAgentsError
from fluxion.log import get_logger
from fluxion.progress import Progress
from fluxion.registry import RestoredCopyError, Session
from fluxion.transactions import BatchProducer
from producers.journal import Entry, Journal, Place
from producers.packing import MAX_BYTES, MAX_ROWS, Sender, pack, place_after
from producers.session import Notes, opened
from schemas.codec import Encoder
from schemas.records import ChangeSet
from schemas.topics import CHANGES

# A batch is what is in flight at once: a few records, so that a backlog is not bound by round trips.
_RECORDS = 2
_IDLE_S = 1.0
_RETRY_S = (0.5, 1.0, 2.0, 5.0)

# From the contract's subject to its id at the schema registry; may wait for as long as that is down.
SchemaId = Callable[[], int]
T = TypeVar("T")


@dataclass(frozen=True)
class Destination:
    """Where a system's changes go. host: where we run, for people who find two agents. database: PostgreSQL's DSN."""

    system_id: str
    servers: str
    database: str
    host: str


class Shipper:
    """Ships one journal. `wake` is set whenever the journal grew; `stop` ends `run` within a second.

    Five where PostgreSQL does not answer: it is asked for the session in this thread. A batch is acknowledged in the
    journal only after every one of its records was: whatever else happens, the same records are sent again, with the same
    sequences and versions.
    """

    def __init__(
        self,
        journal: Journal,
        destination: Destination,
        wake: threading.Event,
        stop: threading.Event,
        progress: Progress | None = None,
    ) -> None:
        self._journal = journal
        self._to = destination
        self._wake = wake
        self._stop = stop
        self._clock = SystemClock()
        self._progress = progress or Progress(self._clock)
        self._asked = self._clock.monotonic()
        self._producer = BatchProducer(destination.servers, destination.system_id, self._is_stopped)

    def run(self, schema_id: SchemaId) -> None:
        """Ship until stopped. Services that are away are waited for.

        Raises TwoAgentsError where another agent took over, JournalSetAsideError where the journal is damaged or a copy,
        and what only a person can mend.
        """
        try:
            session = self._patiently(self._session, "no session can be opened", "PostgreSQL")
            encode: Encoder[ChangeSet] = Encoder("change_set", schema_id())
            notes = Notes(self._to.database, session, self._wake.set)
        except _StoppedError:
            return
        try:
            self._ship(session, encode, notes)
        except _StoppedError:
            pass
        except TwoAgentsError as fault:
            self._journal.note_fenced(fault.message)
            raise
        finally:
            self._producer.abandon()
            notes.close()

    def _is_stopped(self) -> bool:
        """Asked ten times a second while Kafka has a batch in hand: waiting for it is progress."""
        now = self._clock.monotonic()
        if now - self._asked >= 1.0:
            self._asked = now
            self._progress.waits("Kafka", "a batch is not acknowledged yet")
        return self._stop.is_set()

    def _session(self) -> Session:
        try:
            return opened(self._to.database, self._to.system_id, self._journal, self._to.host)
        except RestoredCopyError as fault:
            raise self._journal.set_aside_as_copy(fault.message) from None

    def _ship(self, session: Session, encode: Encoder[ChangeSet], notes: Notes) -> None:
        sender = Sender(self._to.system_id, session.epoch, self._journal.journal_id)
        place = self._patiently(self._journal.place, "the journal cannot be read", "journal")
        while not self._stop.is_set():
            # Cleared first: what is appended after the look wakes us again.
            self._wake.clear()
            if notes.fault is not None:
                raise notes.fault
            values, after = self._batch(sender, encode, place)
            if not values:
                self._wake.wait(_IDLE_S)
                continue
            # (1) send, as often as it takes; (2) only then acknowledge; (3) tell PostgreSQL, soon
            self._send(values, notes)
            place = after
            self._acknowledge(place)
            self._progress.finished(len(values))
            metrics.count("shipped", len(values))
            notes.acknowledged(place.sequence)

    def _batch(self, sender: Sender, encode: Encoder[ChangeSet], place: Place) -> tuple[list[bytes], Place]:
        """Return what is sent next, encoded, and how far the journal is shipped once it is. Nothing else of it stays."""
        values = []
        for record in pack(self._patiently(self._unshipped, "the journal cannot be read", "journal"), sender, place):
            values.append(encode(record))
            place = place_after(record)
        return values, place

    def _unshipped(self) -> list[Entry]:
        return self._journal.unshipped(_RECORDS * MAX_ROWS, _RECORDS * MAX_BYTES)

    def _send(self, values: list[bytes], notes: Notes) -> None:
        def send() -> None:
            self._asked = self._clock.monotonic()
            try:
                if not self._producer.send(CHANGES.name, self._to.system_id.encode(), values):
                    raise _StoppedError
            except FencedError as fault:
                # A broker also fences a transaction that took too long, because the line was away. Ask who is the newest.
                if notes.still_newest(self._stop.is_set):
                    raise DependencyDownError(fault.message, "nobody took over: it is sent again") from None
                if notes.fault is not None:
                    raise notes.fault from None
                raise _StoppedError from None

        self._patiently(send, "a batch is not sent", "Kafka")

    def _acknowledge(self, place: Place) -> None:
        """Also on a full disk, as soon as there is room: without it the journal could free nothing."""
        self._patiently(lambda: self._journal.acknowledge(place), "an acknowledgement is not stored", "journal")

    def _patiently(self, step: Callable[[], T], what: str, on: str) -> T:
        """Do a step again until `on` is no longer away; _StoppedError where we are stopped first."""
        failures = 0
        while not self._stop.is_set():
            try:
                return step()
            except DependencyDownError as fault:
                delay = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
                self._progress.waits(on, fault.message, delay)
                get_logger().warning(what, reason=fault.message, mend=fault.mend, in_seconds=delay)
                self._stop.wait(delay)
                failures += 1
        raise _StoppedError


class _StoppedError(Exception):
    """The agent ends while it waits for a service."""
