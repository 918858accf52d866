"""rules: defaults that a point of sale leaves out, and warnings. Nothing is refused here."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

from msgspec.structs import replace

from fluxion.clock import instant
from schemas.identity import Entity
from schemas.records import Op
from stream_processors.drafts import Draft, Mapped, Values

LOW_MARGIN, FUTURE_DATE, UNKNOWN_CURRENCY = "LOW_MARGIN", "FUTURE_DATE", "UNKNOWN_CURRENCY"
# A store's clock may be wrong, and its zone differ from ours; a day is beyond both.
TOLERANCE = timedelta(days=1)
HUNDRED = Decimal(100)

Rule = Callable[[Draft, Op, Mapped], Draft]


def apply_rules(mapped: Mapped) -> Mapped:
    """Return the drafts with defaults filled in and warnings added."""
    rows = mapped.source.change_set.rows
    drafts = [
        draft
        if draft.deletion is not None or draft.entity not in _RULES
        else _RULES[draft.entity](draft, rows[draft.row].op, mapped)
        for draft in mapped.drafts
    ]
    return replace(mapped, drafts=drafts)


def _product(draft: Draft, op: Op, mapped: Mapped) -> Draft:
    values = _with_defaults(draft, op, {"tax_rate": str(mapped.defaults.tax_rate)})
    low = _margin_is_low(values, mapped)
    return replace(draft, values=values, warnings=(*draft.warnings, LOW_MARGIN) if low else draft.warnings)


def _sale(draft: Draft, op: Op, mapped: Mapped) -> Draft:
    defaults: Values = {
        "status": "completed",
        "currency": mapped.defaults.currency,
        "prices_include_tax": mapped.defaults.prices_include_tax,
    }
    return _with_currency(_dated(replace(draft, values=_with_defaults(draft, op, defaults)), "sold_at", mapped))


def _movement(draft: Draft, _op: Op, mapped: Mapped) -> Draft:
    return _dated(draft, "occurred_at", mapped)


def _payment(draft: Draft, _op: Op, _mapped: Mapped) -> Draft:
    return _with_currency(draft)


_RULES: dict[Entity, Rule] = {"product": _product, "sale": _sale, "movement": _movement, "payment": _payment}


def _dated(draft: Draft, name: str, mapped: Mapped) -> Draft:
    """Flag a date that lies ahead of the time of capture."""
    if not _is_future(cast("str | None", draft.values.get(name)), mapped.source.change_set.captured_at):
        return draft
    return replace(draft, warnings=(*draft.warnings, FUTURE_DATE))


def _with_currency(draft: Draft) -> Draft:
    """Write the currency's code in capitals; flag, and keep, what is no code, such as "Bs."."""
    said = draft.values.get("currency")
    if not isinstance(said, str) or _CURRENCY.fullmatch(said):
        return draft
    code = said.upper()
    if _CURRENCY.fullmatch(code):
        return replace(draft, values={**draft.values, "currency": code})
    return replace(draft, warnings=(*draft.warnings, UNKNOWN_CURRENCY))


_CURRENCY = re.compile(r"[A-Z]{3}")


def _with_defaults(draft: Draft, op: Op, defaults: Values) -> Values:
    """Return the values with what is null, or was not sent, filled in; an explicit 0 stays.

    A mapped field whose column an update did not send keeps the value that PostgreSQL has, so it is left out.
    """
    missing = {
        name: value
        for name, value in defaults.items()
        if draft.values.get(name) is None and not (op == "u" and name in draft.unsent)
    }
    return {**draft.values, **missing} if missing else draft.values


def _margin_is_low(values: Values, mapped: Mapped) -> bool:
    """Tell whether (price - cost) / cost is under the minimum, the price without its tax. Without a cost there is none."""
    price, cost = _amount(values.get("selling_price")), _amount(values.get("cost_price"))
    if not price or not cost or price < 0 or cost < 0:
        return False
    if mapped.defaults.prices_include_tax:
        price = price * HUNDRED / (HUNDRED + (_amount(values.get("tax_rate")) or 0))
    return (price - cost) * HUNDRED < mapped.defaults.min_margin * cost


def _amount(value: str | bool | None) -> Decimal | None:  # noqa: FBT001 -- a field's value, not a flag
    return Decimal(value) if isinstance(value, str) else None


def _is_future(moment: str | None, captured_at: int) -> bool:
    return moment is not None and datetime.fromisoformat(moment) > instant(captured_at) + TOLERANCE
