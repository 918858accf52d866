"""The functions that a template's `{columns, call}` may name: pure, from canonical text to canonical text.

An argument that is null or blank comes as None. A function raises ValueError with a sentence for a person. This is the only
escape hatch of the format; a new one is added here, with a test, and never does I/O.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext

from schemas.fields import RETURN, Kind

Text = str | None


@dataclass(frozen=True)
class Function:
    """What a template may call. takes: the kind of each argument; more: the last one may come again, any number of times."""

    run: Callable[..., Text]
    takes: tuple[Kind, ...]
    gives: Kind
    more: bool = False

    def takes_count(self, count: int) -> bool:
        """Tell whether it can be called with so many arguments."""
        return count == len(self.takes) or (self.more and count > len(self.takes))

    def kinds(self, count: int) -> tuple[Kind, ...]:
        """Return the kinds of so many arguments."""
        return self.takes + self.takes[-1:] * (count - len(self.takes))


def date_and_time(day: Text, time: Text) -> Text:
    """Join a date's column and a time's; without a time it is known by its date only."""
    return day if day is None or time is None else f"{day}T{time}"


def date_only(day: Text) -> Text:
    """Take the date of a column that holds no real time, such as a date at 00:00."""
    return day


def joined(separator: Text, *parts: Text) -> Text:
    """Join text by the first argument; parts that are null are left out."""
    return (separator or "").join(part for part in parts if part is not None) or None


def first(*values: Text) -> Text:
    """Return the first that is not null."""
    return next((value for value in values if value is not None), None)


def only_if(value: Text, condition: Text) -> Text:
    """Take a value only where the second is not null, mostly `{column, map: {B: 1}}`."""
    return None if condition is None else value


def signed(quantity: Text, sign: Text) -> Text:
    """Give a quantity without a sign the sign of the second argument, mostly `{column, map: {E: 1, S: -1}}`."""
    if quantity is None:
        return None
    if sign is None or not Decimal(sign):
        raise ValueError("nothing says whether it comes in or goes out")
    return quantity if Decimal(sign) > 0 else negated(quantity)


def difference(minuend: Text, subtrahend: Text) -> Text:
    """Subtract the second from the first, such as what went out from what came in; null counts as 0."""
    return None if minuend is None and subtrahend is None else _exact(Decimal.__sub__, minuend, subtrahend)


def added(*numbers: Text) -> Text:
    """Add numbers, such as the amounts of several taxes; null counts as 0, and nothing but nulls is null."""
    given = [number for number in numbers if number is not None]
    made: Text = None
    for number in given:
        made = number if made is None else _exact(Decimal.__add__, made, number)
    return made


def largest(*numbers: Text) -> Text:
    """Return the largest number, such as the last of totals that only grow; null counts as nothing."""
    return max((number for number in numbers if number is not None), key=Decimal, default=None)


def times(one: Text, other: Text) -> Text:
    """Multiply, such as an amount in dollars by its recorded rate; null where either is."""
    return None if one is None or other is None else _exact(Decimal.__mul__, one, other)


def return_if_negative(amount: Text) -> Text:
    """Take a document, or its line, for a return (credit_note) where this amount is negative, else for an invoice."""
    return RETURN if amount is not None and Decimal(amount) < 0 else "invoice"


_RIF = re.compile(r"([VEJPGC])[\s.-]*(\d[\d.\s]*?)[\s-]*(\d)", re.IGNORECASE)
_DIGITS_OF_RIF = 8


def rif(text: Text) -> Text:
    """Write a RIF as J-07013380-5; anything that has not its form stays as it is written."""
    found = _RIF.fullmatch(text.strip()) if text is not None else None
    if found is None:
        return text
    digits = re.sub(r"\D", "", found[2])
    return f"{found[1].upper()}-{digits}-{found[3]}" if len(digits) == _DIGITS_OF_RIF else text


FUNCTIONS: dict[str, Function] = {
    "added": Function(added, ("number", "number"), "number", more=True),
    "date_and_time": Function(date_and_time, ("day", "time"), "moment"),
    "date_only": Function(date_only, ("day",), "moment"),
    "difference": Function(difference, ("number", "number"), "number"),
    "first": Function(first, ("text", "text"), "text", more=True),
    "joined": Function(joined, ("text", "text"), "text", more=True),
    "largest": Function(largest, ("number", "number"), "number", more=True),
    "only_if": Function(only_if, ("text", "text"), "text"),
    "return_if_negative": Function(return_if_negative, ("number",), "word"),
    "rif": Function(rif, ("text",), "text"),
    "signed": Function(signed, ("number", "number"), "number"),
    "times": Function(times, ("number", "number"), "number"),
}


def negated(number: str) -> str:
    """Turn a number's sign round; zero has none."""
    if number.startswith("-"):
        return number[1:]
    return number if number.strip("0.") == "" else f"-{number.removeprefix('+')}"


# More digits than any database's number has; what does not fit is refused by `validate`.
_DIGITS = 200


def _exact(work: Callable[[Decimal, Decimal], Decimal], one: Text, other: Text) -> str:
    with localcontext() as context:
        context.prec = _DIGITS
        return format(work(Decimal(one or "0"), Decimal(other or "0")), "f")
