"""The binary log from a GTID on, as one Capture a source transaction."""

import logging
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pymysql
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.constants import NONE_SOURCE
from pymysqlreplication.event import HeartbeatLogEvent, MariadbGtidEvent, QueryEvent, XidEvent
from pymysqlreplication.row_event import DeleteRowsEvent, RowsEvent, UpdateRowsEvent, WriteRowsEvent

from fluxion.clock import Clock
from fluxion.errors import DataValidationError, DependencyDownError, FluxionError, SourceNotReadyError
from fluxion.log import get_logger
from producers.source import Capture, CaptureRow
from producers.sources.mysql.connection import Link, Links, translate, translated
from producers.sources.mysql.position import LogPosition, verify
from producers.sources.mysql.values import Read, logged
from schemas.records import Column, Layout, Op

HEARTBEAT_S = 2
# How often a busy log without our tables still moves the position.
QUIET_S = 1.0
_STANDALONE, _PREPARED_XA = 1, 64
_OUR_IDS = 1 << 30
_EVENTS = [
    MariadbGtidEvent, WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent, XidEvent, QueryEvent, HeartbeatLogEvent,
]  # fmt: skip
_COMMENT = re.compile(r"\s*(?:/\*.*?\*/|--[^\n]*\n|#[^\n]*\n|\s)*", re.DOTALL)
_WRITES = {"INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH", "CALL"}
_DEFINES = {"ALTER", "DROP", "RENAME", "TRUNCATE"}

_Key = tuple[Any, ...]
_Values = list[str | None]

# It warns of each lost connection and then reconnects at the place where it began; `_Line` refuses that and says why.
logging.getLogger("pymysqlreplication").setLevel(logging.CRITICAL)


class _Table:
    """How the rows of one version of a table are read."""

    def __init__(self, event: RowsEvent) -> None:
        columns = event.columns
        if not all(column.name for column in columns):
            message = f"the binary log has rows of {event.table} without the columns' names"
            mend = "SET GLOBAL binlog_row_metadata = FULL and write it to my.cnf, then enrol the agent in a new folder, which takes a new snapshot"
            raise SourceNotReadyError(message, mend)
        self.layout = Layout(
            table=event.table,
            key=[column.name for column in columns if column.is_primary],
            columns=[Column(column.name, logged(column).type) for column in columns],
        )
        if not self.layout.key:
            raise SourceNotReadyError(f"table {event.table} has no primary key", "give it one")
        self._readers: list[tuple[str, Read]] = [(column.name, logged(column).read) for column in columns]
        self._key = [index for index, column in enumerate(columns) if column.is_primary]

    def read(self, values: dict[str, Any], sources: dict[str, str]) -> _Values:
        """Return a row image as canonical text. `sources` says why a value is None: an empty SET is not NULL."""
        return [
            read(value)
            if (value := values[name]) is not None
            else ("" if sources.get(name) == NONE_SOURCE.EMPTY_SET else None)
            for name, read in self._readers
        ]

    def key(self, values: _Values) -> _Key:
        """Return the key's values."""
        return tuple(values[index] for index in self._key)


