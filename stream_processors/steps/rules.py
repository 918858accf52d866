"""rules: defaults that a point of sale leaves out, and warnings. Nothing is refused here."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

from msgspec.structs import replace

from fluxion.clock import instant
from schemas.identity import Entity
from schemas.records import Op
from stream_processors.drafts import Draft, Mapped, Values

LOW_MARGIN, FUTURE_DATE = "LOW_MARGIN", "FUTURE_DATE"
# A store's clock may be wrong, and its zone differ from ours; a day is beyond both.
TOLERANCE = timedelta(days=1)
HUNDRED = Decimal(100)

Rule = Callable[[Draft, Op, Mapped], Draft]


def apply_rules(mapped: Mapped) -> Mapped:
    """Return the drafts with defaults filled in and warnings added."""
    rows = mapped.source.change_set.rows
    drafts = [
        draft if draft.delete or draft.entity not in _RULES else _RULES[draft.entity](draft, rows[draft.row].op, mapped)
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
    values = _with_defaults(draft, op, defaults)
    future = _is_future(cast("str | None", values.get("sold_at")), mapped.source.change_set.captured_at)
    return replace(draft, values=values, warnings=(*draft.warnings, FUTURE_DATE) if future else draft.warnings)


_RULES: dict[Entity, Rule] = {"product": _product, "sale": _sale}


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


def _is_future(sold_at: str | None, captured_at: int) -> bool:
    return sold_at is not None and datetime.fromisoformat(sold_at) > instant(captured_at) + TOLERANCE
