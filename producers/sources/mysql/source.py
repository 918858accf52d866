"""MariaDB behind the contract of `producers.source`."""

from collections.abc import Iterator

from fluxion.clock import Clock
from fluxion.errors import DependencyDownError
from producers.source import Bounds, Capture, Fault, Position
from producers.sources.mysql.catalogue import catalogue_of
from producers.sources.mysql.check import find_faults
from producers.sources.mysql.connection import Links, MySQLConfig, translated
from producers.sources.mysql.estimate import estimate
from producers.sources.mysql.position import ChunkPosition, LogPosition, parse, parse_chunk
from producers.sources.mysql.snapshot import Again, Snapshot
from producers.sources.mysql.stream import Stream
from schemas.source_tables import Table


class MySQLSource:
    """A `Source` for MariaDB ≥ 10.5; MySQL itself is told apart by `check` and not supported yet."""

    def __init__(self, config: MySQLConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._links = Links(config)
        self._streamed: Position | None = None

    def check(self) -> list[Fault]:
        """Return every fault at once; see `Source.check`."""
        return find_faults(self._config, self._links, self._clock)

    def method(self) -> str:
        """Say by what changes are captured; there is one way."""
        return "by its binary log"

    def catalogue(self) -> dict[str, Table]:
        """Return the database's tables for `schemas.mapping.check`. Writes nothing."""
        link = self._links.open()
        try:
            with translated(self._config), link.cursor() as cursor:
                return catalogue_of(cursor, self._config.database)
        finally:
            self._links.drop(link)

    def snapshot(self, after: Position | None, tables: frozenset[str], bounds: Bounds) -> Iterator[Capture]:
        """Read the tables; see `Source.snapshot`."""
        place = parse_chunk(after) if after is not None else None
        yield from self._until_closed(self._snapshot(place, tables, bounds))

    def resnapshot(self, after: Position | None, tables: frozenset[str], bounds: Bounds) -> Iterator[Capture]:
        """Read the tables again beside the stream; see `Source.resnapshot`."""
        place = parse_chunk(after) if after is not None else None
        again = Again(self._links, self._clock, tables, bounds, place, streamed=self._last_streamed)
        yield from self._until_closed(iter(again))

    def estimate(self, tables: frozenset[str], bounds: Bounds) -> int:
        """Return about how many rows a snapshot will read; see `Source.estimate`."""
        link = self._links.open()
        try:
            with translated(self._config), link.cursor() as cursor:
                return estimate(cursor, self._config, tables, bounds)
        finally:
            self._links.drop(link)

    def stream(self, after: Position) -> Iterator[Capture]:
        """Follow the log; see `Source.stream`."""
        for capture in self._until_closed(iter(Stream(self._links, self._clock, parse(after)))):
            self._streamed = capture.position
            yield capture

    def close(self) -> None:
        """End what runs; see `Source.close`."""
        self._links.shut()

    def _snapshot(self, place: ChunkPosition | None, tables: frozenset[str], bounds: Bounds) -> Iterator[Capture]:
        if place is not None and place.start is not None:
            # Before hours are spent: the log may have lost the place where the stream must start.
            Stream(self._links, self._clock, place.start).prove()
        yield from Snapshot(self._links, self._clock, tables, bounds, place)

    def _last_streamed(self) -> LogPosition | None:
        return parse(self._streamed) if self._streamed is not None else None

    def _until_closed(self, captures: Iterator[Capture]) -> Iterator[Capture]:
        try:
            yield from captures
        except DependencyDownError:
            if not self._links.closed:
                raise
