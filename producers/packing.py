"""Journal entries to change sets: whole transactions together up to a limit, one too large in parts. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from producers.journal import Entry
from producers.source import CaptureRow, Position
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


def pack(entries: Iterable[Entry], sender: Sender, before: Position) -> Iterator[ChangeSet]:
    """Yield change sets that carry the entries in their order, each with the position behind its last whole transaction.

    before: the position in front of the first entry, which the parts of a split transaction carry but the last.
    """
    now = _Open()
    last: Entry | None = None
    for entry in entries:
        if last is not None and not now.holds(entry):
            yield _closed(now, sender, last)
            now, before, last = _Open(), last.capture.position, None
        if not _Open().holds(entry):
            yield from _split(entry, sender, before)
            before = entry.capture.position
            continue
        now.begin(entry.capture.captured_at)
        now.size += entry.size
        for row, number in zip(entry.capture.rows, entry.numbers, strict=True):
            now.add(row, entry.capture.layouts, version_of(sender.epoch, number))
        now.ends += _ends(entry, sender)
        last = entry
    if last is not None:
        yield _closed(now, sender, last)


def _split(entry: Entry, sender: Sender, before: Position) -> Iterator[ChangeSet]:
    """Cut one transaction into parts; the position and the ends come with the last."""
    part, now = 0, _Open()
    now.begin(entry.capture.captured_at)
    for row, number in zip(entry.capture.rows, entry.numbers, strict=True):
        size = sum(len(value) for value in row.values if value is not None)
        if now.rows and (len(now.rows) == MAX_ROWS or now.size + size > MAX_BYTES):
            yield msgspec.structs.replace(_closed(now, sender, entry), position=before, part=part, last_part=False)
            part, now = part + 1, _Open()
            now.begin(entry.capture.captured_at)
        now.size += size
        now.add(row, entry.capture.layouts, version_of(sender.epoch, number))
    now.ends = _ends(entry, sender)
    yield msgspec.structs.replace(_closed(now, sender, entry), part=part)


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
    first = version_of(sender.epoch, entry.snapshot_first)
    return [End(end.table, first, end.since) for end in entry.capture.ends]
