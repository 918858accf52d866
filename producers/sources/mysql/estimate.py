"""About how many rows a snapshot will read: what the storage engine guesses, and a count of seconds where it is bounded."""

from typing import Any

import pymysql

from producers.source import Bounds
from producers.sources.mysql.bounds import TABLE, filter_of
from producers.sources.mysql.catalogue import columns_of, rows_of
from producers.sources.mysql.connection import MySQLConfig
from producers.sources.mysql.values import quoted

# Counts that take longer, all together, are given up: the whole table's rows are an estimate too.
COUNTS_S = 6.0
_TOO_LONG = 1969


def estimate(cursor: pymysql.cursors.Cursor, config: MySQLConfig, tables: frozenset[str], bounds: Bounds) -> int:
    """Return the number; a table of lines is thought to have as large a part of its rows in bounds as its header."""
    headers = {bounds[table].header or table for table in tables if table in bounds}
    guessed = rows_of(cursor, config.database, tables | headers)
    counted = {header: _count(cursor, config, header, bounds, COUNTS_S / len(headers)) for header in sorted(headers)}
    total = 0.0
    for table in tables:
        header = (bounds[table].header or table) if table in bounds else None
        count = counted.get(header) if header else None
        if count is None or header is None:
            total += guessed.get(table, 0)
        else:
            total += count if table == header else guessed.get(table, 0) * count / max(guessed.get(header, 0), count, 1)
    return round(total)


def _count(
    cursor: pymysql.cursors.Cursor, config: MySQLConfig, table: str, bounds: Bounds, seconds: float
) -> int | None:
    """Return how many rows are in bounds, None where that takes too long or is not known."""
    columns = columns_of(cursor, config.database, {table})
    if table not in bounds or table not in columns:
        return None
    found = filter_of(config.database, table, bounds[table], columns)
    if found is None:
        return None
    source = f"{quoted(config.database)}.{quoted(table)} as {TABLE}"
    limit = f"set statement max_statement_time = {seconds:.1f} for"
    try:
        cursor.execute(f"{limit} select count(*) from {source} where {found.condition}")  # noqa: S608 -- quoted
    except pymysql.MySQLError as fault:
        if fault.args[0] == _TOO_LONG:
            return None
        raise
    row: Any = cursor.fetchone()
    return int(row[0])
