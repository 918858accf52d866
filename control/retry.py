"""A quarantined row mapped again with its system's present mapping, under its original version.

Where the row comes from, by the first that has it: (1) the row as it was set aside; (2) the bytes of a record that was set aside
whole; (3) the raw log, at the offset that the record had. Rows of one raw record go together, so that a sale stays whole.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from control.later_ends import LaterEnds
from control.quarantine import Entry, Held
from control.raw_log import RawLog
from fluxion.errors import DataValidationError, FluxionError
from fluxion.registry import System
from schemas.codec import LookUp, UnreadableRecordError
from schemas.records import CanonicalSet, Change, ChangeSet, Layout, Row
from schemas.topics import CHANGES
from stream_processors.drafts import Raw
from stream_processors.remap import Place, Remapping, read_change
from stream_processors.steps.decode import decoding


class GoneError(DataValidationError):
    """What was set aside is older than the raw log; only the point of sale has it still."""

    code = "GONE"


@dataclass(frozen=True)
class Again:
    """What the present mapping makes of entries of one raw record.

    record: for fluxion.records.v1; None where nothing is left to send. taken: entries that it settles. refused: those that
    are still at fault, with the reason.
    """

    record: CanonicalSet | None
    taken: tuple[Entry, ...]
    refused: tuple[tuple[Entry, str], ...]


class Retry:
    """Maps entries of one system again. Raises MappingError where the system's template is unsound."""

    def __init__(self, system: System, look_up: LookUp, log: RawLog) -> None:
        self._system = system
        self._remapping = Remapping(system)
        self._decode = decoding(look_up)
        self._log = log
        self._ends: LaterEnds | None = None

    def groups(self, entries: Iterable[Entry]) -> list[list[Entry]]:
        """Put together what stood in one raw record."""
        found: dict[tuple[int, int, int], list[Entry]] = {}
        for entry in entries:
            partition, offset = _place(entry)
            # A whole record brings its rows by itself; what has no offset stands alone.
            alone = entry.id if entry.external_table is None or offset < 0 else 0
            found.setdefault((partition, offset, alone), []).append(entry)
        return list(found.values())

    def again(self, group: Sequence[Held]) -> Again:
        """Map a group again. Raises DependencyDownError where Kafka or the schema registry does not answer."""
        _, place = _place(group[0].entry)
        sources: list[tuple[Held, ChangeSet]] = []
        refused: list[tuple[Entry, str]] = []
        for held in group:
            try:
                sources.append((held, self.source(held)))
            except DataValidationError as fault:
                refused.append((held.entry, str(fault)))
        if not sources:
            return Again(None, (), tuple(refused))
        try:
            made = self.mapped(self._with_ends(merged([source for _, source in sources]), place), sources[0][0].entry)
        except Exception as fault:  # noqa: BLE001 -- the steps are pure: whatever one stumbles over is the row's fault, as in a processor
            said = str(fault) if isinstance(fault, FluxionError) else f"a step failed on it ({fault!r}); report it"
            return Again(None, (), (*refused, *((held.entry, said) for held, _ in sources)))
        at_fault = {(entry.external_table, entry.version): entry.message for entry in made.quarantined}
        taken: list[Entry] = []
        for held, _ in sources:
            reason = _fault_of(held.entry, at_fault)
            if reason is None:
                taken.append(held.entry)
            else:
                refused.append((held.entry, reason))
        whole = group[0].entry.external_table is None
        # Rows of a whole record that are still at fault go to quarantine one by one, in its place.
        left = replace(made, quarantined=made.quarantined if whole else [])
        return Again(left if _says_something(left) else None, tuple(taken), tuple(refused))

    def look_behind(self, entries: Iterable[Entry]) -> None:
        """Read the raw log behind the oldest of these entries for ends of snapshots; do it before `again`."""
        places = [offset for _, offset in map(_place, entries) if offset >= 0]
        self._ends = LaterEnds(self._log, self._decode, min(places)) if places else None

    def _with_ends(self, change_set: ChangeSet, offset: int) -> ChangeSet:
        if self._ends is None or offset < 0:
            return change_set
        return replace(change_set, ends=[*change_set.ends, *self._ends.behind(change_set, offset)])

    def mapped(self, change_set: ChangeSet, entry: Entry) -> CanonicalSet:
        """Return what a change set means now."""
        return self._remapping.change_set(change_set, Place(CHANGES.name, *_place(entry)))

    def source(self, held: Held) -> ChangeSet:
        """Return the row, or the whole record, as a change set; raises GoneError or UnreadableRecordError."""
        entry = held.entry
        if held.change is not None:  # (1)
            return replace(read_change(held.change), ends=[])
        if entry.external_table is None and entry.topic == CHANGES.name and held.raw:  # (2)
            return self._decode(Raw(entry.topic, entry.partition, entry.offset, held.raw)).change_set
        raw = self._log.at(*_place(entry))  # (3)
        if raw is None:
            message = f"its raw record is no longer in {CHANGES.name}"
            raise GoneError(
                message, "touch the row in the point of sale so that it comes again, or snapshot its table again"
            )
        change_set = self._decode(raw).change_set
        if entry.external_table is None:
            return change_set
        return _only_row(change_set, entry) if entry.version is not None else _only_end(change_set, entry)


