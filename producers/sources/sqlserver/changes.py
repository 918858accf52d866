"""The net changes of one table as rows of a Capture.

Change Tracking tells a changed row's key and what was done to it; what it holds now comes from the table itself, in the same
snapshot. So it is the row that decides, and the word of the server (I, U, D) only where there is a choice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from msgspec import Struct

from fluxion.errors import DataValidationError
from producers.sources.sqlserver.catalogue import TableShape
from producers.sources.sqlserver.connection import Row
from producers.sources.sqlserver.values import Read, canonical, quoted
from schemas.records import Layout, Op

# What is told of a row that is there. A row that was inserted and touched again is both: downstream may know it already, from
# a snapshot that read it between the two, and an insert that no longer meets a template's `where` would leave it there.
_OPS: dict[str, tuple[Op, ...]] = {"I": ("c",), "T": ("u", "c"), "U": ("u",), "D": ("u",)}
_OPERATION = """
CASE WHEN c.SYS_CHANGE_OPERATION = 'I' AND c.SYS_CHANGE_VERSION > c.SYS_CHANGE_CREATION_VERSION THEN 'T'
ELSE c.SYS_CHANGE_OPERATION END
"""


class Change(Struct, frozen=True, gc=False):
    """A row that changed, at the last version that touched it."""

    version: int
    layout: Layout
    op: Op
    values: list[str | None]


@dataclass(frozen=True)
class ChangesQuery:
    """How the changes of a table are asked for and read.

    text takes one parameter, the version behind which they are; `long_places` are those of long values in its rows.
    """

    text: str
    long_places: tuple[int, ...]
    read: Callable[[list[Row]], list[Change]]


def changes_query(shape: TableShape) -> ChangesQuery:
    """Return it for a table with a primary key.

    Without ORDER BY: the server begins to send at once and sorts nothing, however many changes there are.
    """
    keys = [quoted(column.name) for column in shape.key]
    what = ["c.SYS_CHANGE_VERSION", _OPERATION, *(f"c.{key}" for key in keys), *shape.selected("t")]
    same = " AND ".join(f"t.{key} = c.{key}" for key in keys)
    changed = f"CHANGETABLE(CHANGES {shape.qualified}, ?) AS c LEFT JOIN {shape.qualified} AS t ON {same}"
    text = f"SELECT {', '.join(what)} FROM {changed}"  # noqa: S608 -- names are quoted
    first = 2 + len(keys)
    return ChangesQuery(text, tuple(first + place for place in shape.long_places), _reader(shape, first))


def _reader(shape: TableShape, first: int) -> Callable[[list[Row]], list[Change]]:
    """Return what reads rows of (version, what was done, the key, the row itself or NULLs) from place `first` on."""
    readers = [canonical(column).read for column in shape.columns]
    key_readers = [canonical(column).read for column in shape.key]
    key_of = itemgetter(*range(2, first))
    key_there = itemgetter(*(first + shape.columns.index(column) for column in shape.key))
    one_there = first + shape.columns.index(shape.key[0])
    whole, key_only = shape.layout, shape.key_layout

    def read(rows: list[Row]) -> list[Change]:
        changes = []
        for row in rows:
            # Either the row is gone, or its key is now spelled another way, which its collation holds for the same.
            if key_of(row) != key_there(row):
                changes.append(Change(row[0], key_only, "d", read_values(key_readers, row[2:first])))
            if row[one_there] is not None:  # a primary key is never NULL
                values = read_values(readers, row[first:])
                changes += [Change(row[0], whole, op, values) for op in _OPS[row[1]]]
        return changes

    def guarded(rows: list[Row]) -> list[Change]:
        try:
            return read(rows)
        except (ValueError, ArithmeticError, TypeError) as fault:
            message = f"a row of {shape.name} cannot be read ({fault})"
            raise DataValidationError(message, "correct the row in the source") from fault

    return guarded


def read_values(readers: list[Read], values: Sequence[object]) -> list[str | None]:
    """Return canonical text; what does not fit its type raises ValueError, ArithmeticError or TypeError."""
    return [None if value is None else read(value) for read, value in zip(readers, values, strict=True)]
