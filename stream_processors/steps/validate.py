"""validate: required fields and PostgreSQL's limits. A bad draft goes to quarantine, its neighbours go on."""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

from msgspec.structs import replace

from fluxion.errors import DataValidationError, FluxionError
from schemas.fields import DAYS, MOMENTS, NUMBERS
from schemas.identity import Entity
from stream_processors.drafts import Draft, Fault, Mapped, OutOfRangeError, RequiredMissingError, Values

REQUIRED: dict[Entity, tuple[str, ...]] = {
    "category": (),
    "supplier": (),
    "product": ("sku",),
    "stock": ("product_ref", "quantity"),
    "movement": ("quantity", "occurred_at"),
    "sale": ("sold_at", "doc_type"),
    "line": ("quantity",),
    "payment": ("amount",),
    "tax": (),
}
PRECISION_REDUCED = "PRECISION_REDUCED"

# numeric(18,4), and numeric(24,10) for rates of exchange; what fits by its form alone needs no arithmetic.
_FITS = re.compile(r"-?[0-9]{1,14}(?:\.[0-9]{1,4})?")
_RATE_FITS = re.compile(r"-?[0-9]{1,14}(?:\.[0-9]{1,10})?")
_DECIMALS, _RATE_DECIMALS = Decimal("0.0001"), Decimal("0.0000000001")
# (a tax's rate is percent)
_RATES = frozenset({("sale", "exchange_rate"), ("payment", "rate")})
_LIMIT = Decimal(10) ** 14
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
_FIRST_YEAR, _LAST_YEAR = "1900", "2199"
# What a warning keeps of a number; no database's has more digits.
_MAX_KEPT = 80

# sku is indexed, and an index entry of PostgreSQL is 2,704 bytes at most.
MAX_CODE, MAX_TEXT = 500, 10_000
_LONG = frozenset({"name", "customer_name", "reference"})
_MEND = "mend the value in the point of sale, and the row comes again"


def validate(mapped: Mapped) -> Mapped:
    """Return the drafts that PostgreSQL can take; the others stand among the faults."""
    sound: list[Draft] = []
    faults = list(mapped.faults)
    for draft in mapped.drafts:
        try:
            sound.append(_checked(draft))
        except FluxionError as fault:
            faults.append(Fault(draft.row, draft.external_id, fault, draft.entity, draft.id))
    return replace(mapped, drafts=_without_halves(sound, faults) if faults else sound, faults=faults)


def _without_halves(drafts: list[Draft], faults: list[Fault]) -> list[Draft]:
    """Leave out tenders and taxes of a header's row that is at fault: they come with it when it is retried."""
    rows = {fault.row for fault in faults}
    return [draft for draft in drafts if draft.row not in rows or draft.entity not in {"payment", "tax"}]


def _checked(draft: Draft) -> Draft:
    if len(draft.external_id) > MAX_CODE or "\0" in draft.external_id:
        raise OutOfRangeError(f"the key of this {draft.entity} is too long or holds a NUL", _MEND)
    if draft.deletion is not None:
        return draft
    values = draft.values
    for name in REQUIRED[draft.entity]:
        if name in values and values[name] is None:
            zero = " (a zero date counts as null)" if name in MOMENTS or name in DAYS else ""
            raise RequiredMissingError(f"{draft.entity}.{name} is null or blank{zero}", _MEND)
    if draft.entity == "movement" and not _names_product(draft):
        raise RequiredMissingError("the movement names no product", _MEND)
    changed: Values = {
        name: _number(draft.entity, name, value)
        for name, value in values.items()
        if isinstance(value, str) and not _fits(draft.entity, name, value)
    }
    if not changed:
        return draft
    rounded = tuple(
        f"{PRECISION_REDUCED}:{name}={kept(str(values[name]))}"
        for name, value in changed.items()
        if Decimal(str(values[name])) != Decimal(str(value))
    )
    return replace(draft, values={**values, **changed}, warnings=(*draft.warnings, *rounded))


def _names_product(draft: Draft) -> bool:
    """Tell whether a movement names its product, or does not carry what would name it."""
    named = [name for name in ("product_ref", "sku") if name in draft.values]
    return not named or any(draft.values[name] is not None for name in named)


def kept(number: str) -> str:
    """Return a number's text as a warning keeps it beside the rounded amount."""
    return number if len(number) <= _MAX_KEPT else f"{number[:_MAX_KEPT]}…"


def _fits(entity: Entity, name: str, value: str) -> bool:
    """Tell whether a value stays as it is; raises where it can be neither kept nor, as a number can, rewritten."""
    if name in NUMBERS:
        return (_RATE_FITS if (entity, name) in _RATES else _FITS).fullmatch(value) is not None
    if name in MOMENTS or name in DAYS:
        _moment(f"{entity}.{name}", value)
    else:
        _text(f"{entity}.{name}", value, MAX_TEXT if name in _LONG else MAX_CODE)
    return True


def _number(entity: Entity, name: str, value: str) -> str:
    """Return the number in at most four decimals, a rate of exchange in ten, rounded half-even."""
    place = f"{entity}.{name}"
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise DataValidationError(f"{place}: {value[:40]!r} is not a number", _MEND) from None
    if not number.is_finite():
        raise OutOfRangeError(f"{place} is {value}, which is no amount", _MEND)
    if number.adjusted() >= _LIMIT.adjusted():
        raise OutOfRangeError(f"{place}: {value[:40]} has more than 14 digits before the point", _MEND)
    rounded = number.quantize(_RATE_DECIMALS if (entity, name) in _RATES else _DECIMALS, context=_WIDE)
    if abs(rounded) >= _LIMIT:
        raise OutOfRangeError(f"{place}: {value[:40]} has more than 14 digits before the point", _MEND)
    return format(rounded, "f")


def _moment(place: str, value: str) -> None:
    if not _FIRST_YEAR <= value[:4] <= _LAST_YEAR:
        raise OutOfRangeError(f"{place}: {value} lies outside {_FIRST_YEAR} to {_LAST_YEAR}", _MEND)


def _text(place: str, value: str, longest: int) -> None:
    if len(value) > longest:
        raise OutOfRangeError(f"{place} has {len(value)} characters, {longest} is the most", _MEND)
    if "\0" in value:
        raise DataValidationError(f"{place} holds a NUL", _MEND)
