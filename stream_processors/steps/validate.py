"""validate: required fields and PostgreSQL's limits. A bad draft goes to quarantine, its neighbours go on."""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

from msgspec.structs import replace

from fluxion.errors import DataValidationError, FluxionError
from schemas.identity import Entity
from schemas.template import MOMENTS, NUMBERS
from stream_processors.drafts import Draft, Fault, Mapped, OutOfRangeError, RequiredMissingError, Values

REQUIRED: dict[Entity, tuple[str, ...]] = {
    "category": (),
    "product": ("sku",),
    "stock": ("product_ref", "quantity"),
    "sale": ("sold_at",),
    "line": ("quantity",),
}
PRECISION_REDUCED = "PRECISION_REDUCED"

# numeric(18,4); what fits by its form alone needs no arithmetic.
_FITS = re.compile(r"-?[0-9]{1,14}(?:\.[0-9]{1,4})?")
_DECIMALS = Decimal("0.0001")
_LIMIT = Decimal(10) ** 14
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
_FIRST_YEAR, _LAST_YEAR = "1900", "2199"

# sku is indexed, and an index entry of PostgreSQL is 2,704 bytes at most.
MAX_CODE, MAX_TEXT = 500, 10_000
_CODES = frozenset({"sku", "barcode", "number", "register_id", "line_no", "doc_type", "status", "currency"})
_MEND = "mend the value in the point of sale, and the row comes again"


def validate(mapped: Mapped) -> Mapped:
    """Return the drafts that PostgreSQL can take; the others stand among the faults."""
    sound: list[Draft] = []
    faults = list(mapped.faults)
    for draft in mapped.drafts:
        try:
            sound.append(_checked(draft))
        except FluxionError as fault:
            faults.append(Fault(draft.row, draft.external_id, fault))
    return replace(mapped, drafts=sound, faults=faults)


def _checked(draft: Draft) -> Draft:
    if len(draft.external_id) > MAX_CODE or "\0" in draft.external_id:
        raise OutOfRangeError(f"the key of this {draft.entity} is too long or holds a NUL", _MEND)
    if draft.delete:
        return draft
    values = draft.values
    for name in REQUIRED[draft.entity]:
        if name in values and values[name] is None:
            raise RequiredMissingError(f"{draft.entity}.{name} is null or blank", _MEND)
    changed: Values = {
        name: _number(f"{draft.entity}.{name}", value)
        for name, value in values.items()
        if isinstance(value, str) and not _fits(draft.entity, name, value)
    }
    if not changed:
        return draft
    rounded = any(Decimal(str(values[name])) != Decimal(str(value)) for name, value in changed.items())
    warnings = (*draft.warnings, PRECISION_REDUCED) if rounded else draft.warnings
    return replace(draft, values={**values, **changed}, warnings=warnings)


def _fits(entity: Entity, name: str, value: str) -> bool:
    """Tell whether a value stays as it is; raises where it can be neither kept nor, as a number can, rewritten."""
    if name in NUMBERS:
        return _FITS.fullmatch(value) is not None
    if name in MOMENTS:
        _moment(f"{entity}.{name}", value)
    else:
        _text(f"{entity}.{name}", value, MAX_CODE if name in _CODES else MAX_TEXT)
    return True


def _number(place: str, value: str) -> str:
    """Return the number in at most four decimals, rounded half-even."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise DataValidationError(f"{place}: {value[:40]!r} is not a number", _MEND) from None
    if not number.is_finite():
        raise OutOfRangeError(f"{place} is {value}, which is no amount", _MEND)
    if number.adjusted() >= _LIMIT.adjusted():
        raise OutOfRangeError(f"{place}: {value[:40]} has more than 14 digits before the point", _MEND)
    rounded = number.quantize(_DECIMALS, context=_WIDE)
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
