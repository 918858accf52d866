"""What the catalogue says of our tables today. The stream never uses it: the log brings its own names."""

from collections.abc import Iterable
from typing import Any

import pymysql

from producers.sources.mysql.values import TableColumn, expression, quoted, selected
from schemas.mapping import Table
from schemas.records import Column, Layout

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


def columns_of(
    cursor: pymysql.cursors.Cursor, database: str, tables: Iterable[str]
) -> dict[str, tuple[TableColumn, ...]]:
    """Return the columns of each table that we may see, in their order. A table that is missing has no entry."""
    names = sorted(tables)
    if not names:
        return {}
    marks = ", ".join(["%s"] * len(names))
    cursor.execute(_COLUMNS.format(marks), [database, *names])
    rows: list[Any] = list(cursor.fetchall())
    cursor.execute(_PREFIX_KEYS.format(marks), [database, *names])
    without_key = {row[0] for row in cursor.fetchall()}
    found: dict[str, tuple[TableColumn, ...]] = {}
    for table, name, data_type, column_type, charset, key in rows:
        is_key = key == "PRI" and table not in without_key
        found[table] = (*found.get(table, ()), TableColumn(name, data_type, column_type, charset, is_key))
    return found


def catalogue_of(cursor: pymysql.cursors.Cursor, database: str) -> dict[str, Table]:
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


def select(database: str, table: str, columns: tuple[TableColumn, ...]) -> str:
    """Return the SELECT that reads a table whole."""
    wanted = ", ".join(expression(column) for column in columns)
    return f"select {wanted} from {quoted(database)}.{quoted(table)}"  # noqa: S608 -- identifiers, quoted
