"""What the catalogue says of our tables at this moment: their columns and primary keys."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Link, Row
from producers.sources.sqlserver.values import (
    TableColumn,
    canonical,
    declared,
    expression,
    is_captured,
    is_long,
    quoted,
)
from schemas.records import Column, Layout
from schemas.source_tables import Table

# An alias type (CREATE TYPE … FROM) is its base type; a type of the CLR has no base and keeps its name.
_COLUMNS = """
SELECT t.name, c.name, COALESCE(b.name, u.name), c.max_length, c.precision, c.scale, c.collation_name,
       COALESCE(k.key_ordinal, 0)
FROM sys.tables AS t
JOIN sys.schemas AS s ON s.schema_id = t.schema_id
JOIN sys.columns AS c ON c.object_id = t.object_id
LEFT JOIN sys.types AS b ON b.user_type_id = c.system_type_id
LEFT JOIN sys.types AS u ON u.user_type_id = c.user_type_id
LEFT JOIN (SELECT ic.object_id, ic.column_id, ic.key_ordinal FROM sys.indexes AS i
           JOIN sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id
           WHERE i.is_primary_key = 1) AS k ON k.object_id = c.object_id AND k.column_id = c.column_id
WHERE s.name = ? {}
ORDER BY t.name, c.column_id
"""
_COLLATION = "SELECT collation_name FROM sys.databases WHERE database_id = DB_ID()"
_ROWS = """
SELECT t.name, SUM(p.rows) FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id
JOIN sys.partitions AS p ON p.object_id = t.object_id AND p.index_id IN (0, 1)
WHERE s.name = ? {} GROUP BY t.name
"""


@dataclass(frozen=True)
class TableShape:
    """A table: `name` as templates use it, `qualified` as SQL does, `columns` that are captured, in their order."""

    name: str
    qualified: str
    columns: tuple[TableColumn, ...]
    left_out: tuple[TableColumn, ...]

    @cached_property
    def key(self) -> tuple[TableColumn, ...]:
        """The primary key in the order of its index; empty where there is none, or it has a type that is not captured."""
        if any(column.key for column in self.left_out):
            return ()
        return tuple(sorted((column for column in self.columns if column.key), key=lambda column: column.key))

    @cached_property
    def layout(self) -> Layout:
        """The layout of whole rows."""
        return self._layout(self.columns)

    @cached_property
    def key_layout(self) -> Layout:
        """The layout of deleted rows, of which only the key is known."""
        return self._layout(self.key)

    @cached_property
    def long_places(self) -> tuple[int, ...]:
        """Which of `columns` may hold long values."""
        return tuple(place for place, column in enumerate(self.columns) if column.is_long)

    def selected(self, alias: str) -> list[str]:
        """Return what to SELECT for `columns`."""
        return [expression(alias, column) for column in self.columns]

    def _layout(self, columns: Iterable[TableColumn]) -> Layout:
        return Layout(
            table=self.name,
            key=[column.name for column in self.columns if column.key],
            columns=[Column(column.name, canonical(column).type) for column in columns],
        )


class Shapes:
    """The shapes of some tables, built anew only where the catalogue says something else than the last time."""

    def __init__(self, config: SQLServerConfig, tables: Iterable[str]) -> None:
        self._config = config
        self._names = sorted(tables)
        self._collation: str | None = None
        self._rows: list[Row] = []
        self._shapes: dict[str, TableShape] = {}

    def read(self, link: Link) -> dict[str, TableShape]:
        """Return the shape of each table that we may see, by the names that were asked for. A missing one has no entry."""
        if not self._names:
            return {}
        rows = link.rows(_COLUMNS.format(among(self._names)), self._config.schema, *self._names)
        if self._collation is None and any(_needs_collation(row) for row in rows):
            self._collation = _collation(link)
        if rows != self._rows:
            self._rows, self._shapes = rows, _shapes(self._config, rows, self._names, self._collation)
        return self._shapes


def catalogue_of(link: Link, config: SQLServerConfig) -> dict[str, Table]:
    """Return every table of the schema that we may see, as templates are checked against it."""
    rows = link.rows(_COLUMNS.format(""), config.schema)
    shapes = _shapes(config, rows, config.tables, None)
    return {
        name: Table(tuple(column.name for column in shape.columns), tuple(column.name for column in shape.key))
        for name, shape in shapes.items()
    }


def rows_of(link: Link, config: SQLServerConfig, tables: Iterable[str]) -> dict[str, int]:
    """Return about how many rows each table has, as the storage engine counts. Raises where the view is not there for us."""
    names = sorted(tables)
    asked = {name.casefold(): name for name in names}
    rows = link.rows(_ROWS.format(among(names)), config.schema, *names) if names else []
    return {asked.get(name.casefold(), name): int(count or 0) for name, count in rows}


def among(names: list[str]) -> str:
    """Return the condition that takes as many names as parameters; the server's collation says which are the same."""
    return f"AND t.name IN ({', '.join('?' * len(names))})"


def _collation(link: Link) -> str:
    """Return the database's own collation."""
    ((collation,),) = link.rows(_COLLATION)
    return str(collation)


def _needs_collation(row: Row) -> bool:
    """Tell whether its collation says which bytes a column's text is when it goes back to the server: a one-byte text in a key."""
    return bool(row[7]) and row[2] in {"char", "varchar"}


def _shapes(
    config: SQLServerConfig, rows: list[Row], asked: Iterable[str], collation: str | None
) -> dict[str, TableShape]:
    """Return the shapes that `rows` describe, by the names of `asked` where they name the same table."""
    columns: dict[str, list[TableColumn]] = {}
    for row in rows:
        table, name, kind, length, precision, scale, collated, key = row
        text = declared(kind, length, precision, scale)
        own = collated if _needs_collation(row) and collated != collation else None
        column = TableColumn(name, kind, text, own, int(key), is_long(kind, length))
        columns.setdefault(table, []).append(column)
    names = {name.casefold(): name for name in asked}
    shapes = [
        TableShape(
            name=names.get(table.casefold(), table),
            qualified=f"{quoted(config.schema)}.{quoted(table)}",
            columns=tuple(column for column in its if is_captured(column)),
            left_out=tuple(column for column in its if not is_captured(column)),
        )
        for table, its in columns.items()
    ]
    return {shape.name: shape for shape in shapes}
