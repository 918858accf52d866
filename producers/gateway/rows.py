"""A document's rows: its lists of objects are tables too, and each of their rows carries the parent's columns.

`{"id": "9", "customer": {"name": "Ana"}, "items": [{"sku": "1"}]}` of `sale_completed` is a row of `sale_completed` with the columns
id and customer.name, and one of `sale_completed.items` with sku, parent.id, parent.customer.name and
`_position`, its place in the list from 1. A list that no template maps stays in its object's row, as JSON; an object of nothing but nulls is no row. The parent's names have a prefix, or an item without a total would have its sale's.
"""

import json
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import NamedTuple

from producers.gateway.document import Plain, RefusedError, number_text
from schemas.records import Column, Layout, Op, Row, Type

# Ten bits of a version are the row's place in its event.
MOST_ROWS = 1000
# Kafka takes 8 MiB; what a parent has is in every row of its lists, so a small body can make large rows.
MOST_BYTES = 4 * 1024 * 1024
# A processor compiles each; rows of one list mostly share one.
MOST_LAYOUTS = 100
PARENT, POSITION = "parent.", "_position"


class Rows(NamedTuple):
    """What an event is in a change set."""

    layouts: list[Layout]
    rows: list[Row]


class _Cell(NamedTuple):
    type: Type
    value: str | None


_Cells = dict[str, _Cell]


def rows_of(
    table: str,
    document: Mapping[str, Plain],
    key: str,
    tables: Collection[str],
    op: Op = "u",
    source_time: int | None = None,
) -> Rows:
    """Return a document's rows, parents before children; raises RefusedError beyond MOST_ROWS, MOST_BYTES, MOST_LAYOUTS.

    key: the column that names the document. tables: those that the template maps: of an object or a list that is none of
    them the rows would be of an unknown table. op: of the document's own row; c where it is whole, u where what it does not
    say keeps its value. Rows of its lists are u, so that one that leaves a template's `where` is there no more. Versions are
    given when the record is decoded.
    """
    made = _Made(tables, op, source_time)
    made.take(table, document, {}, (key,))
    return Rows(made.layouts, made.rows)


class _Made:
    """The layouts and rows so far."""

    def __init__(self, tables: Collection[str], op: Op, source_time: int | None) -> None:
        self._tables = tables
        self._op: Op = op
        self._source_time = source_time
        self._bytes = 0
        self._layouts: dict[tuple[str, tuple[tuple[str, Type], ...]], int] = {}
        self.layouts: list[Layout] = []
        self.rows: list[Row] = []

    def take(self, table: str, document: Mapping[str, Plain], parent: _Cells, key: tuple[str, ...]) -> None:
        """Add an object's row, and the rows of what stands in it."""
        listed = {
            name for name, value in document.items() if isinstance(value, list) and f"{table}.{name}" in self._tables
        }
        cells = _flat({name: value for name, value in document.items() if name not in listed})
        clash = sorted(cells.keys() & parent.keys())
        if clash:
            raise RefusedError(
                f"{table} has a field that comes out as {clash[0]!r:.80}, which is our name", "rename it"
            )
        cells |= parent
        self._add(table, cells, key)
        handed = {PARENT + name: cell for name, cell in cells.items() if cell.type != "json"}
        below = tuple(PARENT + name for name in key)
        for name, value in document.items():
            inner = f"{table}.{name}"
            if inner not in self._tables:
                continue
            if isinstance(value, dict) and any(one is not None for one in value.values()):
                self.take(inner, value, handed, below)
            elif isinstance(value, list):
                self._each(inner, value, handed, below)

    def _each(self, table: str, objects: list[Plain], parent: _Cells, key: tuple[str, ...]) -> None:
        for position, one in enumerate(objects, 1):
            if not isinstance(one, dict):
                raise RefusedError(f"{table}.{position} is no object", "send a list of objects")
            place = {POSITION: _Cell("decimal", str(position))}
            self.take(table, one, parent | place, (*key, POSITION))

    def _add(self, table: str, cells: _Cells, key: tuple[str, ...]) -> None:
        if len(self.rows) >= MOST_ROWS:
            raise RefusedError(f"the event has more than {MOST_ROWS} rows", "send it in several events")
        shape = (table, tuple((name, cell.type) for name, cell in cells.items()))
        if shape not in self._layouts:
            self._layouts[shape] = len(self.layouts)
            columns = [Column(name, cell.type) for name, cell in cells.items()]
            self.layouts.append(Layout(table, list(key) if set(key) <= set(cells) else [], columns))
            self._bytes += sum(len(name.encode()) + len(cell.type) for name, cell in cells.items())
        self._bytes += sum(len(cell.value.encode()) + 1 for cell in cells.values() if cell.value is not None)
        if len(self.layouts) > MOST_LAYOUTS:
            mend = "send the same fields in every object of a list"
            raise RefusedError(f"the event's objects have more than {MOST_LAYOUTS} different sets of fields", mend)
        if self._bytes > MOST_BYTES:
            message = f"the event's rows come to more than {MOST_BYTES} bytes"
            raise RefusedError(message, "send less with each, or in several events")
        values = [cell.value for cell in cells.values()]
        op: Op = "u" if self.rows else self._op
        self.rows.append(Row(self._layouts[shape], op, 0, None, self._source_time, values))


def _flat(document: Mapping[str, Plain], prefix: str = "") -> _Cells:
    """Return an object's cells; what stands in an inner object has its name before it."""
    made: _Cells = {}
    for name, value in sorted(document.items()):  # (one order whatever the sender's, so that rows share a layout)
        path = prefix + name
        found = _flat(value, f"{path}.") if isinstance(value, dict) and value else {path: _cell(value)}
        clash = sorted(found.keys() & made.keys())
        if clash:
            raise RefusedError(f"two fields come out as {clash[0]!r:.80}", "send names without dots")
        made |= found
    return made


def _cell(value: Plain) -> _Cell:
    """Return a value in canonical text. Text stays text whatever it looks like: a template says how it reads."""
    if value is None or isinstance(value, str):
        return _Cell("text", value)
    if isinstance(value, bool):
        return _Cell("boolean", "1" if value else "0")
    if isinstance(value, Decimal):
        return _Cell("decimal", number_text(value))
    return _Cell("json", _json(value))


def _json(value: Plain) -> str:
    """Write JSON with its numbers as they were sent; the library's writer would have them as floats or as text."""
    if isinstance(value, Decimal):
        return number_text(value)
    if isinstance(value, list):
        return f"[{','.join(map(_json, value))}]"
    if isinstance(value, dict):
        pairs = (f"{json.dumps(name, ensure_ascii=False)}:{_json(one)}" for name, one in value.items())
        return f"{{{','.join(pairs)}}}"
    return json.dumps(value, ensure_ascii=False)
