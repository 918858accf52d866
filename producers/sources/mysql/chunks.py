"""One table in chunks, in the order of its primary key; whoever calls says on which view of the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymysql.cursors import Cursor, SSCursor

from fluxion.errors import DataValidationError, SourceNotReadyError
from producers.source import Bounds, CaptureRow
from producers.sources.mysql.bounds import TABLE, Filter, filter_of
from producers.sources.mysql.catalogue import columns_of, keys_of, layout_of
from producers.sources.mysql.connection import Link, MySQLConfig, translated
from producers.sources.mysql.keyset import Key, KeyColumn, behind, key_column, up_to
from producers.sources.mysql.values import Read, TableColumn, expression, quoted, selected
from schemas.records import Layout

CHUNK_ROWS = 500
CHUNK_CHARACTERS = 512 * 1024
# How many rows of a bounded table one query looks through: years of old tickets must not keep it busy for minutes.
WINDOW_ROWS = 20_000
# A sub-query is asked row by row, in the order of the key; turned into a join it would sort the whole table each time.
SESSION = "set session optimizer_switch = 'exists_to_in=off'"

_Values = tuple[Any, ...]


@dataclass(frozen=True)
class Plan:
    """How a table is read today."""

    database: str
    table: str
    layout: Layout
    expressions: tuple[str, ...]
    readers: tuple[Read, ...]
    key: tuple[KeyColumn, ...]
    filter: Filter | None

    @property
    def by(self) -> tuple[str, ...]:
        """The names of the key's columns, in the order of its index."""
        return tuple(column.name for column in self.key)


@dataclass(frozen=True)
class Chunk:
    """Some rows, and the key behind which the next chunk begins; `ended`: there is none."""

    rows: list[CaptureRow]
    key: Key | None
    ended: bool


def plans(cursor: Cursor, database: str, tables: frozenset[str], bounds: Bounds) -> dict[str, Plan]:
    """Return how each table is read; SourceNotReadyError where one is missing or cannot be."""
    headers = {bounds[table].header for table in tables if table in bounds}
    columns = columns_of(cursor, database, tables | {header for header in headers if header is not None})
    missing = sorted(tables - columns.keys())
    if missing:
        message = f"there is no table {', '.join(missing)} in {database}, or the account may not read it"
        raise SourceNotReadyError(message, "correct the template or GRANT SELECT")
    keys = keys_of(cursor, database, tables)
    return {table: _plan(database, table, columns, keys.get(table, ()), bounds) for table in tables}


def _plan(database: str, table: str, columns: Mapping[str, tuple[TableColumn, ...]], key: Key, bounds: Bounds) -> Plan:
    by_name = {column.name: column for column in columns[table]}
    if not key or not all(by_name[name].is_key for name in key):
        message = f"table {table} has no primary key over whole columns"
        raise SourceNotReadyError(message, f"ALTER TABLE {quoted(table)} ADD PRIMARY KEY (…)")
    bound = bounds.get(table)
    return Plan(
        database=database,
        table=table,
        layout=layout_of(table, columns[table]),
        expressions=tuple(expression(column) for column in columns[table]),
        readers=tuple(selected(column).read for column in columns[table]),
        key=tuple(key_column(by_name[name]) for name in key),
        filter=filter_of(database, table, bound, columns) if bound else None,
    )


class Chunks:
    """Walks one table from behind `key`, whose columns are `by`, on (None: from its beginning)."""

    def __init__(self, config: MySQLConfig, by: tuple[str, ...], key: Key | None) -> None:
        self._config = config
        self._by = by
        self._key = key
        self._limit = CHUNK_ROWS

    def read(self, link: Link, plan: Plan) -> Chunk:
        """Read the next chunk: one query, or two where the table is bounded. Bounded in rows and in characters.

        A table that has another key than before begins anew.
        """
        if plan.by != self._by:
            self._by, self._key = plan.by, None
        last = self._window(link, plan) if plan.filter else None
        rows, key, full = self._rows(link, plan, last)
        if full:
            self._key = key
        elif last is not None:
            self._key = last
        else:
            return Chunk(rows, None, ended=True)
        return Chunk(rows, self._key, ended=False)

    def _window(self, link: Link, plan: Plan) -> Key | None:
        """Return the key up to which a bounded table is looked through next; None: to its end."""
        keys = ", ".join(column.selected for column in plan.key)
        with translated(self._config), link.cursor(Cursor) as cursor:
            cursor.execute(self._query(plan, keys, [], f"{WINDOW_ROWS - 1}, 1"))
            row: Any = cursor.fetchone()
        return None if row is None else _key(plan, row)

    def _rows(self, link: Link, plan: Plan, last: Key | None) -> tuple[list[CaptureRow], Key | None, bool]:
        """Return the rows, the last one's key, and whether there may be more of them."""
        width = len(plan.expressions)
        what = ", ".join([*plan.expressions, *(column.selected for column in plan.key)])
        conditions = [plan.filter.condition] if plan.filter else []
        if last is not None:
            conditions.append(up_to(plan.key, last))
        rows: list[CaptureRow] = []
        values: _Values | None = None
        characters = 0
        with translated(self._config):
            cursor = link.cursor(SSCursor)
            cursor.execute(self._query(plan, what, conditions, str(self._limit)))
            while characters < CHUNK_CHARACTERS and (found := cursor.fetchone()):
                values = found
                rows.append(CaptureRow(0, "r", None, _values(plan, values[:width])))
                characters += sum(len(value) for value in values if value is not None)
            cursor.close()  # takes what is left, which the limit keeps small
        full = len(rows) == self._limit or characters >= CHUNK_CHARACTERS
        self._adapt(len(rows), characters)
        return rows, _key(plan, values[width:]) if values else None, full

    def _adapt(self, rows: int, characters: int) -> None:
        """Ask for no more wide rows than fit, so that few are sent in vain."""
        if characters >= CHUNK_CHARACTERS:
            self._limit = max(1, rows)
        else:
            self._limit = min(CHUNK_ROWS, self._limit * 2)

    def _query(self, plan: Plan, what: str, conditions: list[str], limit: str) -> str:
        if self._key is not None:
            conditions = [behind(plan.key, self._key), *conditions]
        where = f" where {' and '.join(conditions)}" if conditions else ""
        order = ", ".join(quoted(name) for name in plan.by)
        source = f"{quoted(plan.database)}.{quoted(plan.table)} as {TABLE} force index (primary)"
        return f"select {what} from {source}{where} order by {order} limit {limit}"  # noqa: S608 -- quoted; literals by `keyset`


def _values(plan: Plan, values: _Values) -> list[str | None]:
    try:
        return [None if value is None else read(value) for read, value in zip(plan.readers, values, strict=True)]
    except (ValueError, ArithmeticError, TypeError) as fault:
        message = f"a row of {plan.table} cannot be read ({fault})"
        raise DataValidationError(message, "correct the row in the source") from fault


def _key(plan: Plan, values: _Values) -> Key:
    return tuple(column.read(value) for column, value in zip(plan.key, values, strict=True))
