"""Snapshots: the first, on one read view and without a lock, and later ones beside the stream, each chunk on its own.

MariaDB's START TRANSACTION WITH CONSISTENT SNAPSHOT opens the read view and notes the place of the binary log that it
belongs to, exactly (https://mariadb.com/kb/en/enhancements-for-start-transaction-with-consistent-snapshot/).
"""

from collections.abc import Callable, Iterator

from pymysql.converters import encoders

from fluxion.clock import Clock
from fluxion.errors import DependencyDownError, SourceNotReadyError
from producers.source import Bounds, Capture, CaptureEnd
from producers.sources.mysql.chunks import SESSION, Chunk, Chunks, Plan, plans
from producers.sources.mysql.connection import Link, Links, translated
from producers.sources.mysql.position import (
    ChunkPosition,
    LogPosition,
    server_identity,
    verify_server,
    view_position,
    with_gtid,
)
from producers.sources.reading_order import reading_order

# A transaction is in the log before it can be seen in its tables, by the time that a commit takes.
SEEN_WITHIN_S, _LOOK_AGAIN_S = 5.0, 0.005


class _Run:
    """What both kinds share: a connection of its own, the tables that are left, Captures of chunks."""

    def __init__(
        self, links: Links, clock: Clock, tables: frozenset[str], bounds: Bounds, after: ChunkPosition | None
    ) -> None:
        self._links = links
        self._clock = clock
        self._bounds = bounds
        self._after = after
        self._database = links.config.database
        self._order = reading_order(tables, bounds)
        if after is not None and after.table in self._order:
            ended = after.key is None
            self._order = self._order[self._order.index(after.table) + ended :]

    def _open(self) -> Link:
        # Without decoders every value arrives as the server's text, bytes where it is binary.
        link = self._links.open(conv=encoders)
        try:
            with translated(self._links.config), link.cursor() as cursor:
                cursor.execute("set session transaction isolation level repeatable read")
                cursor.execute(SESSION)
                if self._after is not None:
                    verify_server(cursor, self._after.server)
        except BaseException:
            self._links.drop(link)
            raise
        return link

    def _chunks(self, table: str) -> Chunks:
        """Return the table's chunks, behind the stored one where that was of this table."""
        after = self._after
        if after is None or after.table != table:
            return Chunks(self._links.config, (), None)
        return Chunks(self._links.config, after.by, after.key)

    def _capture(self, plan: Plan, chunk: Chunk, server: str, start: LogPosition | None) -> Capture:
        position = ChunkPosition(server, start, plan.table, plan.by, chunk.key)
        return Capture(
            kind="snapshot",
            position=position.text(),
            layouts=[plan.layout] if chunk.rows else [],
            rows=chunk.rows,
            ends=[CaptureEnd(plan.table, plan.filter.since if plan.filter else None)] if chunk.ended else [],
            captured_at=self._clock.micros(),
            stream_start=start.text() if start else None,
        )


class Snapshot(_Run):
    """One first run over the tables."""

    def __iter__(self) -> Iterator[Capture]:
        """Read table after table on one read view."""
        link = self._open()
        try:
            # (1) the read view; (2) its place in the log, or that of the run that is gone on with; (3) the columns: a table
            # that is altered after (1) cannot be read on that view, and the run goes on with another; (4) the rows
            with translated(self._links.config), link.cursor() as cursor:
                cursor.execute("start transaction with consistent snapshot")
                start = self._start(link)
                found = plans(cursor, self._database, frozenset(self._order), self._bounds)
            for table in self._order:
                chunks, ended = self._chunks(table), False
                while not ended:
                    chunk = chunks.read(link, found[table])
                    ended = chunk.ended
                    yield self._capture(found[table], chunk, start.server, start)
        finally:
            self._links.drop(link)

    def _start(self, link: Link) -> LogPosition:
        if self._after is not None and self._after.start is not None:
            return self._after.start
        with link.cursor() as cursor:
            place = view_position(cursor, server_identity(cursor))
            if place is None:
                raise SourceNotReadyError(
                    "the binary log is off", "set log_bin, binlog_format=ROW and binlog_row_metadata=FULL and restart"
                )
            return with_gtid(cursor, place)


class Again(_Run):
    """One later run, beside the stream. `streamed` tells the last place that the stream has yielded."""

    def __init__(
        self,
        links: Links,
        clock: Clock,
        tables: frozenset[str],
        bounds: Bounds,
        after: ChunkPosition | None,
        *,
        streamed: Callable[[], LogPosition | None],
    ) -> None:
        super().__init__(links, clock, tables, bounds, after)
        self._streamed = streamed

    def __iter__(self) -> Iterator[Capture]:
        """Read table after table, each chunk with the columns and the rows of its own moment."""
        link = self._open()
        try:
            with translated(self._links.config), link.cursor() as cursor:
                server = server_identity(cursor)
            for table in self._order:
                chunks, ended = self._chunks(table), False
                while not ended:
                    plan, chunk = self._read(link, table, chunks, server)
                    ended = chunk.ended
                    yield self._capture(plan, chunk, server, None)
        finally:
            self._links.drop(link)

    def _read(self, link: Link, table: str, chunks: Chunks, server: str) -> tuple[Plan, Chunk]:
        self._view(link, server)
        with translated(self._links.config), link.cursor() as cursor:
            plan = plans(cursor, self._database, frozenset({table}), self._bounds)[table]
        chunk = chunks.read(link, plan)
        with translated(self._links.config), link.cursor() as cursor:
            cursor.execute("commit")
        return plan, chunk

    def _view(self, link: Link, server: str) -> None:
        """Open a read view that has everything that the stream has yielded.

        The log's reader is told of a transaction before its commit ends: a SELECT in that moment still sees the old row.
        """
        until = self._clock.monotonic() + SEEN_WITHIN_S
        while True:
            with translated(self._links.config), link.cursor() as cursor:
                cursor.execute("start transaction with consistent snapshot")
                place, streamed = view_position(cursor, server), self._streamed()
                if place is None or streamed is None or place.place() >= streamed.place():
                    return
                # (the log was rotated since the last commit: only the transactions themselves tell)
                if with_gtid(cursor, place).covers(streamed):
                    return
                cursor.execute("rollback")
            if self._clock.monotonic() > until:
                message = "MariaDB's tables do not show what its log has told"
                raise DependencyDownError(message, "it is tried again")
            self._clock.sleep(_LOOK_AGAIN_S)
