"""Tables with a column of type rowversion, and what is asked of them.

https://learn.microsoft.com/sql/t-sql/functions/min-active-rowversion-transact-sql
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyodbc

from fluxion.errors import DataValidationError, PositionLostError, SourceNotReadyError
from producers.sources.sqlserver.catalogue import Shapes, TableShape, among
from producers.sources.sqlserver.changes import read_values
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Link, Row
from producers.sources.sqlserver.identity import MEND
from producers.sources.sqlserver.keys import Values
from producers.sources.sqlserver.rowversion_position import Versioned
from producers.sources.sqlserver.values import Read, TableColumn, canonical, quoted

ROWVERSION = "fluxion_rv"
# The lowest rowversion that a transaction which has not ended may hold; the next one where there is none. Touches no table.
_LOWEST = "SELECT MIN_ACTIVE_ROWVERSION()"
_OBJECTS = """
SELECT t.name, t.object_id FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id WHERE s.name = ? {}
"""


def lowest_active(link: Link) -> int:
    """Return the rowversion below which everything is committed or rolled back."""
    ((lowest,),) = link.rows(_LOWEST)
    return int.from_bytes(bytes(lowest))


def demand_not_below(lowest: int, since: int) -> int:
    """Return it; PositionLostError where it cannot follow `since`."""
    if lowest < since:
        message = f"the database's row versions have gone back from {since} to {lowest}: it was restored"
        raise PositionLostError(message, MEND)
    return lowest


def column_of(shape: TableShape) -> TableColumn | None:
    """Return the column of type rowversion (a table has one at most), None where there is none."""
    return next((column for column in shape.columns if column.data_type == "timestamp"), None)


def mend_of(shape: TableShape) -> str:
    """Return what gives a table its rowversion."""
    statement = f"ALTER TABLE {shape.qualified} ADD {quoted(ROWVERSION)} rowversion"
    return f"{statement} (it rewrites the table: when the shop is closed), or set another method"


def place_of(shape: TableShape) -> str:
    """Return the table and the columns of its key, under which its keys are kept."""
    return json.dumps([shape.name, *(column.name for column in shape.key)])


@dataclass(frozen=True)
class VersionedTable:
    """A captured table as it is now, with a key and a rowversion."""

    shape: TableShape
    kept: Versioned
    version: TableColumn

    @cached_property
    def place(self) -> str:
        """Under which its keys are kept."""
        return place_of(self.shape)

    @property
    def changed(self) -> str:
        """The rows whose version is in a window, which is its two parameters."""
        what = ", ".join(self.shape.selected("t"))
        return f"SELECT {what} FROM {self.shape.qualified} AS t WHERE {self._at_least} AND {self._below}"  # noqa: S608 -- quoted

    @property
    def counted(self) -> str:
        """How many rows have a version below the parameter."""
        return f"SELECT COUNT_BIG(*) FROM {self.shape.qualified} AS t WHERE {self._below}"  # noqa: S608 -- quoted

    @property
    def keys(self) -> str:
        """The keys of all rows."""
        places = [self.shape.columns.index(column) for column in self.shape.key]
        what = ", ".join(self.shape.selected("t")[place] for place in places)
        return f"SELECT {what} FROM {self.shape.qualified} AS t"  # noqa: S608 -- names are quoted

    def read(self, rows: list[Row]) -> list[Values]:
        """Return whole rows as canonical values."""
        return self._values(self._readers, rows)

    def read_keys(self, rows: list[Row]) -> list[Values]:
        """Return keys as canonical values."""
        return self._values(self._key_readers, rows)

    @property
    def _at_least(self) -> str:
        return f"t.{quoted(self.version.name)} >= CAST(? AS binary(8))"

    @property
    def _below(self) -> str:
        return f"t.{quoted(self.version.name)} < CAST(? AS binary(8))"

    @cached_property
    def _readers(self) -> list[Read]:
        return [canonical(column).read for column in self.shape.columns]

    @cached_property
    def _key_readers(self) -> list[Read]:
        return [canonical(column).read for column in self.shape.key]

    def _values(self, readers: list[Read], rows: list[Row]) -> list[Values]:
        try:
            return [read_values(readers, row) for row in rows]
        except (ValueError, ArithmeticError, TypeError) as fault:
            message = f"a row of {self.shape.name} cannot be read ({fault})"
            raise DataValidationError(message, "correct the row in the source") from fault


def keys_in(shape: TableShape, rows: Iterable[Values]) -> list[Values]:
    """Return the keys of whole rows."""
    places = [shape.columns.index(column) for column in shape.key]
    return [[row[place] for place in places] for row in rows]


def as_binary(rowversion: int) -> Any:
    """Return a rowversion as a parameter."""
    return pyodbc.Binary(rowversion.to_bytes(8))


class VersionedTables:
    """Asks for the captured tables."""

    def __init__(self, config: SQLServerConfig) -> None:
        self._config = config
        self._shapes = Shapes(config, config.tables)
        self._names = {name.casefold(): name for name in sorted(config.tables)}

    def read(self, link: Link) -> dict[str, VersionedTable]:
        """Return each by its name; SourceNotReadyError where one cannot be captured: it would be a gap."""
        if not self._names:
            return {}
        rows = link.rows(_OBJECTS.format(among(list(self._names))), self._config.schema, *self._names.values())
        numbers = {self._names[name.casefold()]: int(number) for name, number in rows}
        shapes = self._shapes.read(link)
        return {table: self._table(table, shapes, numbers) for table in self._names.values()}

    def _table(self, table: str, shapes: Mapping[str, TableShape], numbers: Mapping[str, int]) -> VersionedTable:
        shape = shapes.get(table)
        if shape is None or table not in numbers:
            name = f"{quoted(self._config.schema)}.{quoted(table)}"
            message = f"there is no table {table} in {self._config.database}, or the login may not read it"
            raise SourceNotReadyError(
                message, f"correct the template, or GRANT SELECT ON {name} TO {quoted(self._config.user)}"
            )
        version = column_of(shape)
        if version is None:
            message = f"the table {table} has no column of type rowversion, so its changes cannot be found"
            raise SourceNotReadyError(message, mend_of(shape))
        if not shape.key:
            message = f"table {table} has no primary key over columns that can be captured"
            raise SourceNotReadyError(message, f"ALTER TABLE {shape.qualified} ADD PRIMARY KEY (…)")
        return VersionedTable(shape, Versioned(numbers[table], tuple(column.name for column in shape.key)), version)
