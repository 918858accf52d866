"""Where we are in a MariaDB's log or in a snapshot of it, and whether it is still the same log."""

from hashlib import sha256
from typing import Any, TypeVar

import msgspec
import pymysql
from msgspec import Struct

from fluxion.errors import AnotherSourceError, DependencyDownError, PositionLostError
from producers.source import Position

Cursor = pymysql.cursors.Cursor
_T = TypeVar("_T", bound=Struct)

MEND = "a new snapshot mends it: `fluxion agent resnapshot`; keep the binary log longer (expire_logs_days)"
_ANOTHER = "point the agent at the right one, or accept this one with `fluxion agent resnapshot`, which reads it whole"
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

    def place(self) -> tuple[int, int]:
        """Return what orders the places of one log: the file's number and the offset in it."""
        number = self.file.rpartition(".")[2]
        return (int(number) if number.isdecimal() else 0), self.offset

    def covers(self, other: "LogPosition") -> bool:
        """Tell whether every transaction up to `other` lies before this place, by their GTIDs."""
        ours = _sequences(self.gtid)
        return all(ours.get(domain, -1) >= sequence for domain, sequence in _sequences(other.gtid).items())


class ChunkPosition(Struct, frozen=True):
    """A place in a snapshot: behind the row of `table` whose columns `by` hold `key` (in `keyset`'s form).

    key: None where the table was read to its end. start: where the stream begins behind a first run, None in a later one.
    """

    server: str
    start: LogPosition | None
    table: str
    by: tuple[str, ...]
    key: tuple[str, ...] | None

    def text(self) -> Position:
        """Return the position as the journal keeps it."""
        return msgspec.json.encode(self).decode()


def parse(position: Position) -> LogPosition:
    """Read `LogPosition.text` back; PositionLostError for anything else."""
    return _decoded(position, LogPosition)


def parse_chunk(position: Position) -> ChunkPosition:
    """Read `ChunkPosition.text` back; PositionLostError for anything else."""
    return _decoded(position, ChunkPosition)


def server_identity(cursor: Cursor) -> str:
    """Return what tells one MariaDB server from another; needs no privilege.

    Not @@server_uid: it is missing before 10.11.9 and changes with the machine's network card.
    """
    cursor.execute("show global variables where variable_name in ('server_id', 'hostname', 'datadir')")
    facts = sorted(f"{name}={value}" for name, value in cursor.fetchall())
    return sha256("\n".join(facts).encode()).hexdigest()[:16]


def verify(cursor: Cursor, position: LogPosition) -> None:
    """Raise AnotherSourceError where this is another server, PositionLostError where its log is not the one read before."""
    verify_server(cursor, position.server)
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
        raise PositionLostError(message, MEND)


def verify_server(cursor: Cursor, server: str) -> None:
    """Raise AnotherSourceError where this is not the server with that identity."""
    found = server_identity(cursor)
    if found != server:
        message = f"this is another MariaDB server ({found}) than the one that was read until now ({server})"
        raise AnotherSourceError(message, _ANOTHER)


def view_position(cursor: Cursor, server: str) -> LogPosition | None:
    """Return the place in the log of the read view that START TRANSACTION WITH CONSISTENT SNAPSHOT opened, but its GTIDs.

    None where there is no log.
    """
    cursor.execute("show status like 'binlog_snapshot_%'")
    status = {str(name).lower(): value for name, value in cursor.fetchall()}
    file, offset = status.get("binlog_snapshot_file"), int(status.get("binlog_snapshot_position") or 0)
    return LogPosition(server, "", file, offset) if file else None


def with_gtid(cursor: Cursor, position: LogPosition) -> LogPosition:
    """Return the position with its GTIDs; the server reads a file of its log for it. DependencyDownError where it cannot."""
    gtid = _gtid_at(cursor, position.file, position.offset)
    if gtid is None:  # an empty text would be the beginning of all logs
        message = f"the server cannot say which GTIDs lie before {position.file}:{position.offset}"
        raise DependencyDownError(
            message, "it is tried again; if that lasts, raise max_allowed_packet and flush the binary log"
        )
    return msgspec.structs.replace(position, gtid=gtid)


def _decoded(position: Position, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(position, type=kind)
    except msgspec.DecodeError as fault:
        raise PositionLostError(f"the stored position cannot be read ({fault})", MEND) from None


def _sequences(gtid: str) -> dict[str, int]:
    """Return domain → sequence of GTIDs such as `0-1-42,1-1-7`."""
    parts = [one.strip().split("-") for one in gtid.split(",") if one.strip()]
    return {domain: int(sequence) for domain, _, sequence in parts}


def _gtid_at(cursor: Cursor, file: str, offset: int) -> str | None:
    cursor.execute("select binlog_gtid_pos(%s, %s)", [file, offset])
    row: Any = cursor.fetchone()
    return None if row is None or row[0] is None else str(row[0])
