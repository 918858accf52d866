"""The journal's own schema: numbered steps from one format to the next, each in one transaction with its number.

A new file takes all of them, so that it looks like one that grew. A step is never changed once it was released.
"""

import sqlite3
import uuid
import zlib
from collections.abc import Callable, Sequence

import msgspec

from fluxion.errors import ConfigurationError
from producers.fitting import fitted
from producers.source import Capture, CaptureRow
from schemas.records import Layout

_FORMAT_1 = (
    """
create table state (
  id integer primary key check (id = 1),
  format integer not null,
  journal_id text not null,
  next_number integer not null default 1,       -- of the next row
  last_sequence integer not null default 0,
  stream_position text,                         -- null until the first snapshot is whole
  snapshot_position text,
  stream_start text,                            -- where the stream begins behind the snapshot's run
  snapshot_first integer not null default 1     -- the next row's number when that run began
)
""",
    """
create table shipped (                          -- apart from state: the shipper writes it from its own thread
  id integer primary key check (id = 1),
  acknowledged integer not null
)
""",
    """
create table entries (
  sequence integer primary key,
  first_number integer not null,
  snapshot_first integer not null,
  skipped text not null,                        -- JSON: which of its rows were set aside; their numbers stay unused
  row_count integer not null,
  byte_count integer not null,
  stored_at integer not null,                   -- microseconds since the epoch
  body blob not null                            -- the Capture as MessagePack
)
""",
    """
create table quarantined (                      -- rows too large to be sent; nothing is thrown away
  number integer primary key,
  sequence integer not null,
  source_table text not null,
  reason text not null,
  stored_at integer not null,
  body blob not null
)
""",
)

_FORMAT_2 = (
    """
create table runs (                             -- snapshots that were asked for and are not whole yet
  id integer primary key autoincrement,
  kind text not null check (kind in ('first', 'again')),
  tables text not null,                         -- JSON: [table]
  bounds text not null,                         -- JSON: {table: Bound}
  position text,                                -- behind the last stored chunk
  stream_start text,                            -- where the stream begins behind a first run
  first_number integer,                         -- the next row's number when its first Capture was stored
  row_count integer not null default 0,
  started_at integer not null
)
""",
    "alter table state add column row_count integer not null default 0",  # numbers have gaps: they count nothing
    "update state set row_count = next_number - 1",
    "alter table state drop column snapshot_position",
    "alter table state drop column stream_start",
    "alter table state drop column snapshot_first",
    "alter table entries rename column snapshot_first to ends_from",
    "alter table entries add column checksum integer",  # CRC-32 of body; null in entries of format 1
    # What the shipper goes on from, also where the entry itself was swept out.
    "alter table shipped add column position text not null default ''",
    "alter table shipped add column next_part integer not null default 0",
    # The last session that this file opened, with its epoch; and last_sequence when it was first opened after that.
    "alter table shipped add column session integer not null default 0",
    "alter table shipped add column epoch integer",
    "alter table shipped add column baseline integer",
    "alter table shipped add column fenced text",  # why this file ships no more; null: it does
)


def _to_1(link: sqlite3.Connection) -> None:
    for statement in _FORMAT_1:
        link.execute(statement)
    link.execute("insert into state (id, format, journal_id) values (1, 0, ?)", [str(uuid.uuid4())])
    link.execute("insert into shipped values (1, 0)")


def _to_2(link: sqlite3.Connection) -> None:
    """A first snapshot that was under way begins anew: format 1 did not know its tables. What it stored is shipped."""
    for statement in _FORMAT_2:
        link.execute(statement)
    last = link.execute("select body from entries where sequence = (select acknowledged from shipped)").fetchone()
    if last is not None:
        position = msgspec.msgpack.decode(last[0], type=Capture).position
        link.execute("update shipped set position = ?", [position])


def _to_3(link: sqlite3.Connection) -> None:
    """Rows that were set aside as too large go back to their places, without their largest values, and can be shipped.

    So every entry's rows are numbered without a gap, and none gets another number.
    """
    for sequence, first, body in link.execute(
        "select sequence, first_number, body from entries where skipped <> '[]'"
    ).fetchall():
        whole = _whole(msgspec.msgpack.decode(body, type=Capture), first, _aside(link, sequence))
        encoded = msgspec.msgpack.encode(fitted(whole)[0])
        link.execute(
            "update entries set body = ?, byte_count = ?, checksum = ?, row_count = ? where sequence = ?",
            [encoded, len(encoded), zlib.crc32(encoded), len(whole.rows), sequence],
        )
    link.execute("alter table entries drop column skipped")
    link.execute("drop table quarantined")


def _aside(link: sqlite3.Connection, sequence: int) -> list[tuple[int, Layout, CaptureRow]]:
    """Return what was set aside of an entry: number, layout, row."""
    found = link.execute("select number, body from quarantined where sequence = ? order by number", [sequence])
    return [(number, *msgspec.msgpack.decode(body, type=tuple[Layout, CaptureRow])) for number, body in found]


def _whole(capture: Capture, first: int, aside: list[tuple[int, Layout, CaptureRow]]) -> Capture:
    """Return the Capture with the rows that were taken out of it; its own first row has number `first`."""
    rows, layouts = list(capture.rows), list(capture.layouts)
    for number, layout, row in aside:
        if layout not in layouts:
            layouts.append(layout)
        rows.insert(number - first, msgspec.structs.replace(row, layout=layouts.index(layout)))
    return msgspec.structs.replace(capture, rows=rows, layouts=layouts)


STEPS: Sequence[Callable[[sqlite3.Connection], None]] = (_to_1, _to_2, _to_3)
FORMAT = len(STEPS)


def format_of(link: sqlite3.Connection) -> int:
    """Return the file's format; 0 for an empty file. ConfigurationError for a database of something else."""
    tables = {name for (name,) in link.execute("select name from sqlite_master where type = 'table'")}
    if not tables:
        return 0
    if "state" not in tables or "entries" not in tables:
        raise ConfigurationError("it is a database of something else", "give the agent a folder of its own")
    (found,) = link.execute("select format from state").fetchone()
    return int(found)


def upgrade(link: sqlite3.Connection) -> None:
    """Bring the file to the present format; ConfigurationError for a newer one. Two at once do it once."""
    while True:
        found = format_of(link)
        if found > FORMAT:
            message = f"the journal has format {found}, this agent knows {FORMAT}"
            raise ConfigurationError(message, "install the newer agent again: it wrote this journal")
        if found == FORMAT:
            return
        link.execute("begin immediate")
        try:
            if format_of(link) == found:
                STEPS[found](link)
                link.execute("update state set format = ?", [found + 1])
            link.execute("commit")
        except BaseException:
            if link.in_transaction:
                link.execute("rollback")
            raise