class Stream:
    """Follows the log on a connection of its own."""

    def __init__(self, links: Links, clock: Clock, after: LogPosition) -> None:
        self._links = links
        self._clock = clock
        self._server = after.server
        self._after = after
        self._gtids = {gtid.split("-")[0]: gtid for gtid in after.gtid.split(",") if gtid}
        self._place = (after.file, after.offset)
        self._tables: dict[_Key, _Table] = {}
        self._group: MariadbGtidEvent | None = None
        self._layouts: list[Layout] = []
        self._rows: list[CaptureRow] = []

    def __iter__(self) -> Iterator[Capture]:
        """Yield transactions as they are committed, empty Captures when there are none of ours."""
        self._verify()
        line = _Line(self._links)
        reader = _reader(line.open, self._after.gtid, self._links)
        yielded = self._clock.monotonic()
        try:
            while True:
                ready = self._take(reader) and bool(self._rows)
                if ready or self._clock.monotonic() - yielded >= QUIET_S:
                    yield self._capture(with_rows=ready)
                    yielded = self._clock.monotonic()
        finally:
            line.drop()

    def _verify(self) -> None:
        link = self._links.open()
        try:
            with translated(self._links.config), link.cursor() as cursor:
                verify(cursor, self._after)
        finally:
            self._links.drop(link)

    def _take(self, reader: BinLogStreamReader) -> bool:
        """Read one event; true where it ends a transaction."""
        try:
            return self._digest(reader.fetchone(), reader)
        except FluxionError:
            raise
        except pymysql.MySQLError as fault:
            raise translate(fault, self._links.config) from fault
        except Exception as fault:  # mysql-replication raises whatever it stumbles over
            if self._links.closed:
                raise DependencyDownError("the source was closed") from fault
            message = f"the binary log at {reader.log_file}:{reader.log_pos} cannot be read ({fault})"
            raise DataValidationError(
                message, "report it; an agent enrolled in a new folder passes over it with its snapshot"
            ) from fault

    def _digest(self, event: Any, reader: BinLogStreamReader) -> bool:
        if event is None:
            raise DependencyDownError("MariaDB ended the binary log's connection", "it is tried again")
        if isinstance(event, RowsEvent):
            self._add_rows(event)
            return False
        if isinstance(event, MariadbGtidEvent):
            self._begin(event)
            return False
        if isinstance(event, QueryEvent):
            if not self._ends_with(event):
                return False
        elif not isinstance(event, XidEvent):  # a heartbeat: everything before it was read
            if self._group is None:
                self._place = (reader.log_file, reader.log_pos)
            return False
        self._finish(reader)
        return True

    def _begin(self, event: MariadbGtidEvent) -> None:
        if self._group is not None:  # the half of an XA transaction; it has no end of its own
            if self._rows:
                message = f"the XA transaction {self._group.gtid} touches captured tables"
                raise SourceNotReadyError(message, "let the point of sale write in ordinary transactions")
            self._gtids[str(self._group.domain_id)] = self._group.gtid
        self._group = event

    def _ends_with(self, event: QueryEvent) -> bool:
        standalone = bool(self._group is not None and self._group.flags & _STANDALONE)
        text = _COMMENT.sub("", event.query, count=1)
        verb = text.split(None, 1)[0].upper().rstrip(";") if text.strip() else ""
        ours = event.schema in {self._links.config.database, self._links.config.database.encode()}
        if verb in _WRITES and ours:
            message = f"a session writes statements instead of rows to the binary log ({text[:80]!r})"
            raise SourceNotReadyError(
                message,
                "keep binlog_format = ROW in every session, then enrol the agent in a new folder, which takes a new snapshot",
            )
        if verb in _DEFINES and any(table in text for table in self._links.config.tables):
            get_logger().warning("a statement changes a captured table as a whole", statement=text[:200])
        if verb == "ROLLBACK" and "TO" not in text.upper().split():
            self._rows.clear()
            return True
        return standalone or verb == "COMMIT"

    def _finish(self, reader: BinLogStreamReader) -> None:
        if self._group is not None:
            self._gtids[str(self._group.domain_id)] = self._group.gtid
        self._group = None
        self._place = (reader.log_file, reader.log_pos)

    def _add_rows(self, event: RowsEvent) -> None:
        table = self._table(event)
        if table.layout not in self._layouts:
            self._layouts.append(table.layout)
        layout = self._layouts.index(table.layout)
        when = event.timestamp * 1_000_000
        for row in event.rows:
            for op, values in _images(event, row, table):
                self._rows.append(CaptureRow(layout, op, when, values))

    def _table(self, event: RowsEvent) -> _Table:
        signature = (event.table, *(_describe(column) for column in event.columns))
        if signature not in self._tables:
            self._tables[signature] = _Table(event)
        for bitmap in (event.columns_present_bitmap, getattr(event, "columns_present_bitmap2", None)):
            if bitmap is not None and int.from_bytes(bitmap, "little").bit_count() < event.number_of_columns:
                message = f"the binary log has incomplete rows of {event.table}"
                raise SourceNotReadyError(
                    message,
                    "SET GLOBAL binlog_row_image = FULL, then enrol the agent in a new folder, which takes a new snapshot",
                )
        return self._tables[signature]

    def _capture(self, *, with_rows: bool) -> Capture:
        position = LogPosition(self._server, ",".join(self._gtids.values()), *self._place).text()
        layouts, rows = (self._layouts, self._rows) if with_rows else ([], [])
        if with_rows:
            self._layouts, self._rows = [], []
        return Capture("stream", position, layouts, rows, [], self._clock.micros())


def _describe(column: Any) -> _Key:
    return (
        column.name, column.type, column.collation_name, column.is_primary, getattr(column, "fsp", 0),
        getattr(column, "bits", 0), getattr(column, "max_length", 0),
        tuple(column.set_values or ()), tuple(column.enum_values or ()),
    )  # fmt: skip


def _images(event: RowsEvent, row: dict[str, Any], table: _Table) -> Iterator[tuple[Op, _Values]]:
    if isinstance(event, UpdateRowsEvent):
        old = table.read(row["before_values"], row["before_none_sources"])
        new = table.read(row["after_values"], row["after_none_sources"])
        if table.key(old) == table.key(new):
            yield "u", new
        else:
            yield "d", old
            yield "c", new
    else:
        yield ("d" if isinstance(event, DeleteRowsEvent) else "c"), table.read(row["values"], row["none_sources"])


class _Line:
    """Opens the two connections that the reader wants, and refuses a third: that would begin again at the start."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._opened: list[Link] = []

    def open(self, **settings: Any) -> Link:
        """Stand in for pymysql.connect."""
        if len(self._opened) == 2:  # noqa: PLR2004 -- the log's and the catalogue's
            raise DependencyDownError("the connection to MariaDB's binary log was lost", "it is tried again")
        wanted = {"database": settings.get("db"), "cursorclass": settings.get("cursorclass", pymysql.cursors.Cursor)}
        link = self._links.open(**wanted)
        self._opened.append(link)
        return link

    def drop(self) -> None:
        """Close both."""
        for link in self._opened:
            self._links.drop(link)


def _reader(opener: Callable[..., Link], gtid: str, links: Links) -> BinLogStreamReader:
    return BinLogStreamReader(
        connection_settings={},
        # The server ends an older reader with the same id; any that is not its own serves.
        server_id=_OUR_IDS + secrets.randbelow(_OUR_IDS),
        pymysql_wrapper=opener,
        blocking=True,
        is_mariadb=True,
        auto_position=gtid,
        slave_heartbeat=HEARTBEAT_S,
        only_events=_EVENTS,
        only_schemas=[links.config.database],
        only_tables=sorted(links.config.tables),
        enable_logging=False,
    )
