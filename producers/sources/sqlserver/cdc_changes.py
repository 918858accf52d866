"""The rows that a capture instance keeps, as changes.

https://learn.microsoft.com/sql/relational-databases/system-functions/cdc-fn-cdc-get-all-changes-capture-instance-transact-sql
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from msgspec import Struct

from fluxion.errors import DataValidationError, SourceNotReadyError
from producers.sources.sqlserver.catalogue import TableShape
from producers.sources.sqlserver.cdc_instances import PREPARE, Instance
from producers.sources.sqlserver.changes import read_values
from producers.sources.sqlserver.connection import Row
from producers.sources.sqlserver.values import TableColumn, canonical, quoted
from schemas.records import Layout, Op

_DELETED, _INSERTED, _BEFORE = 1, 2, 3
_FIRST = 3  # a row's LSN, its place in the transaction and its operation stand in front of its columns
_NEVER_TOLD = {"text", "ntext", "image"}
_LARGE = _NEVER_TOLD | {"xml"}


class CapturedChange(Struct, frozen=True, gc=False):
    """A change of the transaction `lsn`, in which `seqval` is its place."""

    lsn: bytes
    seqval: bytes
    layout: Layout
    op: Op
    values: list[str | None]


# The images before their changes whose images behind them have not come yet.
Befores = deque[Row]


@dataclass(frozen=True)
class InstanceQuery:
    """How the changes in an instance are asked for and read.

    all, some: all of them or the first so many (the first parameter), in order; the other two parameters are the least LSN and
    the greatest. `long_places` are those of long values in its rows.
    """

    all: str
    some: str
    long_places: tuple[int, ...]
    read: Callable[[list[Row], Befores], list[CapturedChange]]


def captured_shape(shape: TableShape, instance: Instance, numbers: frozenset[tuple[int, str]]) -> TableShape:
    """Return the table without those columns that the instance does not have; `numbers`: its columns today.

    A column is the same by its number and its name: one that was dropped and added again is not captured any more. Raises
    SourceNotReadyError where the primary key is not captured whole, or there is none.
    """
    captured = {name for _, name in instance.columns & numbers}
    found = replace(shape, columns=tuple(column for column in shape.columns if column.name.casefold() in captured))
    if not shape.key or len(found.key) != len(shape.key):
        message = f"the capture instance {instance.name} does not have the primary key of the table {shape.name}"
        raise SourceNotReadyError(message, PREPARE)
    return found


def instance_query(shape: TableShape, instance: Instance) -> InstanceQuery:
    """Return it for a table of `captured_shape`."""
    what = ", ".join(["c.__$start_lsn", "c.__$seqval", "c.__$operation", *shape.selected("c")])
    name = quoted(f"fn_cdc_get_all_changes_{instance.name}")
    source = f"FROM cdc.{name}(?, ?, N'all update old') AS c"
    order = "ORDER BY c.__$start_lsn, c.__$seqval, c.__$operation"
    return InstanceQuery(
        all=f"SELECT {what} {source} {order}",
        some=f"SELECT TOP (?) {what} {source} {order}",
        long_places=tuple(_FIRST + place for place in shape.long_places),
        read=_reader(shape),
    )


def _reader(shape: TableShape) -> Callable[[list[Row], Befores], list[CapturedChange]]:
    whole = _images(shape, shape.columns)
    # What a deleted row, and an image from before a change, does not tell: NULL stands there, whatever the column held.
    deleted = _images(shape, [column for column in shape.columns if column.data_type not in _NEVER_TOLD])
    moved = _images(shape, [column for column in shape.columns if column.key or not _is_large(column)])
    key_of = itemgetter(*(_FIRST + shape.columns.index(column) for column in shape.key))

    def read(rows: list[Row], befores: Befores) -> list[CapturedChange]:
        changes = []
        for row in rows:
            if row[2] == _BEFORE:
                befores.append(row)
            elif row[2] == _DELETED:
                changes.append(deleted(row, "d", row))
            elif row[2] == _INSERTED:
                changes.append(whole(row, "c", row))
            else:
                before = befores.popleft() if befores else row
                if key_of(before) == key_of(row):
                    changes.append(whole(row, "u", row))
                else:
                    changes += (moved(before, "d", row), whole(row, "c", row))
        return changes

    def guarded(rows: list[Row], befores: Befores) -> list[CapturedChange]:
        try:
            return read(rows, befores)
        except (ValueError, ArithmeticError, TypeError) as fault:
            message = f"a row of {shape.name} cannot be read ({fault})"
            raise DataValidationError(
                message, "correct the row in the source; a new snapshot passes over it"
            ) from fault

    return guarded


def _images(shape: TableShape, columns: Sequence[TableColumn]) -> Callable[[Row, Op, Row], CapturedChange]:
    """Return what makes a change of some columns of a row, an operation, and the row that says where it stands."""
    layout = replace(shape, columns=tuple(columns)).layout
    places = [_FIRST + shape.columns.index(column) for column in columns]
    readers = [canonical(column).read for column in columns]

    def image(row: Row, op: Op, at: Row) -> CapturedChange:
        return CapturedChange(at[0], at[1], layout, op, read_values(readers, [row[place] for place in places]))

    return image


def _is_large(column: TableColumn) -> bool:
    """Tell whether an image from before a change has the column only where it changed."""
    return column.data_type in _LARGE or column.declared.endswith("(max)")
