"""A JSON document as text has it: numbers exact, no name twice, nothing that a template or Avro could not take."""

import json
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from fluxion.errors import DataValidationError

MOST_DEPTH = 32
# Beyond any number that money or a quantity can be; 1e999999999 written out would fill the memory.
MOST_DIGITS = 200

Plain = str | Decimal | bool | list["Plain"] | dict[str, "Plain"] | None


class RefusedError(DataValidationError):
    """What was sent cannot be taken; nothing of it was."""

    code = "INVALID_EVENT"


class NotJsonError(RefusedError):
    """The body is no JSON document."""

    code = "NOT_JSON"


def parse(body: bytes) -> Plain:
    """Return the document; every number is a Decimal. Raises NotJsonError, or RefusedError for what we refuse of JSON."""
    try:
        text = body.decode("utf-8")
        found: Plain = json.loads(
            text, parse_float=_number, parse_int=_number, parse_constant=_no_number, object_pairs_hook=_object
        )
    except UnicodeDecodeError:
        raise NotJsonError("the body is not UTF-8", "send JSON in UTF-8") from None
    except json.JSONDecodeError as fault:
        message = f"the body is no JSON (line {fault.lineno}, column {fault.colno}: {fault.msg})"
        raise NotJsonError(message, "mend what writes it") from None
    except RecursionError:
        raise _too_deep() from None
    _demand_sound(found, 1)
    return found


def number_text(number: Decimal) -> str:
    """Write a number as a plain decimal, digit by digit as it was sent: 1.10 stays 1.10, 1e3 is 1000."""
    return format(number, "f")


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent beyond what Decimal itself knows
        raise _too_long(text) from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > MOST_DIGITS or abs(number.adjusted()) > MOST_DIGITS:
        raise _too_long(text)
    return number


def _too_long(number: str) -> RefusedError:
    return RefusedError(f"the number {number:.40} has more than {MOST_DIGITS} digits", "send a number that can be one")


def _no_number(word: str) -> NoReturn:
    raise NotJsonError(f"{word} is no number in JSON", "send null where there is none")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise RefusedError(f"{name!r:.80} stands twice in one object", "send each name once")
    return made


def _demand_sound(value: Plain, depth: int) -> None:
    """Raise RefusedError for half a character, which no database takes, and for what is nested too deep."""
    if isinstance(value, str):
        _demand_whole(value)
        return
    if not isinstance(value, list | dict):
        return
    if depth > MOST_DEPTH:
        raise _too_deep()
    for name in value if isinstance(value, dict) else ():
        _demand_whole(name)
    for one in value.values() if isinstance(value, dict) else value:
        _demand_sound(one, depth + 1)


def _demand_whole(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise RefusedError(f"{text!r:.80} holds half of a character", "send whole characters") from None


def _too_deep() -> RefusedError:
    return RefusedError(f"the JSON is nested deeper than {MOST_DEPTH} levels", "flatten it")
