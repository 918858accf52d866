"""Journal entries to change sets: whole transactions together up to a limit, one too large in parts. Pure.

A transaction is too large where one entry is more than a record holds, or where the source gave it in parts, an entry each.
Its records hold nothing else, count from 0 over all of its entries, and move the position with the last. A run of parts that
a crash cut off is followed by the whole transaction again; it is sent as it is, for nobody waits for a last part.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from producers.journal import Entry, Place
from producers.source import Capture, CaptureRow, Position
from schemas.identity import version_of
from schemas.records import ChangeSet, End, Layout, Row

MAX_ROWS = 500
MAX_BYTES = 512 * 1024


@dataclass(frozen=True)
class Sender:
    """Who sends: what every change set of one journal says of itself."""

    system_id: str
    epoch: int
    journal_id: str


@dataclass
class _Open:
    """A record under construction."""

    layouts: dict[bytes, int] = field(default_factory=dict)
    kept: list[Layout] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    transactions: int = 0
    size: int = 0
    captured_at: int = 0

    def holds(self, entry: Entry) -> bool:
        """Whether the entry still fits."""
        return len(self.rows) + len(entry.numbers) <= MAX_ROWS and self.size + entry.size <= MAX_BYTES

    def begin(self, captured_at: int) -> None:
        """Count a transaction. A record is as old as its oldest."""
        self.transactions += 1
        self.captured_at = self.captured_at or captured_at

    def add(self, row: CaptureRow, layouts: list[Layout], version: int) -> None:
        """Add a row of the transaction begun last; equal layouts of several transactions are kept once."""
        layout = layouts[row.layout]
        name = msgspec.msgpack.encode(layout)
        index = self.layouts.setdefault(name, len(self.kept))
        if index == len(self.kept):
            self.kept.append(layout)
        self.rows.append(Row(index, row.op, self.transactions - 1, version, row.source_time, row.values))


def pack(entries: Iterable[Entry], sender: Sender, before: Place) -> Iterator[ChangeSet]:
    """Yield change sets that carry the entries in their order, each with the position behind its last whole transaction.

    before: what was shipped in front of the first entry (see `place_after`).
    """
    now = _Open()
    last: Entry | None = None
    for entry in entries:
        alone = _is_part(entry.capture) or not _Open().holds(entry)
        if last is not None and (alone or not now.holds(entry)):
            record = _closed(now, sender, last)
            yield record
            now, before, last = _Open(), place_after(record), None
        if alone:
            for record in _split(entry, sender, before):
                yield record
                before = place_after(record)
            continue
        now.begin(entry.capture.captured_at)
        now.size += entry.size
        for row, number in zip(entry.capture.rows, entry.numbers, strict=True):
            now.add(row, entry.capture.layouts, version_of(sender.epoch, number))
        now.ends += _ends(entry, sender)
        last = entry
    if last is not None:
        yield _closed(now, sender, last)


def place_after(record: ChangeSet) -> Place:
    """Return how far the journal is shipped once this record is, if it ends an entry."""
    return Place(record.sequence, record.position, 0 if record.last_part else record.part + 1)


def _is_part(capture: Capture) -> bool:
    return capture.part > 0 or not capture.last_part


def _split(entry: Entry, sender: Sender, before: Place) -> Iterator[ChangeSet]:
    """Cut one entry into parts; its ends come with the last, and so does the position if the transaction ends here."""
    capture = entry.capture
    part = before.next_part if capture.part else 0
    now = _Open()
    now.begin(capture.captured_at)
    for row, number in zip(capture.rows, entry.numbers, strict=True):
        size = sum(len(value) for value in row.values if value is not None)
        if now.rows and (len(now.rows) == MAX_ROWS or now.size + size > MAX_BYTES):
            yield _as_part(_closed(now, sender, entry), part, last=False, position=before.position)
            part, now = part + 1, _Open()
            now.begin(capture.captured_at)
        now.size += size
        now.add(row, capture.layouts, version_of(sender.epoch, number))
    now.ends = _ends(entry, sender)
    yield _as_part(_closed(now, sender, entry), part, last=capture.last_part, position=capture.position)


def _as_part(record: ChangeSet, part: int, *, last: bool, position: Position) -> ChangeSet:
    return msgspec.structs.replace(record, part=part, last_part=last, position=position)


def _closed(now: _Open, sender: Sender, last: Entry) -> ChangeSet:
    return ChangeSet(
        system_id=sender.system_id,
        producer="agent",
        epoch=sender.epoch,
        journal_id=sender.journal_id,
        sequence=last.sequence,
        captured_at=now.captured_at,
        position=last.capture.position,
        part=0,
        last_part=True,
        layouts=now.kept,
        rows=now.rows,
        ends=now.ends,
    )


def _ends(entry: Entry, sender: Sender) -> list[End]:
    first = version_of(sender.epoch, entry.ends_from)
    return [End(end.table, first, end.since) for end in entry.capture.ends]
