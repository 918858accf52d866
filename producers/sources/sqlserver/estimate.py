"""About how many rows a snapshot will read: what the storage engine counts, and counts of seconds where it is bounded."""

from fluxion.clock import Clock
from fluxion.errors import AccessDeniedError, DependencyDownError, SourceNotReadyError
from producers.source import Bounds
from producers.sources.sqlserver.bounds import TABLE, filter_of
from producers.sources.sqlserver.catalogue import Shapes, TableShape, rows_of
from producers.sources.sqlserver.connection import Link, Links

# A count that takes longer is given up, and after so long no other is begun: without it a table's rows are unknown.
COUNT_S, ALL_COUNTS_S = 2, 6.0


class Estimate:
    """Counts on one connection."""

    def __init__(self, links: Links, clock: Clock, bounds: Bounds) -> None:
        self._links = links
        self._clock = clock
        self._bounds = bounds
        self._until = clock.monotonic() + ALL_COUNTS_S

    def rows(self, tables: frozenset[str]) -> int:
        """Return the number; a table of lines is thought to have as large a part of its rows in bounds as its header."""
        bounds = self._bounds
        headers = {bounds[table].header or table for table in tables if table in bounds}
        link = self._links.open(query_timeout_s=COUNT_S)
        try:
            shapes = Shapes(self._links.config, tables | headers).read(link)
            inside = {header: self._inside(link, header, shapes) for header in sorted(headers)}
            whole = self._whole(link, shapes)
        finally:
            self._links.drop(link)
        total = 0.0
        for table in tables:
            header = (bounds[table].header or table) if table in bounds else table
            count = inside.get(header) if table in bounds else None
            if count is None:
                total += whole.get(table, 0)
            else:
                total += count if table == header else whole.get(table, 0) * count / max(whole.get(header, 0), count, 1)
        return round(total)

    def _whole(self, link: Link, shapes: dict[str, TableShape]) -> dict[str, int]:
        try:
            return rows_of(link, self._links.config, shapes)
        except (AccessDeniedError, SourceNotReadyError, DependencyDownError):
            # The login may not see what the storage engine knows, or it waits for somebody who changes a table.
            return {name: self._count(link, shape, "") or 0 for name, shape in shapes.items()}

    def _inside(self, link: Link, table: str, shapes: dict[str, TableShape]) -> int | None:
        """Return how many rows are in bounds, None where that takes too long or is not known."""
        if table not in self._bounds or table not in shapes:
            return None
        found = filter_of(table, self._bounds[table], shapes)
        return self._count(link, shapes[table], f" WHERE {found.condition}") if found else None

    def _count(self, link: Link, shape: TableShape, where: str) -> int | None:
        if self._clock.monotonic() > self._until:
            return None
        try:
            with link.snapshot():
                ((count,),) = link.rows(f"SELECT COUNT_BIG(*) FROM {shape.qualified} AS {TABLE}{where}")  # noqa: S608 -- quoted
        except DependencyDownError:
            link.rows(
                "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION"
            )  # raises where it is the line, not the time, that is over
            return None
        return int(count)
