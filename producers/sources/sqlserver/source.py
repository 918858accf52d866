"""SQL Server behind the contract of `producers.source`."""

from collections.abc import Callable, Iterator, Mapping

from fluxion.clock import Clock
from fluxion.errors import DependencyDownError
from producers.source import Bounds, Capture, Fault, Position
from producers.sources.sqlserver.catalogue import catalogue_of
from producers.sources.sqlserver.cdc import ChangeDataCapture
from producers.sources.sqlserver.change_tracking import ChangeTracking
from producers.sources.sqlserver.check import find_faults
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Links
from producers.sources.sqlserver.edition import Choice, choose, edition_of
from producers.sources.sqlserver.estimate import Estimate
from producers.sources.sqlserver.identity import Views
from producers.sources.sqlserver.method import Method
from producers.sources.sqlserver.position import parse_chunk
from producers.sources.sqlserver.rowversion import Rowversion
from producers.sources.sqlserver.snapshot import Again, Snapshot
from producers.sources.sqlserver.stream import Stream
from schemas.source_tables import Table

_METHODS: Mapping[str, Callable[[SQLServerConfig, Views, Clock], Method]] = {
    "auto": ChangeTracking,
    "change_tracking": ChangeTracking,
    "cdc": ChangeDataCapture,
    "rowversion": Rowversion,
}


class SQLServerSource:
    """A `Source` for SQL Server 2012 or newer, of any edition, by one of `_METHODS`. It writes nothing."""

    def __init__(self, config: SQLServerConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._links = Links(config)
        self._views = Views()
        self._method: Method = _METHODS[config.method](config, self._views, clock)

    def check(self) -> list[Fault]:
        """Return every fault at once; see `Source.check`."""
        return find_faults(self._links, self._method, self._clock)

    def choice(self) -> Choice:
        """Return the method by which this server is captured, and why."""
        link = self._links.open()
        try:
            return choose(self._config, edition_of(link))
        finally:
            self._links.drop(link)

    def method(self) -> str:
        """Say by what changes are captured, and why by that."""
        chosen = self.choice()
        return f"by {chosen.method.replace('_', ' ')}: {chosen.reason}"

    def catalogue(self) -> dict[str, Table]:
        """Return the database's tables for `schemas.mapping.check`. Writes nothing."""
        link = self._links.open()
        try:
            return catalogue_of(link, self._config)
        finally:
            self._links.drop(link)

    def snapshot(self, after: Position | None, tables: frozenset[str], bounds: Bounds) -> Iterator[Capture]:
        """Read the tables; see `Source.snapshot`."""
        place = parse_chunk(after) if after is not None else None
        yield from self._until_closed(
            iter(Snapshot(self._links, self._views, self._method, self._clock, tables, bounds, place)),
        )

    def resnapshot(self, after: Position | None, tables: frozenset[str], bounds: Bounds) -> Iterator[Capture]:
        """Read the tables again beside the stream; see `Source.resnapshot`."""
        place = parse_chunk(after) if after is not None else None
        yield from self._until_closed(
            iter(Again(self._links, self._views, self._method, self._clock, tables, bounds, place)),
        )

    def estimate(self, tables: frozenset[str], bounds: Bounds) -> int:
        """Return about how many rows a snapshot will read; see `Source.estimate`."""
        return Estimate(self._links, self._clock, bounds).rows(tables)

    def stream(self, after: Position) -> Iterator[Capture]:
        """Follow the changes; see `Source.stream`."""
        yield from self._until_closed(iter(Stream(self._links, self._views, self._method, self._clock, after)))

    def close(self) -> None:
        """End what runs; see `Source.close`."""
        self._links.shut()

    def _until_closed(self, captures: Iterator[Capture]) -> Iterator[Capture]:
        try:
            yield from captures
        except DependencyDownError:
            if not self._links.closed:
                raise
