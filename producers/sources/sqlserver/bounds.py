"""How far back a snapshot reads a table, as SQL. Pure but for a line in the log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fluxion.errors import SourceNotReadyError
from fluxion.log import get_logger
from producers.source import Bound
from producers.sources.sqlserver.catalogue import TableShape
from producers.sources.sqlserver.values import TableColumn, instant, quoted
from schemas.records import Since

# Of the table that is read, and of its header in the sub-query.
TABLE, HEADER = "t", "h"
_DATED = {"date", "datetime", "datetime2", "smalldatetime", "datetimeoffset"}


@dataclass(frozen=True)
class Filter:
    """The rows that are read: a condition on `t`, and what the end marker says of it."""

    condition: str
    since: Since


def filter_of(table: str, bound: Bound, shapes: Mapping[str, TableShape]) -> Filter | None:
    """Return the filter of a table, None where its column holds no date: then it is read whole.

    shapes: of the table and of its header. Raises SourceNotReadyError where a column of the bound is missing.
    """
    dated = bound.header or table
    column = _column(dated, bound.column, shapes)
    if column.data_type not in _DATED:
        get_logger().warning("history_days needs a date, so the table is read whole", table=table, column=column.name)
        return None
    since, literal = _written(bound.value, column)
    if bound.header is None:
        return Filter(_not_below(TABLE, column, literal), Since(bound.column, since))
    header = shapes[dated]
    key = bound.key or tuple(one.name for one in header.columns if one.key)
    if len(key) != len(bound.link):
        message = f"{table} names its {dated} by {', '.join(bound.link)}, whose key is {', '.join(key) or 'none'}"
        raise SourceNotReadyError(message, "correct `sale:` in the template")
    same = [
        f"{HEADER}.{quoted(_column(dated, mine, shapes).name)} = {TABLE}.{quoted(_column(table, theirs, shapes).name)}"
        for mine, theirs in zip(key, bound.link, strict=True)
    ]
    condition = " AND ".join([*same, _not_below(HEADER, column, literal)])
    exists = f"EXISTS (SELECT 1 FROM {header.qualified} AS {HEADER} WHERE {condition})"  # noqa: S608 -- names are quoted
    return Filter(exists, Since(bound.column, since))


def _column(table: str, name: str, shapes: Mapping[str, TableShape]) -> TableColumn:
    for column in shapes[table].columns if table in shapes else ():
        if column.name == name:
            return column
    raise SourceNotReadyError(f"table {table} has no column {name}, which bounds the snapshot", "correct the template")


def _not_below(alias: str, column: TableColumn, literal: str) -> str:
    name = f"{alias}.{quoted(column.name)}"
    return f"({name} >= {literal} OR {name} IS NULL)"


def _written(value: str, column: TableColumn) -> tuple[str, str]:
    """Return a moment as the column's canonical text and as SQL. With a T no setting of the session reads it another way."""
    moment = datetime.fromisoformat(value)
    local = moment.replace(tzinfo=None)
    match column.data_type:
        case "date":
            text = literal = moment.date().isoformat()
        case "datetimeoffset":
            at = moment.astimezone()
            text, literal = instant(at), at.isoformat()
        case "datetime":
            text, literal = local.isoformat(), local.isoformat(timespec="milliseconds")
        case "smalldatetime":
            text, literal = local.isoformat(), local.isoformat(timespec="seconds")
        case _:
            text, literal = local.isoformat(), local.isoformat()
    return text, f"CAST('{literal}' AS {column.declared})"
