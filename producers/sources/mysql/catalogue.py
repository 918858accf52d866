"""What the catalogue says of our tables today. The stream never uses it: the log brings its own names."""

from collections.abc import Iterable
from typing import Any

import pymysql

from producers.sources.mysql.values import TableColumn, selected
from schemas.records import Column, Layout
from schemas.source_tables import Table

Cursor = pymysql.cursors.Cursor

_COLUMNS = """
select table_name, column_name, data_type, column_type, character_set_name, column_key
from information_schema.columns where table_schema = %s and table_name in ({})
order by table_name, ordinal_position
"""
# A key on a prefix of a column does not name the row by its values, and the log does not mark it.
_PREFIX_KEYS = """
select distinct table_name from information_schema.statistics
where table_schema = %s and table_name in ({}) and index_name = 'PRIMARY' and sub_part is not null
"""
_KEYS = """
select table_name, column_name from information_schema.statistics
where table_schema = %s and table_name in ({}) and index_name = 'PRIMARY' order by table_name, seq_in_index
"""
_ROWS = "select table_name, table_rows from information_schema.tables where table_schema = %s and table_name in ({})"


def columns_of(cursor: Cursor, database: str, tables: Iterable[str]) -> dict[str, tuple[TableColumn, ...]]:
    """Return the columns of each table that we may see, in their order. A table that is missing has no entry."""
    names = sorted(tables)
    without_key = {row[0] for row in _asked(cursor, _PREFIX_KEYS, database, names)}
    found: dict[str, tuple[TableColumn, ...]] = {}
    for table, name, data_type, column_type, charset, key in _asked(cursor, _COLUMNS, database, names):
        is_key = key == "PRI" and table not in without_key
        found[table] = (*found.get(table, ()), TableColumn(name, data_type, column_type, charset, is_key))
    return found


def keys_of(cursor: Cursor, database: str, tables: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the primary key of each table in the order of its index, which may be another than that of the columns."""
    found: dict[str, tuple[str, ...]] = {}
    for table, column in _asked(cursor, _KEYS, database, sorted(tables)):
        found[table] = (*found.get(table, ()), column)
    return found


def rows_of(cursor: Cursor, database: str, tables: Iterable[str]) -> dict[str, int]:
    """Return about how many rows each table has, as the storage engine guesses."""
    return {table: int(rows or 0) for table, rows in _asked(cursor, _ROWS, database, sorted(tables))}


def _asked(cursor: Cursor, query: str, database: str, names: list[str]) -> list[Any]:
    if not names:
        return []
    cursor.execute(query.format(", ".join(["%s"] * len(names))), [database, *names])
    return list(cursor.fetchall())


def catalogue_of(cursor: Cursor, database: str) -> dict[str, Table]:
    """Return every table that we may see, as templates are checked against it."""
    cursor.execute("select table_name from information_schema.tables where table_schema = %s", [database])
    names = [row[0] for row in cursor.fetchall()]
    return {
        name: Table(tuple(c.name for c in columns), tuple(c.name for c in columns if c.is_key))
        for name, columns in columns_of(cursor, database, names).items()
    }


def layout_of(table: str, columns: tuple[TableColumn, ...]) -> Layout:
    """Return the layout of a snapshot's rows; SourceNotReadyError where a type cannot be captured."""
    return Layout(
        table=table,
        key=[column.name for column in columns if column.is_key],
        columns=[Column(column.name, selected(column).type) for column in columns],
    )
