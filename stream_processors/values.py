"""Canonical text to Fluxion's values. Only `text` columns are read by locale; typed columns are plain.

Every parser takes text and returns text (or a boolean) and raises ValueError with a sentence for a person.
"""

import re
from collections.abc import Callable
from decimal import Decimal

from schemas.records import Type

Parse = Callable[[str], str | bool | None]

_SIGNS = r"(?:bs\.?\s?s\.?|bs\.?|ves|ved|usd|us\$|\$|ref\.?)"
_PRICE = re.compile(rf"\s*(-?)\s*{_SIGNS}?\s*(-?)([\d.,]+)\s*{_SIGNS}?\s*", re.IGNORECASE | re.ASCII)
_PLAIN = re.compile(r"[0-9]+")
_COMMA = re.compile(r"(?:[1-9][0-9]{0,2}(?:\.[0-9]{3})+|[0-9]+)(?:,[0-9]+)?|,[0-9]+")
_POINT = re.compile(r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+")
# One separator with three digits behind and up to three before, none of them a leading zero: thousands or decimals?
_AMBIGUOUS = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")


def text(value: str) -> str | None:
    """Strip padding; text of nothing but blanks is NULL."""
    return value.strip() or None


# What a double holds of any decimal number (DBL_DIG); digits behind them are the noise of its arithmetic. The decimals of an
# amount are kept in any case, and beyond those of a rate of exchange nothing is.
_DIGITS_OF_A_DOUBLE, _OF_AN_AMOUNT, _OF_A_RATE = 15, 4, 10


def float_number(value: str) -> str | None:
    """Write a float's shortest text ("1e-07") as a plain decimal, without noise: 0.30000000000000004 is 0.3, and 1.0 is 1.

    NaN and Infinity pass; `validate` refuses them.
    """
    _, _, decimals = value.partition(".")
    if len(decimals) <= _OF_AN_AMOUNT and decimals.isdecimal():  # most are, and nothing of them is noise
        return value.rstrip("0").rstrip(".")
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int):
        places = min(max(_OF_AN_AMOUNT, _DIGITS_OF_A_DOUBLE - 1 - number.adjusted()), _OF_A_RATE)
        number = round(number, places) if -exponent > places else number
    return _plainly(number)


def float_text(value: str) -> str:
    """Write a number that stands in a float column, such as a document's number, as text: 123.0 is "123"."""
    try:
        return _plainly(Decimal(value))
    except ArithmeticError:
        return value.strip()


def _plainly(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def money(style: str | None) -> Parse:
    """Return a parser of amounts in text: "Bs. 1.234,56", "1,234.56 USD". Without a style, ambiguous text is refused."""

    def parse(value: str) -> str | None:
        if not value.strip():
            return None
        found = _PRICE.fullmatch(value)
        if found is None or (found[1] and found[2]):
            raise ValueError(f"{value!r} is not a number")
        return ("-" if found[1] or found[2] else "") + _digits(found[3], style)

    return parse


def _digits(value: str, style: str | None) -> str:
    if style is None and _AMBIGUOUS.fullmatch(value):
        msg = f'{value!r} is ambiguous: the template must say format: "1.234,56" or "1,234.56"'
        raise ValueError(msg)
    if _PLAIN.fullmatch(value):
        return value
    if style != "1,234.56" and _COMMA.fullmatch(value):
        return value.replace(".", "").replace(",", ".")
    if style != "1.234,56" and _POINT.fullmatch(value):
        return value.replace(",", "")
    msg = f"{value!r} is not a number" + (f" written as {style}" if style else "")
    raise ValueError(msg)


_YES = frozenset({"1", "-1", "s", "si", "sí", "y", "yes", "t", "true", "v", "verdadero", "a", "activo"})
_NO = frozenset({"0", "n", "no", "f", "false", "falso", "i", "inactivo"})


def boolean(value: str) -> bool | None:
    """Read 1/0, S/N, Y/N, true/false, activo/inactivo."""
    word = value.strip().casefold()
    if word in _YES:
        return True
    if word in _NO:
        return False
    if not word:
        return None
    msg = f"{value!r} is neither yes nor no"
    raise ValueError(msg)


def number_boolean(value: str) -> bool | None:
    """Read a number that says yes or no: 1.0, as float and decimal columns hold it, is 1."""
    return boolean(float_text(value))


def comparable(kind: Type) -> Callable[[str], str]:
    """Return what makes two canonical texts of a column comparable: 1.00 is 1, blanks on the right do not count."""
    if kind in {"integer", "decimal", "float"}:
        return _normal
    return str.rstrip


def _normal(value: str) -> str:
    try:
        return str(Decimal(value).normalize())
    except ArithmeticError:
        return value
