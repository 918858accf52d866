"""The shipper's side of a journal: what waits to be shipped, how far it is, which session ships it, and the way back."""

import sqlite3
from contextlib import closing

import msgspec
from msgspec import Struct

from fluxion.errors import ConfigurationError, TwoAgentsError
from fluxion.registry import Session, Standing
from producers.entries import Entry, Place, is_intact, read_back
from producers.journal_file import JournalFile, JournalSetAsideError, note_for_setting_aside
from producers.source import Capture

_UNSHIPPED = """
select sequence, first_number, ends_from, row_count, byte_count, body, checksum from entries
where sequence > (select acknowledged from shipped) order by sequence
"""


class Rewound(Struct, frozen=True):
    """What a rewind ships again: entries from `first` on, `entries` of them."""

    first: int
    entries: int


class ShipperSide:
    """What the shipper needs of a journal. It shares the file with the source's side and nothing else."""

    journal_id: str

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._link: sqlite3.Connection = file.link

    def unshipped(self, limit_rows: int = 500, limit_bytes: int = 512 * 1024) -> list[Entry]:
        """Return what follows the last acknowledged entry, in order: at least one if there is any, else within limits."""
        found: list[Entry] = []
        rows = size = 0
        with self._file.translated(), closing(self._link.execute(_UNSHIPPED)) as cursor:
            for sequence, first_number, ends_from, row_count, byte_count, body, checksum in cursor:
                rows, size = rows + row_count, size + byte_count
                if found and (rows > limit_rows or size > limit_bytes):
                    break
                capture = self._read_back(sequence, body, checksum)
                numbers = list(range(first_number, first_number + row_count))
                found.append(Entry(sequence, numbers, ends_from, byte_count, capture))
        return found

    def place(self) -> Place:
        """Return how far the journal is shipped."""
        with self._file.translated():
            return Place(*self._file.one("select acknowledged, position, next_part from shipped"))

    def acknowledge(self, place: Place) -> None:
        """Note that everything up to `place` is in Kafka. Never goes back; a rewind does."""
        with self._file.translated():
            self._link.execute(
                "update shipped set acknowledged = ?, position = ?, next_part = ? where acknowledged < ?",
                [*msgspec.structs.astuple(place), place.sequence],
            )

    # The session -----------------------------------------------------------------------------------------------------

    def standing(self) -> Standing:
        """Return what this journal says of itself when it asks for a session; TwoAgentsError where it was fenced."""
        with self._file.translated():
            last, session, fenced = self._file.one(
                "select coalesce(baseline, last_sequence), session, fenced from state, shipped"
            )
        if fenced is not None:
            raise TwoAgentsError(fenced, "if this agent should ship, end the other and move this journal.db away")
        return Standing(self.journal_id, last, session)

    def note_session(self, session: Session) -> None:
        """Write down a session that is about to be opened; it is on the disk when this returns."""
        with self._file.translated():
            self._link.execute("pragma synchronous = full")
            self._link.execute(
                "update shipped set session = ?, epoch = ?, baseline = null", [session.id, session.epoch]
            )
            self._link.execute("pragma synchronous = normal")

    def note_fenced(self, reason: str) -> None:
        """Write down that another agent took over: this file must not take the system back by being started again."""
        with self._file.translated():
            self._link.execute("update shipped set fenced = ?", [reason])

    def set_aside_as_copy(self, reason: str) -> JournalSetAsideError:
        """Have `prepare` set the file aside as a restored copy; return the error to raise."""
        return note_for_setting_aside(self._file.path, "copy", reason)

    # The way back ----------------------------------------------------------------------------------------------------

    def rewind_to_sequence(self, sequence: int) -> Rewound:
        """Have everything from `sequence` on shipped again, with the same sequences and versions, as far as it is kept.

        While no shipper runs. A part of a split transaction is shipped with the whole of it. ConfigurationError where
        `sequence` is not shipped yet. The cloud's own note of what it has does not go back.
        """
        with self._file.transaction():
            oldest, acknowledged = self._file.one("select min(sequence), acknowledged from entries, shipped")
            if oldest is None or sequence > acknowledged:
                message = f"sequence {sequence} is not shipped yet (acknowledged: {acknowledged})"
                raise ConfigurationError(message, "give one that is, or a time at which it was stored")
            first = max(sequence, oldest)
            while first > oldest and self._capture(first).part:
                first -= 1
            position = self._capture(first - 1).position if first > oldest else ""
            self._link.execute(
                "update shipped set acknowledged = ?, position = ?, next_part = 0", [first - 1, position]
            )
            return Rewound(first, acknowledged - first + 1)

    def rewind_to_time(self, micros: int) -> Rewound:
        """As `rewind_to_sequence`, from the first entry that was stored then or later by the store's clock."""
        with self._file.translated():
            (sequence,) = self._file.one("select min(sequence) from entries where stored_at >= ?", micros)
        if sequence is None:
            raise ConfigurationError("nothing was stored since that time", "give an earlier one")
        return self.rewind_to_sequence(sequence)

    def _capture(self, sequence: int) -> Capture:
        body, checksum = self._file.one("select body, checksum from entries where sequence = ?", sequence)
        return self._read_back(sequence, body, checksum)

    def _read_back(self, sequence: int, body: bytes, checksum: int | None) -> Capture:
        """Decode what was stored; a disk that gave back other bytes must not reach PostgreSQL."""
        if not is_intact(body, checksum):
            raise note_for_setting_aside(self._file.path, "damaged", f"entry {sequence} is not what was stored")
        return read_back(body)
