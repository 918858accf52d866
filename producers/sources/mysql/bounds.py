"""How far back a snapshot reads a table, as SQL. Pure but for a line in the log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fluxion.errors import SourceNotReadyError
from fluxion.log import get_logger
from producers.source import Bound
from producers.sources.mysql.values import TableColumn, quoted
from schemas.records import Since

# Of the table that is read, and of its header in the sub-query.
TABLE, HEADER = "t", "h"
_DATED = {"date", "datetime", "timestamp"}

Columns = Sequence[TableColumn]


@dataclass(frozen=True)
class Filter:
    """The rows that are read: a condition on `t`, and what the end marker says of it."""

    condition: str
    since: Since


def filter_of(database: str, table: str, bound: Bound, columns: Mapping[str, Columns]) -> Filter | None:
    """Return the filter of a table, None where its column holds no date: then it is read whole.

    columns: of the table and of its header. Raises SourceNotReadyError where a column of the bound is missing.
    """
    dated = bound.header or table
    column = _column(dated, bound.column, columns)
    if column.data_type not in _DATED:
        get_logger().warning("history_days needs a date, so the table is read whole", table=table, column=column.name)
        return None
    since, literal = _written(bound.value, column.data_type)
    if bound.header is None:
        return Filter(_not_below(TABLE, bound.column, literal), Since(bound.column, since))
    key = bound.key or tuple(one.name for one in columns.get(dated, ()) if one.is_key)
    if len(key) != len(bound.link):
        message = f"{table} names its {dated} by {', '.join(bound.link)}, whose key is {', '.join(key) or 'none'}"
        raise SourceNotReadyError(message, "correct `sale:` in the template")
    pairs = zip(key, bound.link, strict=True)
    same = [
        f"{HEADER}.{quoted(_column(dated, mine, columns).name)} = {TABLE}.{quoted(_column(table, theirs, columns).name)}"
        for mine, theirs in pairs
    ]
    condition = " and ".join([*same, _not_below(HEADER, bound.column, literal)])
    source = f"{quoted(database)}.{quoted(dated)} as {HEADER}"
    return Filter(f"exists (select 1 from {source} where {condition})", Since(bound.column, since))  # noqa: S608 -- quoted


def _column(table: str, name: str, columns: Mapping[str, Columns]) -> TableColumn:
    for column in columns.get(table, ()):
        if column.name == name:
            return column
    raise SourceNotReadyError(f"table {table} has no column {name}, which bounds the snapshot", "correct the template")


def _not_below(alias: str, column: str, literal: str) -> str:
    name = f"{alias}.{quoted(column)}"
    return f"({name} >= {literal} or {name} is null)"


def _written(value: str, data_type: str) -> tuple[str, str]:
    """Return a moment as the column's canonical text and as SQL; the session's zone is UTC."""
    moment = datetime.fromisoformat(value)
    if data_type == "date":
        text = moment.date().isoformat()
        return text, f"'{text}'"
    if data_type == "timestamp":
        at = (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None)
        return f"{at.isoformat()}Z", f"'{at.isoformat(' ')}'"
    at = moment.replace(tzinfo=None)
    return at.isoformat(), f"'{at.isoformat(' ')}'"
