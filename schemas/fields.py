"""What each field of a canonical record holds. A template names columns only; the field's kind chooses the parser."""

from typing import Literal

# day: a date. time: only an argument of a call. word: one of a list, see WORDS. Whatever stands in no set is text.
Kind = Literal["text", "number", "boolean", "moment", "day", "time", "word"]

NUMBERS = frozenset(
    {
        "amount",
        "amount_base",
        "base",
        "cost_price",
        "discount",
        "discount_total",
        "exchange_rate",
        "exempt_total",
        "igtf",
        "igtf_total",
        "line_total",
        "list_price",
        "quantity",
        "rate",
        "returned_quantity",
        "rounding",
        "selling_price",
        "subtotal",
        "tax_amount",
        "tax_rate",
        "tax_total",
        "total",
        "unit_cost",
        "unit_price",
    }
)
BOOLEANS = frozenset({"is_active", "prices_include_tax"})
MOMENTS = frozenset({"sold_at", "last_sale_at", "occurred_at"})
DAYS = frozenset({"business_date"})

TAX_CATEGORIES = ("general", "reduced", "luxury", "exempt", "not_subject")
# Fields that hold one of these words and nothing else; `category` is a tax's.
WORDS: dict[str, tuple[str, ...]] = {
    "doc_type": ("invoice", "credit_note", "debit_note", "delivery_note"),
    "status": ("partial", "completed", "voided"),
    "tax_category": TAX_CATEGORIES,
    "category": TAX_CATEGORIES,
}
RETURN = "credit_note"

# What `returns: negative` turns round: amounts and quantities of a document, of its lines, tenders and taxes. A price, a
# rate and a unit's cost have no sign.
SIGNED = frozenset(
    {
        "amount",
        "amount_base",
        "base",
        "discount",
        "discount_total",
        "exempt_total",
        "igtf",
        "igtf_total",
        "line_total",
        "quantity",
        "returned_quantity",
        "rounding",
        "subtotal",
        "tax_amount",
        "tax_total",
        "total",
    }
)


def kind_of(field: str) -> Kind:
    """Return what a field holds."""
    for kind, names in _KINDS.items():
        if field in names:
            return kind
    return "text"


_KINDS: dict[Kind, frozenset[str]] = {
    "number": NUMBERS,
    "boolean": BOOLEANS,
    "moment": MOMENTS,
    "day": DAYS,
    "word": frozenset(WORDS),
}
