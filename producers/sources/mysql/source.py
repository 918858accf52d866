"""MariaDB behind the contract of `producers.source`."""

from collections.abc import Iterator

from fluxion.clock import Clock
from fluxion.errors import DependencyDownError
from producers.source import Bounds, Capture, Fault, Position
from producers.sources.mysql.catalogue import catalogue_of
from producers.sources.mysql.check import find_faults
from producers.sources.mysql.connection import Links, MySQLConfig, translated
from producers.sources.mysql.position import parse
from producers.sources.mysql.snapshot import Snapshot
from producers.sources.mysql.stream import Stream
from schemas.mapping import Table


class MySQLSource:
    """A `Source` for MariaDB ≥ 10.5; MySQL itself is told apart by `check` and not supported yet."""

    def __init__(self, config: MySQLConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._links = Links(config)

    def check(self) -> list[Fault]:
        """Return every fault at once; see `Source.check`."""
        return find_faults(self._config, self._links)

    def catalogue(self) -> dict[str, Table]:
        """Return the database's tables for `schemas.mapping.check`. Writes nothing."""
        link = self._links.open()
        try:
            with translated(self._config), link.cursor() as cursor:
                return catalogue_of(cursor, self._config.database)
        finally:
            self._links.drop(link)

    def snapshot(self, after: Position | None, tables: frozenset[str], bounds: Bounds) -> Iterator[Capture]:
        """Read the tables whole; see `Source.snapshot`. An interrupted run begins again, with a start of its own."""
        del after, bounds
        yield from self._until_closed(iter(Snapshot(self._links, self._clock, tables)))

    def stream(self, after: Position) -> Iterator[Capture]:
        """Follow the log; see `Source.stream`."""
        yield from self._until_closed(iter(Stream(self._links, self._clock, parse(after))))

    def close(self) -> None:
        """End what runs; see `Source.close`."""
        self._links.shut()

    def _until_closed(self, captures: Iterator[Capture]) -> Iterator[Capture]:
        try:
            yield from captures
        except DependencyDownError:
            if not self._links.closed:
                raise
