"""Whether the lines of a sale add up to its header: pure. A difference is reported, never repaired."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import product

from sinks.stored import StoredLine, StoredSale, StoredTax

_CENT = Decimal("0.01")
_ZERO = Decimal(0)
_IGTF = "igtf"


def totals_match(sale: StoredSale, lines: Sequence[StoredLine], taxes: Sequence[StoredTax]) -> bool | None:
    """Tell whether the lines add up to the header, to a cent a line; None where they cannot be compared.

    Prices with tax add up to the total, prices without to the subtotal (or the total without its tax). A discount on the
    whole ticket may be taken off or not, for a POS prints the subtotal before or after it; rounding and IGTF, which
    belongs to the payment, may be in the total or not.
    """
    amounts = [_amount(line) for line in lines]
    known = [amount for amount in amounts if amount is not None]
    aims = _aims(sale, lines, taxes)
    if not aims or not amounts or len(known) < len(amounts):
        return None
    said = sum(known, _ZERO)
    return any(abs(said - aim) <= _CENT * len(known) for aim in aims)


def _aims(sale: StoredSale, lines: Sequence[StoredLine], taxes: Sequence[StoredTax]) -> set[Decimal]:
    """Return what the lines may add up to."""
    tax = sale.tax_total if sale.tax_total is not None else _tax(lines, taxes)
    discounts = {_ZERO, abs(sale.discount_total or _ZERO)}
    added = {_ZERO, sale.rounding or _ZERO}, {_ZERO, sale.igtf_total or _ZERO}
    if sale.prices_include_tax:
        of_total = sale.total
        of_subtotal = None if of_total is not None or sale.subtotal is None or tax is None else sale.subtotal + tax
    else:
        of_subtotal = sale.subtotal
        of_total = None if of_subtotal is not None or sale.total is None or tax is None else sale.total - tax
    aims = set()
    if of_subtotal is not None:
        aims |= {of_subtotal + discount for discount in discounts}
    if of_total is not None:
        aims |= {of_total + off - rounding - igtf for off, rounding, igtf in product(discounts, *added)}
    return aims


def _tax(lines: Sequence[StoredLine], taxes: Sequence[StoredTax]) -> Decimal | None:
    """Return the tax that rows or lines say, where the header says none."""
    of_rows = [tax.amount for tax in taxes if tax.category != _IGTF]
    said = of_rows or [line.tax_amount for line in lines]
    known = [amount for amount in said if amount is not None]
    return sum(known, _ZERO) if said and len(known) == len(said) else None


def _amount(line: StoredLine) -> Decimal | None:
    if line.line_total is None and line.quantity is not None and line.unit_price is not None:
        return line.quantity * line.unit_price - (line.discount or _ZERO)
    return line.line_total
