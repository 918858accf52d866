"""Snapshots: the first, in one SNAPSHOT transaction, and later ones beside the stream, each chunk in one of its own.

Such a transaction reads versions of rows and takes no lock on them; a register never waits for it
(https://learn.microsoft.com/sql/connect/ado-net/sql/snapshot-isolation-sql-server).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from fluxion.clock import Clock
from producers.source import Bounds, Capture, CaptureEnd, Position
from producers.sources.reading_order import reading_order
from producers.sources.sqlserver.chunks import Chunk, Chunks, Plan, Planner
from producers.sources.sqlserver.connection import Link, Links
from producers.sources.sqlserver.identity import Identity, Views
from producers.sources.sqlserver.method import Method
from producers.sources.sqlserver.position import ChunkPosition


class _Run(ABC):
    """What both kinds share: a connection of its own, the tables that are left, Captures of chunks."""

    def __init__(
        self,
        links: Links,
        views: Views,
        method: Method,
        clock: Clock,
        tables: frozenset[str],
        bounds: Bounds,
        after: ChunkPosition | None,
    ) -> None:
        self._links = links
        self._views = views
        self._method = method
        self._clock = clock
        self._bounds = bounds
        self._after = after
        self._order = reading_order(tables, bounds)
        if after is not None and after.table in self._order:
            ended = after.key is None
            self._order = self._order[self._order.index(after.table) + ended :]

    def __iter__(self) -> Iterator[Capture]:
        """Read table after table."""
        link = self._links.open()
        try:
            yield from self._read(link)
        finally:
            self._links.drop(link)

    @abstractmethod
    def _read(self, link: Link) -> Iterator[Capture]:
        """Read what is left of the tables on this connection."""

    def _identity(self, link: Link) -> Identity:
        now = self._views.identity(link)
        return now if self._after is None else self._after.database.verify(now)

    def _chunks(self, table: str) -> Chunks:
        """Return the table's chunks, behind the stored one where that was of this table."""
        after = self._after
        return Chunks(after.by, after.key) if after is not None and after.table == table else Chunks((), None)

    def _capture(self, plan: Plan, chunk: Chunk, identity: Identity, start: Position | None) -> Capture:
        self._method.read(plan.shape, chunk.rows)
        position = ChunkPosition(identity, start, plan.shape.name, plan.by, chunk.key)
        since = plan.filter.since if plan.filter else None
        return Capture(
            kind="snapshot",
            position=position.text(),
            layouts=[plan.shape.layout] if chunk.rows else [],
            rows=chunk.rows,
            ends=[CaptureEnd(plan.shape.name, since)] if chunk.ended else [],
            captured_at=self._clock.micros(),
            stream_start=start,
        )


class Snapshot(_Run):
    """One first run over the tables, on one view of the data."""

    def _read(self, link: Link) -> Iterator[Capture]:
        identity = self._identity(link)
        if self._after is not None and self._after.start is not None:
            # Before hours are spent: the place where the stream must start may be gone.
            self._method.prove(link, identity, self._after.start)
        # (1) Where the stream begins, before the view of the data: what is committed until then is read and streamed once
        # more, which is harmless; the other way round it would be in neither. (2) The columns: a table that is altered
        # later cannot be read on this view (error 3961), and the run goes on with another. (3) The rows.
        start = self._start(link, identity)
        with link.snapshot():
            found = Planner(self._links.config, frozenset(self._order), self._bounds).plans(link)
            for table in self._order:
                chunks, ended = self._chunks(table), False
                while not ended:
                    chunk = chunks.read(link, found[table])
                    ended = chunk.ended
                    yield self._capture(found[table], chunk, identity, start)

    def _start(self, link: Link, identity: Identity) -> Position:
        now = self._method.begin(link, identity)
        return now if self._after is None or self._after.start is None else self._after.start


class Again(_Run):
    """One later run, beside the stream.

    Each chunk's transaction begins when it is asked for, and so sees all that is committed by then: all that the stream has
    yielded, for a poll reads rows and versions in such a transaction itself, never what is not committed yet.
    """

    def _read(self, link: Link) -> Iterator[Capture]:
        identity = self._identity(link)
        for table in self._order:
            planner = Planner(self._links.config, frozenset({table}), self._bounds)
            chunks, ended = self._chunks(table), False
            while not ended:
                with link.snapshot():
                    plan = planner.plans(link)[table]
                    chunk = chunks.read(link, plan)
                ended = chunk.ended
                yield self._capture(plan, chunk, identity, None)
