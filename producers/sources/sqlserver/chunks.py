"""One table in chunks, in the order of its primary key; whoever calls says on which view of the data."""

from dataclasses import dataclass

from fluxion.errors import DataValidationError, SourceNotReadyError
from producers.source import Bounds, CaptureRow
from producers.sources.sqlserver.bounds import TABLE, Filter, filter_of
from producers.sources.sqlserver.catalogue import Shapes, TableShape
from producers.sources.sqlserver.changes import read_values
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Link, Row
from producers.sources.sqlserver.keyset import Key, Step, kept, steps
from producers.sources.sqlserver.values import Read, canonical, quoted

CHUNK_ROWS = 500
CHUNK_CHARACTERS = 512 * 1024
# How many rows of a bounded table one query looks through: years of old tickets must not keep it busy for minutes.
WINDOW_ROWS = 20_000


@dataclass(frozen=True)
class Plan:
    """How a table is read today."""

    shape: TableShape
    readers: list[Read]
    key_places: list[int]
    filter: Filter | None

    @property
    def by(self) -> tuple[str, ...]:
        """The names of the key's columns, in the order of its index."""
        return tuple(column.name for column in self.shape.key)

    def key(self, row: Row) -> Key:
        """Return the key of a row, as a position keeps it."""
        return kept(self.shape.key, [row[place] for place in self.key_places])


@dataclass(frozen=True)
class Chunk:
    """Some rows, and the key behind which the next chunk begins; `ended`: there is none."""

    rows: list[CaptureRow]
    key: Key | None
    ended: bool


class Planner:
    """Plans how tables are read, anew whenever it is asked: columns change."""

    def __init__(self, config: SQLServerConfig, tables: frozenset[str], bounds: Bounds) -> None:
        self._config = config
        self._tables = tables
        self._bounds = bounds
        headers = {bounds[table].header for table in tables if table in bounds}
        self._shapes = Shapes(config, tables | {header for header in headers if header is not None})

    def plans(self, link: Link) -> dict[str, Plan]:
        """Return how each table is read; SourceNotReadyError where one is missing or cannot be."""
        shapes = self._shapes.read(link)
        missing = sorted(self._tables - shapes.keys())
        if missing:
            message = f"there is no table {', '.join(missing)} in {self._config.database}, or the login may not read it"
            raise SourceNotReadyError(message, "correct the template, or GRANT SELECT")
        return {table: _plan(shapes[table], self._bounds, shapes) for table in self._tables}


def _plan(shape: TableShape, bounds: Bounds, shapes: dict[str, TableShape]) -> Plan:
    if not shape.key:
        message = f"table {shape.name} has no primary key over columns that can be captured"
        raise SourceNotReadyError(message, f"ALTER TABLE {shape.qualified} ADD PRIMARY KEY (…)")
    bound = bounds.get(shape.name)
    return Plan(
        shape=shape,
        readers=[canonical(column).read for column in shape.columns],
        key_places=[shape.columns.index(column) for column in shape.key],
        filter=filter_of(shape.name, bound, shapes) if bound else None,
    )


class Chunks:
    """Walks one table from behind `key`, whose columns are `by`, on (None: from its beginning)."""

    def __init__(self, by: tuple[str, ...], key: Key | None) -> None:
        self._by = by
        self._key = key

    def read(self, link: Link, plan: Plan) -> Chunk:
        """Read the next chunk, bounded in rows and in characters. A table that has another key than before begins anew."""
        if plan.by != self._by:
            self._by, self._key = plan.by, None
        rows: list[CaptureRow] = []
        characters = 0
        for step in steps(plan.shape.key, self._key):
            window = self._window(link, plan, step) if plan.filter else None
            found, length = _rows(link, plan, step, CHUNK_ROWS - len(rows), CHUNK_CHARACTERS - characters)
            rows += [_row(plan, row) for row in found]
            characters += length
            if len(rows) >= CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
                self._key = plan.key(found[-1])
                return Chunk(rows, self._key, ended=False)
            if window is not None:
                self._key = window
                return Chunk(rows, self._key, ended=False)
        return Chunk(rows, None, ended=True)

    def _window(self, link: Link, plan: Plan, step: Step) -> Key | None:
        """Return the key up to which a step of a bounded table is looked through next; None: to its end."""
        keys = ", ".join(quoted(name) for name in plan.by)
        where = f" WHERE {step.condition}" if step.condition else ""
        query = f"SELECT {keys} FROM {plan.shape.qualified} AS {TABLE}{where} ORDER BY {keys}"  # noqa: S608 -- quoted
        only = f" OFFSET {WINDOW_ROWS - 1} ROWS FETCH NEXT 1 ROWS ONLY"
        row = next(iter(link.rows(query + only, *step.parameters)), None)
        return None if row is None else kept(plan.shape.key, row)


def _rows(link: Link, plan: Plan, step: Step, rows: int, characters: int) -> tuple[list[Row], int]:
    where = f" WHERE {step.condition}" if step.condition else ""
    order = ", ".join(f"{TABLE}.{quoted(name)}" for name in plan.by)
    source = f"{plan.shape.qualified} AS {TABLE}{where}"
    if plan.filter is not None:
        names = ", ".join(f"{TABLE}.{quoted(column.name)}" for column in plan.shape.columns)
        window = f"SELECT TOP ({WINDOW_ROWS}) {names} FROM {source} ORDER BY {order}"  # noqa: S608 -- quoted
        source = f"({window}) AS {TABLE} WHERE {plan.filter.condition}"
    what = ", ".join(plan.shape.selected(TABLE))
    # The number in the text, not as a parameter: the server then plans for few rows.
    link.start(f"SELECT TOP ({rows}) {what} FROM {source} ORDER BY {order}", *step.parameters)  # noqa: S608 -- quoted
    return link.take(rows, characters, plan.shape.long_places)


def _row(plan: Plan, row: Row) -> CaptureRow:
    try:
        return CaptureRow(0, "r", None, read_values(plan.readers, row))
    except (ValueError, ArithmeticError, TypeError) as fault:
        message = f"a row of {plan.shape.name} cannot be read ({fault})"
        raise DataValidationError(message, "correct the row in the source") from fault
