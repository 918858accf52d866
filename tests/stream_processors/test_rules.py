"""Defaults and warnings."""

from typing import Any

import pytest

from tests.stream_processors.sets import (
    ITEM,
    ITEMS,
    SALE,
    TRANSACTIONS,
    cells,
    change_set,
    read,
    system,
    template,
    without,
)


@pytest.mark.parametrize(
    ("op", "rate", "kept"), [("c", "0", "0"), ("c", None, "16"), ("u", "0.00", "0.00"), ("u", None, "16")]
)
def test_an_explicit_zero_is_exempt_and_a_missing_rate_is_16(op: Any, rate: str | None, kept: str) -> None:
    (product,) = read(change_set((ITEMS, op, 0, cells(ITEMS, ITEM, tax_rate=rate)))).products
    assert (product.tax_rate, "tax_rate" in product.fields) == (kept, True)


def test_a_rate_that_was_not_sent() -> None:
    bare = without(ITEMS, "tax_rate")
    row = ITEM[:5] + ITEM[6:]
    made = read(change_set((bare, "c", 0, row), (bare, "u", 1, row)))
    assert [(one.tax_rate, "tax_rate" in one.fields) for one in made.products] == [("16", True), (None, False)]
    unmapped = template()
    del unmapped["product"][0]["tax_rate"]
    made = read(change_set((bare, "u", 0, row)), system(unmapped))
    assert [one.tax_rate for one in made.products] == ["16"]


@pytest.mark.parametrize(
    ("price", "cost", "warned"),
    [
        ("104.99", "100", True),
        ("105", "100", False),
        ("90", "100", True),
        ("10", "0", False),
        ("10", None, False),
        ("0", "5", False),
    ],
)
def test_a_low_margin_is_flagged(price: str, cost: str | None, warned: bool) -> None:  # noqa: FBT001 -- a row of the table above
    made = read(change_set((ITEMS, "c", 0, cells(ITEMS, ITEM, sale_price=price, cost_price=cost))))
    assert made.products[0].warnings == (["LOW_MARGIN"] if warned else [])


@pytest.mark.parametrize(
    ("price", "rate", "warned"),
    [("121.79", "16", True), ("121.80", "16", False), ("105", "0", False), ("121.79", None, True)],
)
def test_the_tax_in_a_price_is_no_margin(price: str, rate: str | None, warned: bool) -> None:  # noqa: FBT001 -- a row of the table above
    row = cells(ITEMS, ITEM, sale_price=price, cost_price="100", tax_rate=rate)
    made = read(change_set((ITEMS, "c", 0, row)), system(template(defaults__prices_include_tax=True)))
    assert made.products[0].warnings == (["LOW_MARGIN"] if warned else [])


def test_a_sale_from_the_future_is_flagged_and_taken() -> None:
    def warnings(date: str) -> list[str] | None:
        header = read(change_set((TRANSACTIONS, "c", 0, cells(TRANSACTIONS, SALE, trans_date=date)))).sales[0].header
        return header.warnings if header else None

    assert warnings("2026-11-19T07:06:40") == []
    assert warnings("2026-11-19T07:06:41") == ["FUTURE_DATE"]
