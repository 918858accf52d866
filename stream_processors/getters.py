"""Closures that read one value of a template from a row's cells; the field's kind and the column's type choose the parser."""

from collections.abc import Callable
from operator import itemgetter
from typing import cast

from fluxion.errors import MappingError
from schemas.calls import FUNCTIONS
from schemas.fields import WORDS, Kind, kind_of
from schemas.forms import AnyValue, Call, Column, Constant, Scalar
from schemas.parts import columns_of
from schemas.records import Type
from stream_processors import moments
from stream_processors import values as parsers
from stream_processors.cells import MEND_TEMPLATE, Cells, Sent, plain
from stream_processors.drafts import ColumnMissingError

Get = Callable[[Cells], str | bool | None]
# What a moment is read from, and by what.
MomentGet = tuple[Callable[[Cells], str | None], moments.ParseMoment]

# The zero of OLE dates: databases write it where there is no date.
NO_DATE = "1899-12-30"


def was_sent(value: AnyValue, sent: Sent) -> bool:
    """Tell whether the row carries everything that the value is read from."""
    return sent.has(columns_of(value))


def getter(name: str, value: AnyValue, sent: Sent) -> Get:
    """Return what reads a field from a row whose columns were sent; raises ColumnMissingError where they cannot serve."""
    if isinstance(value, Call):
        return _called(name, value, sent)
    kind = kind_of(name)
    if isinstance(value, Constant):
        fixed = _constant(name, kind, value.value)
        return lambda _cells: fixed
    return _worded(name, value, sent) if kind == "word" else _from_column(name, kind, value, sent)


def moment_getter(name: str, value: AnyValue, sent: Sent) -> MomentGet:
    """Return what reads a time; `parse` then places it in the store's zone."""
    if isinstance(value, Call):
        get = _called(name, value, sent)
        return cast("Callable[[Cells], str | None]", get), moments.called_moment  # (only dates and times come out)
    if isinstance(value, Constant):
        message = f"{name} cannot be a constant"
        raise ColumnMissingError(message, MEND_TEMPLATE)
    at, kind = sent.at(value.column, name)
    if kind == "text" or (value.format is not None and kind == "integer"):
        return lambda cells: _filled(cells[at]), moments.text_moment(value.format)
    if kind not in _MOMENTS:
        message = f"{sent.table}.{value.column} is {kind}, and {name} needs a time"
        raise ColumnMissingError(message, MEND_TEMPLATE)
    return lambda cells: None if (cell := cells[at]) is None or cell.startswith(NO_DATE) else cell, _MOMENTS[kind]


_MOMENTS: dict[Type, moments.ParseMoment] = {
    "datetime": moments.local_moment,
    "instant": moments.instant_moment,
    "date": moments.date_moment,
}


def _filled(cell: str | None) -> str | None:
    return None if cell is None or not cell.strip() or cell.startswith(NO_DATE) else cell


def _from_column(name: str, kind: Kind, value: Column, sent: Sent) -> Get:
    at, column_type = sent.at(value.column, name)
    if value.map is not None:
        alike = _alike(column_type)
        table = {alike(word): _constant(name, kind, ours) for word, ours in value.map.items()}
        other = None if value.else_ is None else _constant(name, kind, value.else_)
        return lambda cells: None if (cell := cells[at]) is None else table.get(alike(cell), other)
    if kind == "number" and column_type in {"integer", "decimal"}:
        return itemgetter(at)
    parse = _parser(name, kind, value, column_type, sent)
    return lambda cells: None if (cell := cells[at]) is None else parse(cell)


def _parser(name: str, kind: Kind, value: Column, column_type: Type, sent: Sent) -> parsers.Parse:
    if column_type == "bytes" or (kind == "day" and column_type == "instant"):
        message = f"{sent.table}.{value.column} is {column_type}, and {name} cannot be read from it"
        raise ColumnMissingError(message, MEND_TEMPLATE)
    if kind == "number":
        return parsers.float_number if column_type == "float" else parsers.money(value.format)
    if kind in {"day", "time"}:
        read = moments.parse_day(value.format) if kind == "day" else moments.parse_time(value.format)
        no_date = NO_DATE if kind == "day" else "\0"
        return lambda cell: None if not cell.strip() or cell.startswith(no_date) else read(cell)
    if kind == "boolean":
        return parsers.number_boolean if column_type in {"float", "decimal"} else parsers.boolean
    return parsers.float_text if column_type == "float" else parsers.text


def _alike(column_type: Type) -> Callable[[str], str]:
    return str.strip if column_type == "text" else parsers.comparable(column_type)


def _worded(name: str, value: Column, sent: Sent) -> Get:
    """Return what reads one of the field's words. A word that nothing explains is a fault: a guess would be a lie."""
    at, column_type = sent.at(value.column, name)
    alike, known = _alike(column_type), WORDS[name]
    mapped = value.map if value.map is not None else {word: word for word in known}
    table = {alike(word): str(ours) for word, ours in mapped.items()}
    other = None if value.else_ is None else str(value.else_)
    what = "words that the template maps" if value.map is not None else "words that this field takes"

    def get(cells: Cells) -> str | None:
        cell = cells[at]
        word = "" if cell is None else alike(cell)
        found = table.get(word, other)
        if found is None and word:
            msg = f"{cell!r:.60} is none of the {what} ({', '.join(mapped)})"
            raise ValueError(msg)
        return found

    return get


def _called(name: str, value: Call, sent: Sent) -> Get:
    function = FUNCTIONS.get(value.call)
    if function is None or not function.takes_count(len(value.columns)):
        raise MappingError(f"{name}: {value.call!r} cannot be called so", MEND_TEMPLATE)
    run = function.run
    gets = [
        _argument(name, kind, argument, sent)
        for argument, kind in zip(value.columns, function.kinds(len(value.columns)), strict=True)
    ]
    return lambda cells: run(*[get(cells) for get in gets])


def _argument(name: str, kind: Kind, argument: AnyValue, sent: Sent) -> Get:
    if isinstance(argument, Call):
        return _called(name, argument, sent)
    if isinstance(argument, Constant):
        # A separator is blank on purpose, so it is not stripped.
        fixed = plain(argument.value) if kind == "text" else _constant(name, kind, argument.value)
        return lambda _cells: fixed
    return _from_column(name, kind, argument, sent)


def _constant(name: str, kind: Kind, value: Scalar) -> str | bool | None:
    try:
        if kind == "boolean":
            return parsers.boolean(plain(value))
        return parsers.money("1,234.56")(plain(value)) if kind == "number" else parsers.text(plain(value))
    except ValueError as fault:
        raise MappingError(f"the template's constant for {name}: {fault}", MEND_TEMPLATE) from None
