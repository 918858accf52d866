"""A row that would be too large to be sent goes without its largest values. Pure.

It gets a layout of its own: a column that was not sent is not in it, and its target keeps its value. Columns of the key stay.
"""

from itertools import chain

import msgspec
from msgspec import Struct

from producers.source import Capture, CaptureRow
from schemas.records import Layout

MAX_ROW_BYTES = 1024 * 1024
# In UTF-8; characters are counted first, for counting the bytes of every value would cost more than storing it.
_BYTES_A_CHARACTER = 4


class LeftOut(Struct, frozen=True):
    """A value that is not sent, and how many bytes it has."""

    table: str
    column: str
    size: int


def characters(capture: Capture) -> int:
    """Return how many characters all values of a Capture have together."""
    return sum(map(len, filter(None, chain.from_iterable(row.values for row in capture.rows))))


def fitted(capture: Capture) -> tuple[Capture, list[LeftOut]]:
    """Return the Capture with no row over the limit, and what was left out of it for that."""
    if characters(capture) * _BYTES_A_CHARACTER <= MAX_ROW_BYTES:
        return capture, []
    left_out: list[LeftOut] = []
    layouts = list(capture.layouts)
    rows = [_fitted(row, layouts, left_out) for row in capture.rows]
    if not left_out:
        return capture, []
    return msgspec.structs.replace(capture, layouts=layouts, rows=rows), left_out


def _fitted(row: CaptureRow, layouts: list[Layout], left_out: list[LeftOut]) -> CaptureRow:
    """Return the row as it is sent; adds the layout that it needs, and what it goes without."""
    sizes = [0 if value is None else len(value.encode()) for value in row.values]
    over = sum(sizes) - MAX_ROW_BYTES
    if over <= 0:
        return row
    layout = layouts[row.layout]
    gone: set[int] = set()
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        if over <= 0:
            break
        if layout.columns[index].name not in layout.key:
            gone.add(index)
            over -= sizes[index]
    kept = [index for index in range(len(sizes)) if index not in gone]
    left_out += [LeftOut(layout.table, layout.columns[index].name, sizes[index]) for index in sorted(gone)]
    narrower = msgspec.structs.replace(layout, columns=[layout.columns[index] for index in kept])
    if narrower not in layouts:
        layouts.append(narrower)
    return msgspec.structs.replace(row, layout=layouts.index(narrower), values=[row.values[index] for index in kept])
