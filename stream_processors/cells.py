"""The columns of a layout, found once, and closures that read a key or a condition from a row's cells."""

from collections.abc import Callable

from schemas.forms import Constant, Scalar, Where
from schemas.records import Layout, Type
from stream_processors import values as parsers
from stream_processors.drafts import ColumnMissingError

Cells = list[str | None]
Keys = Callable[[Cells], tuple[str, ...] | None]
Holds = Callable[[Cells], bool]

MEND_TEMPLATE = "correct the template, then retry the row from quarantine"


class Sent:
    """The columns that were sent."""

    def __init__(self, layout: Layout) -> None:
        self.table = layout.table
        self.key = layout.key
        self._at = {column.name: (index, column.type) for index, column in enumerate(layout.columns)}

    def find(self, column: str) -> tuple[int, Type] | None:
        """Return a column's place and type; None where it was not sent."""
        return self._at.get(column)

    def has(self, columns: tuple[str | Constant, ...]) -> bool:
        """Tell whether all of these columns were sent."""
        return all(column in self._at for column in columns if isinstance(column, str))

    def at(self, column: str, place: str) -> tuple[int, Type]:
        """Return a column's place and type; raises ColumnMissingError that says what needs it."""
        found = self._at.get(column)
        if found is None:
            message = f"the rows of {self.table} carry no column {column!r}, which {place} needs"
            raise ColumnMissingError(message, MEND_TEMPLATE)
        return found

    def keys(self, columns: tuple[str | Constant, ...], place: str) -> Keys:
        """Return what reads these columns as a key: None where one of them is null or blank."""
        fixed = {index: plain(part.value) for index, part in enumerate(columns) if isinstance(part, Constant)}
        found = [self.at(column, place) for column in columns if isinstance(column, str)]
        at = [index for index, _ in found]
        if any(kind == "float" for _, kind in found):
            return _with_floats([index for index, kind in found if kind == "float"], _of_key(fixed, at, len(columns)))
        return _of_key(fixed, at, len(columns))

    def matches(self, where: Where, place: str) -> Holds:
        """Return what tells whether a row meets every condition; NULL meets none."""
        tests: list[tuple[int, Callable[[str], str], frozenset[str]]] = []
        for column, wanted in where.items():
            index, kind = self.at(column, place)
            alike = parsers.comparable(kind)
            tests.append((index, alike, frozenset(alike(plain(one)) for one in wanted)))

        def holds(cells: Cells) -> bool:
            return all((cell := cells[index]) is not None and alike(cell) in wanted for index, alike, wanted in tests)

        return holds if tests else always


def always(_cells: Cells) -> bool:
    """Meet every condition of none."""
    return True


def plain(value: Scalar) -> str:
    """Write a template's constant as canonical text: booleans are 0 and 1 there."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def _of_key(fixed: dict[int, str], at: list[int], count: int) -> Keys:
    if fixed:
        return _with_constants(fixed, at, count)
    if len(at) == 1:
        (only,) = at

        def one(cells: Cells) -> tuple[str, ...] | None:
            cell = cells[only]
            return (word,) if cell is not None and (word := cell.rstrip()) else None

        return one

    def several(cells: Cells) -> tuple[str, ...] | None:
        words = tuple((cells[index] or "").rstrip() for index in at)
        return words if all(words) else None

    return several


def _with_floats(floats: list[int], read: Keys) -> Keys:
    """Read a key of which some columns are floats: 123.0 there is the 123 of another table's integer."""

    def plainly(cells: Cells) -> tuple[str, ...] | None:
        cells = list(cells)
        for index in floats:
            cell = cells[index]
            cells[index] = None if cell is None else parsers.float_text(cell)
        return read(cells)

    return plainly


def _with_constants(fixed: dict[int, str], at: list[int], count: int) -> Keys:
    def mixed(cells: Cells) -> tuple[str, ...] | None:
        rest = iter(at)
        words = tuple(fixed[place] if place in fixed else (cells[next(rest)] or "").rstrip() for place in range(count))
        return words if all(words) else None

    return mixed