def _place(entry: Entry) -> tuple[int, int]:
    """Return partition and offset in the raw log; the offset is -1 where it is not known. A key has one partition in all topics."""
    known = entry.offset if entry.topic == CHANGES.name else entry.source_offset
    return entry.partition, -1 if known is None else known


def _only_end(change_set: ChangeSet, entry: Entry) -> ChangeSet:
    """Return the end of the table's snapshot, which is what an entry of a table without a version is."""
    return replace(change_set, rows=[], ends=[end for end in change_set.ends if end.table == entry.external_table])


def _only_row(change_set: ChangeSet, entry: Entry) -> ChangeSet:
    """Return the rows of a raw record that have the entry's table and version."""
    rows = [
        row
        for row in change_set.rows
        if row.version == entry.version and change_set.layouts[row.layout].table == entry.external_table
    ]
    if not rows:
        message = f"its raw record holds no row of {entry.external_table} with version {entry.version}"
        raise UnreadableRecordError(message, "touch the row in the point of sale so that it comes again")
    # Only the last transaction of a record that is a part of a larger one goes on behind it.
    ends_here = change_set.last_part or rows[-1].txn != change_set.rows[-1].txn
    return replace(change_set, rows=rows, ends=[], last_part=ends_here)


def merged(change_sets: Sequence[ChangeSet]) -> ChangeSet:
    """Return several pieces of one raw record as one change set, its rows in the order of their versions."""
    if len(change_sets) == 1:
        return change_sets[0]
    layouts: list[Layout] = []
    rows: list[Row] = []
    for piece in change_sets:
        for row in piece.rows:
            layout = piece.layouts[row.layout]
            if layout not in layouts:
                layouts.append(layout)
            rows.append(replace(row, layout=layouts.index(layout)))
    rows.sort(key=lambda row: row.version or 0)
    last = max(change_sets, key=lambda piece: max((row.version or 0 for row in piece.rows), default=0))
    return replace(last, layouts=layouts, rows=rows, ends=[end for piece in change_sets for end in piece.ends])


def _fault_of(entry: Entry, at_fault: dict[tuple[str | None, int | None], str]) -> str | None:
    # A record that was set aside whole is settled as soon as it can be read: its rows have entries of their own then.
    return None if entry.external_table is None else at_fault.get((entry.external_table, entry.version))


def changes_of(record: CanonicalSet) -> list[Change]:
    """Return every canonical record of a set."""
    found: list[Change] = [
        *record.categories,
        *record.suppliers,
        *record.products,
        *record.stock,
        *record.movements,
    ]
    for sale in record.sales:
        found += [*([sale.header] if sale.header else []), *sale.lines, *sale.payments, *sale.taxes]
    return found


def _says_something(record: CanonicalSet) -> bool:
    return bool(changes_of(record) or record.ends or record.quarantined)


def carry_out(retry: Retry, group: Sequence[Held], send: Callable[[CanonicalSet], None]) -> Again:
    """Map a group again and hand what it gives to `send`; what cannot be written is refused like any other fault."""
    again = retry.again(group)
    if again.record is None:
        return again
    try:
        send(again.record)
    except DataValidationError as fault:
        return Again(None, (), (*again.refused, *((entry, str(fault)) for entry in again.taken)))
    return again
