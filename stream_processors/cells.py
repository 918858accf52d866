"""What a row's cells hold: columns found once for a layout, closures that read a field, a key or a condition from a row."""

from collections.abc import Callable, Mapping
from functools import partial
from operator import itemgetter
from zoneinfo import ZoneInfo

from fluxion.errors import DataValidationError, FluxionError, MappingError
from schemas.identity import Entity
from schemas.records import Layout, Type
from schemas.template import BOOLEANS, MOMENTS, NUMBERS, Column, Constant, Scalar, Where
from stream_processors import values as parsers
from stream_processors.drafts import ColumnMissingError, Values

Cells = list[str | None]
Get = Callable[[Cells], str | bool | None]
Keys = Callable[[Cells], tuple[str, ...] | None]

MEND_TEMPLATE = "correct the template, and touch the row in the point of sale so that it comes again"


class Sent:
    """The columns that were sent."""

    def __init__(self, layout: Layout) -> None:
        self.table = layout.table
        self.key = layout.key
        self._at = {column.name: (index, column.type) for index, column in enumerate(layout.columns)}

    def find(self, column: str) -> tuple[int, Type] | None:
        """Return a column's place and type; None where it was not sent."""
        return self._at.get(column)

    def at(self, column: str, place: str) -> tuple[int, Type]:
        """Return a column's place and type; raises ColumnMissingError that says what needs it."""
        found = self._at.get(column)
        if found is None:
            message = f"the rows of {self.table} carry no column {column!r}, which {place} needs"
            raise ColumnMissingError(message, MEND_TEMPLATE)
        return found

    def keys(self, columns: tuple[str, ...], place: str) -> Keys:
        """Return what reads these columns as a key: None where one of them is null or blank."""
        at = [self.at(column, place)[0] for column in columns]
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

    def matches(self, where: Where, place: str) -> Callable[[Cells], bool]:
        """Return what tells whether a row meets every condition; NULL meets none."""
        tests: list[tuple[int, Callable[[str], str], frozenset[str]]] = []
        for column, wanted in where.items():
            index, kind = self.at(column, place)
            alike = parsers.comparable(kind)
            tests.append((index, alike, frozenset(alike(plain(one)) for one in wanted)))

        def holds(cells: Cells) -> bool:
            return all((cell := cells[index]) is not None and alike(cell) in wanted for index, alike, wanted in tests)

        return holds


def plain(value: Scalar) -> str:
    """Write a template's constant as canonical text: booleans are 0 and 1 there."""
    return str(int(value)) if isinstance(value, bool) else str(value)


class Reader:
    """Reads the fields and references of one block from a row. `unsent`: mapped fields whose column the layout lacks."""

    def __init__(
        self, sent: Sent, entity: Entity, found: Mapping[str, Constant | Column], refs: list[tuple[str, Get]]
    ) -> None:
        self._entity = entity
        self._gets = list(refs)
        self._moments: list[tuple[str, int, parsers.ParseMoment]] = []
        missing: list[str] = []
        for name, value in found.items():
            if isinstance(value, Column) and sent.find(value.column) is None:
                missing.append(name)
            elif name in MOMENTS:
                self._moments.append((name, *_moment(name, value, sent)))
            elif (get := getter(name, value, sent)) is not None:
                self._gets.append((name, get))
        self.unsent = tuple(missing)

    def __call__(self, cells: Cells, zone: ZoneInfo) -> Values:
        """Return field → value; raises DataValidationError that names every field that cannot be read."""
        try:
            values: Values = {name: get(cells) for name, get in self._gets}
            for name, at, parse in self._moments:
                cell = cells[at]
                values[name], precision = (None, None) if cell is None else parse(cell, zone)
                if name == "sold_at":
                    values["sold_at_precision"] = precision
        except (ValueError, ArithmeticError):
            raise self._fault(cells, zone) from None
        return values

    def _fault(self, cells: Cells, zone: ZoneInfo) -> FluxionError:
        said: list[str] = []
        tries: list[tuple[str, Callable[[], object]]] = [(name, partial(get, cells)) for name, get in self._gets]
        for name, at, parse in self._moments:
            cell = cells[at]
            tries += [] if cell is None else [(name, partial(parse, cell, zone))]
        for name, attempt in tries:
            try:
                attempt()
            except (ValueError, ArithmeticError) as fault:
                said.append(f"{self._entity}.{name}: {fault if isinstance(fault, ValueError) else 'not readable'}")
        return DataValidationError(
            ", ".join(said), "mend the value in the point of sale, or correct the template and touch the row there"
        )


def _moment(name: str, value: Constant | Column, sent: Sent) -> tuple[int, parsers.ParseMoment]:
    if isinstance(value, Constant):
        message = f"{name} cannot be a constant"
        raise ColumnMissingError(message, MEND_TEMPLATE)
    at, kind = sent.at(value.column, name)
    if kind == "text":
        return at, parsers.text_moment(value.format)
    typed: dict[Type, parsers.ParseMoment] = {
        "datetime": parsers.local_moment,
        "instant": parsers.instant_moment,
        "date": parsers.date_moment,
    }
    if kind not in typed:
        message = f"{sent.table}.{value.column} is {kind}, and {name} needs a time"
        raise ColumnMissingError(message, MEND_TEMPLATE)
    return at, typed[kind]


def getter(name: str, value: Constant | Column, sent: Sent) -> Get | None:
    """Return what reads a field from a row; None where its column was not sent, so neither is the field."""
    if isinstance(value, Constant):
        fixed = _constant(name, value.value)
        return lambda _cells: fixed
    found = sent.find(value.column)
    if found is None:
        return None
    at, kind = found
    if value.map is not None:
        alike = (lambda cell: cell.strip()) if kind == "text" else parsers.comparable(kind)
        table = {alike(word): _constant(name, ours) for word, ours in value.map.items()}
        other = None if value.else_ is None else _constant(name, value.else_)
        return lambda cells: None if (cell := cells[at]) is None else table.get(alike(cell), other)
    if kind == "bytes":
        message = f"{sent.table}.{value.column} is binary, and {name} cannot be read from it"
        raise ColumnMissingError(message, MEND_TEMPLATE)
    if name in NUMBERS and kind in {"integer", "decimal"}:
        return itemgetter(at)
    parse = _parser(name, kind, value.format)
    return lambda cells: None if (cell := cells[at]) is None else parse(cell)


def _parser(name: str, kind: Type, style: str | None) -> parsers.Parse:
    if name in BOOLEANS:
        return parsers.boolean
    if name not in NUMBERS:
        return parsers.text
    return parsers.float_number if kind == "float" else parsers.money(style)


def _constant(name: str, value: Scalar) -> str | bool | None:
    try:
        if name in BOOLEANS:
            return parsers.boolean(plain(value))
        return parsers.money("1,234.56")(plain(value)) if name in NUMBERS else parsers.text(str(value))
    except ValueError as fault:
        raise MappingError(f"the template's constant for {name}: {fault}", MEND_TEMPLATE) from None
