"""The first snapshot: every table as it was at one place of the log, without a lock.

MariaDB's START TRANSACTION WITH CONSISTENT SNAPSHOT opens the read view and notes the place of the binary log that it
belongs to, exactly (https://mariadb.com/kb/en/enhancements-for-start-transaction-with-consistent-snapshot/).
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from pymysql.converters import encoders
from pymysql.cursors import SSCursor

from fluxion.clock import Clock
from fluxion.errors import DataValidationError, SourceNotReadyError
from producers.source import Capture, CaptureEnd, CaptureRow, Position
from producers.sources.mysql.catalogue import columns_of, layout_of, select
from producers.sources.mysql.connection import Link, Links, translated
from producers.sources.mysql.position import LogPosition, server_identity
from producers.sources.mysql.values import Read, TableColumn, selected

CHUNK_ROWS = 500
CHUNK_CHARACTERS = 512 * 1024
# How long the server waits for us to take rows while the journal waits for its disk.
_NET_WRITE_TIMEOUT_S = 3600

_Values = tuple[Any, ...]


class Snapshot:
    """One run over the tables, on a connection of its own."""

    def __init__(self, links: Links, clock: Clock, tables: frozenset[str]) -> None:
        self._links = links
        self._clock = clock
        self._tables = tables
        self._database = links.config.database

    def __iter__(self) -> Iterator[Capture]:
        """Read table after table, in the order of their names."""
        # Without decoders every value arrives as the server's text, bytes where it is binary.
        link = self._links.open(conv=encoders)
        try:
            # (1) the columns; (2) the read view; (3) its place in the log; (4) the rows
            with translated(self._links.config):
                columns = self._columns(link)
                start = _begin(link)
            for table in sorted(self._tables):
                yield from self._table(link, table, columns[table], start)
        finally:
            self._links.drop(link)

    def _columns(self, link: Link) -> dict[str, tuple[TableColumn, ...]]:
        with link.cursor() as cursor:
            found = columns_of(cursor, self._database, self._tables)
        missing = sorted(self._tables - found.keys())
        if missing:
            message = f"there is no table {', '.join(missing)} in {self._database}, or the account may not read it"
            raise SourceNotReadyError(message, "correct the template or GRANT SELECT")
        return found

    def _table(self, link: Link, table: str, columns: tuple[TableColumn, ...], start: LogPosition) -> Iterator[Capture]:
        layout = layout_of(table, columns)
        readers = [selected(column).read for column in columns]
        cursor = link.cursor(SSCursor)
        chunk: list[CaptureRow] = []
        number = characters = 0
        try:
            with translated(self._links.config):
                cursor.execute(select(self._database, table, columns))
            while values := self._next(cursor):
                chunk.append(CaptureRow(0, "r", None, _read(readers, values, table)))
                characters += sum(len(value) for value in values if value is not None)
                if len(chunk) == CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
                    number += 1
                    yield self._capture(start, _chunk_position(start, table, number), [layout], chunk, [])
                    chunk, characters = [], 0
            position = _chunk_position(start, table, number + 1)
            yield self._capture(start, position, [layout] if chunk else [], chunk, [CaptureEnd(table)])
        finally:
            _abandon(cursor)

    def _next(self, cursor: Any) -> _Values | None:
        with translated(self._links.config):
            row: _Values | None = cursor.fetchone()
        return row

    def _capture(
        self, start: LogPosition, position: Position, layouts: list[Any], rows: list[CaptureRow], ends: list[CaptureEnd]
    ) -> Capture:
        return Capture("snapshot", position, layouts, rows, ends, self._clock.micros(), start.text())


def _begin(link: Link) -> LogPosition:
    with link.cursor() as cursor:
        cursor.execute(f"set session net_write_timeout = {_NET_WRITE_TIMEOUT_S}")
        cursor.execute("set session transaction isolation level repeatable read")
        cursor.execute("start transaction with consistent snapshot")
        cursor.execute("show status like 'binlog_snapshot_%'")
        status = {str(name).lower(): value for name, value in cursor.fetchall()}
        file, offset = status.get("binlog_snapshot_file"), int(status.get("binlog_snapshot_position") or 0)
        if not file:
            raise SourceNotReadyError(
                "the binary log is off", "set log_bin, binlog_format=ROW and binlog_row_metadata=FULL and restart"
            )
        cursor.execute("select binlog_gtid_pos(%s, %s)", [file, offset])
        (gtid,) = cursor.fetchone()
        return LogPosition(server_identity(cursor), gtid or "", file, offset)


def _read(readers: list[Read], values: _Values, table: str) -> list[str | None]:
    try:
        return [None if value is None else read(value) for read, value in zip(readers, values, strict=True)]
    except (ValueError, ArithmeticError, TypeError) as fault:
        message = f"a row of {table} cannot be read ({fault})"
        raise DataValidationError(message, "correct the row in the source") from fault


def _chunk_position(start: LogPosition, table: str, chunk: int) -> Position:
    place = {"server": start.server, "snapshot": start.gtid, "table": table, "chunk": chunk}
    return msgspec.json.encode(place).decode()


def _abandon(cursor: Any) -> None:
    """Let go of a cursor without reading the rest of its rows, which may be millions: the connection is dropped next."""
    result = cursor._result  # noqa: SLF001 -- pymysql's own close() reads to the end
    if result is not None:
        result.unbuffered_active = False
    cursor.connection = None
