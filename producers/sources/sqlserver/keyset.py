"""Chunks by primary key: what "behind this row" means, in conditions each of which is one seek in the index.

`a > 1 or (a = 1 and b > 2)` is true of the rows behind (1, 2), but leaves the server to find out that it need not walk the whole
index; so it is asked in two steps, first `a = 1 and b > 2`, then `a > 1`. A key is kept as text and goes back as a parameter
that is CAST to its column's own type and collation, so the index is used and the column's collation decides. Pure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyodbc

from fluxion.errors import PositionLostError
from producers.sources.sqlserver.identity import MEND
from producers.sources.sqlserver.values import TableColumn, boolean, decimal, double, milliseconds, quoted

Key = tuple[str, ...]

# How a value is kept so that CAST reads the same one back. datetime2 and time have a seventh digit that the driver cuts off:
# then some rows come twice, and none is left out.
_KEPT: dict[str, Callable[[Any], str]] = {
    **dict.fromkeys(["decimal", "numeric", "money", "smallmoney"], decimal),
    **dict.fromkeys(["float", "real"], double),
    **dict.fromkeys(
        ["date", "time", "datetime2", "datetimeoffset", "smalldatetime"], lambda value: str(value.isoformat())
    ),
    "bit": boolean,
    "datetime": lambda value: milliseconds(value)[:23],
    **dict.fromkeys(["binary", "varbinary", "timestamp"], lambda value: bytes(value).hex()),
}
_BYTES = {"binary", "varbinary", "timestamp"}


@dataclass(frozen=True)
class Step:
    """A condition on the rows of `t`, its parameters, and whether the rows behind all of its own are asked for by the next."""

    condition: str
    parameters: tuple[Any, ...]


def kept(columns: Sequence[TableColumn], values: Sequence[Any]) -> Key:
    """Return the values of a key as a position keeps them."""
    return tuple(_KEPT.get(column.data_type, str)(value) for column, value in zip(columns, values, strict=True))


def steps(columns: Sequence[TableColumn], key: Key | None) -> list[Step]:
    """Return the steps that read, one after the other, what lies behind `key` (None: everything), in the key's order."""
    if key is None:
        return [Step("", ())]
    found = []
    for depth in range(len(columns), 0, -1):
        signs = ["="] * (depth - 1) + [">"]
        condition = " AND ".join(
            f"t.{quoted(column.name)} {sign} {_cast(column)}" for column, sign in zip(columns, signs, strict=False)
        )
        parameters = tuple(_parameter(column, value) for column, value in zip(columns[:depth], key, strict=False))
        found.append(Step(condition, parameters))
    return found


def _cast(column: TableColumn) -> str:
    collated = f"? COLLATE {column.collation}" if column.collation else "?"
    return f"CAST({collated} AS {column.declared})"


def _parameter(column: TableColumn, value: str) -> Any:
    if column.data_type not in _BYTES:
        return value
    try:
        return pyodbc.Binary(bytes.fromhex(value))
    except ValueError:
        raise PositionLostError(f"the stored key {value!r:.60} of column {column.name} cannot be read", MEND) from None
