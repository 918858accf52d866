"""Where we are in a MariaDB's log, and whether it is still the same log."""

from hashlib import sha256
from typing import Any

import msgspec
import pymysql
from msgspec import Struct

from fluxion.errors import PositionLostError
from producers.source import Position

Cursor = pymysql.cursors.Cursor

_MEND = "enrol the agent in a new folder, which takes a new snapshot"
_FIRST_OFFSET = 4


class LogPosition(Struct, frozen=True):
    """A place in one server's log.

    server: `server_identity`. gtid: one GTID a domain, comma-separated. file and offset: the same place, by which a log
    that was begun anew is told from ours although its GTIDs have run past this one.
    """

    server: str
    gtid: str
    file: str = ""
    offset: int = 0

    def text(self) -> Position:
        """Return the position as the journal keeps it."""
        return msgspec.json.encode(self).decode()


def parse(position: Position) -> LogPosition:
    """Read `LogPosition.text` back; PositionLostError for anything else."""
    try:
        return msgspec.json.decode(position, type=LogPosition)
    except msgspec.DecodeError as fault:
        raise PositionLostError(f"the stored position cannot be read ({fault})", _MEND) from None


def server_identity(cursor: Cursor) -> str:
    """Return what tells one MariaDB server from another; needs no privilege.

    Not @@server_uid: it is missing before 10.11.9 and changes with the machine's network card.
    """
    cursor.execute("show global variables where variable_name in ('server_id', 'hostname', 'datadir')")
    facts = sorted(f"{name}={value}" for name, value in cursor.fetchall())
    return sha256("\n".join(facts).encode()).hexdigest()[:16]


def verify(cursor: Cursor, position: LogPosition) -> None:
    """Raise PositionLostError where this is another server, or another log than the one that was read before."""
    found = server_identity(cursor)
    if found != position.server:
        message = f"this is another MariaDB server ({found}) than the one that was read until now ({position.server})"
        raise PositionLostError(message, _MEND)
    if not position.file:
        return
    gtid = _gtid_at(cursor, position.file, position.offset)
    if gtid is None:
        # The file was purged (then the server itself decides by GTID), or it is there and has no event at that place.
        other = _gtid_at(cursor, position.file, _FIRST_OFFSET) is not None
    else:
        other = set(gtid.split(",")) != set(position.gtid.split(","))
    if other:
        message = f"the binary log was begun anew: {position.gtid} is no longer at {position.file}:{position.offset}"
        raise PositionLostError(message, _MEND)


def _gtid_at(cursor: Cursor, file: str, offset: int) -> str | None:
    value = _one(cursor, "select binlog_gtid_pos(%s, %s)", file, offset)
    return None if value is None else str(value)


def _one(cursor: Cursor, query: str, *values: Any) -> Any:
    cursor.execute(query, values)
    row = cursor.fetchone()
    return row[0] if row else None
