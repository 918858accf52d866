from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.announce import Announce, StoredLine, StoredSale, Wait, announcement, decide, plain

REGISTERED = datetime(2026, 1, 1, 12, tzinfo=UTC)
LINE = StoredLine(
    id="5f5f9dcc-66e2-4f0c-9d3b-000000000001", external_id="1|1", line_no=None, sku="A", product_id=None, name=None,
    quantity=Decimal(2), unit_price=Decimal("5.00"), line_total=Decimal("10.0000"), tax_rate=None, version=11,
    mapping_revision=1, purged=False,
)  # fmt: skip
SALE = StoredSale(
    tenant_id="t", id="5f5f9dcc-66e2-4f0c-9d3b-000000000000", system_id="s", external_id="1", store_id="store",
    has_header=True, number="1", doc_type=None, status=None, register_id=None,
    sold_at=REGISTERED + timedelta(hours=1), sold_at_precision=None, business_date=None, currency="VES",
    subtotal=Decimal("10.0000"), tax_total=Decimal("1.6000"), total=Decimal("11.6000"), prices_include_tax=False,
    closed=True, expected_lines=None, is_snapshot=False, version=10, mapping_revision=1, purged=False, announced=False,
    lines=(LINE,),
)  # fmt: skip
HALF_A_SECOND = timedelta(milliseconds=500)
BEFORE = replace(SALE, is_snapshot=True, sold_at=REGISTERED - timedelta(hours=1))


def verdict(sale: StoredSale, *, txn_end: bool = False, due: bool = False) -> Announce | Wait | None:
    return decide(sale, txn_end=txn_end, due=due, settle_seconds=60, announce_from=REGISTERED)


@pytest.mark.parametrize(
    ("sale", "txn_end", "due", "expected"),
    [
        (SALE, True, False, Announce(complete=True, silent=False)),
        (SALE, False, False, Wait(2)),
        (SALE, False, True, Announce(complete=True, silent=False)),
        (replace(SALE, lines=()), True, False, Wait(60)),
        (replace(SALE, lines=()), False, True, Announce(complete=False, silent=False)),
        (replace(SALE, expected_lines=1), False, False, Announce(complete=True, silent=False)),
        (replace(SALE, expected_lines=2), False, False, Wait(60)),
        (replace(SALE, expected_lines=2), False, True, Announce(complete=False, silent=False)),
        (replace(SALE, closed=False), True, True, None),
        (replace(SALE, has_header=False), True, True, None),
        (replace(SALE, announced=True), True, True, None),
        (replace(SALE, is_snapshot=True), False, False, None),
        (replace(SALE, is_snapshot=True), False, True, Announce(complete=True, silent=False)),
        (BEFORE, False, True, Announce(complete=True, silent=True)),
        (replace(BEFORE, is_snapshot=False), True, False, Announce(complete=True, silent=False)),
        (replace(BEFORE, sold_at_precision="date"), False, True, Announce(complete=True, silent=False)),
        # Sold in the second of the registration: the POS cuts the fraction off.
        (replace(BEFORE, sold_at=REGISTERED - HALF_A_SECOND), False, True, Announce(complete=True, silent=False)),
        (replace(BEFORE, sold_at=REGISTERED - 3 * HALF_A_SECOND), False, True, Announce(complete=True, silent=True)),
    ],
)
def test_when_a_sale_is_announced(
    sale: StoredSale,
    *,
    txn_end: bool,
    due: bool,
    expected: Announce | Wait | None,
) -> None:
    assert verdict(sale, txn_end=txn_end, due=due) == expected


def test_the_event_is_the_sale_as_it_stands() -> None:
    news = announcement(SALE, complete=True, zone="America/Caracas")
    sale = news.event.sale
    assert (news.version, sale.version, sale.total, sale.totals_match) == (11, 11, "11.6", True)
    assert sale.sold_at == "2026-01-01T09:00:00-04:00"
    assert (sale.lines[0].line_no, sale.lines[0].quantity, sale.lines[0].line_total) == (1, "2", "10")


def test_a_line_that_went_counts_only_where_its_sale_went_too() -> None:
    gone = replace(SALE, lines=(LINE, replace(LINE, id="other", purged=True)))
    assert len(announcement(gone, complete=True, zone="UTC").event.sale.lines) == 1
    assert len(announcement(replace(gone, purged=True), complete=True, zone="UTC").event.sale.lines) == 2


def test_a_re_snapshot_and_a_name_that_came_later_are_no_difference() -> None:
    again = replace(SALE, version=99, is_snapshot=True, lines=(replace(LINE, version=100, name="Pan", product_id="p"),))
    first, second = (announcement(sale, complete=True, zone="UTC") for sale in (SALE, again))
    assert first.digest == second.digest
    assert first.event_id != second.event_id


@pytest.mark.parametrize("change", [{"total": Decimal(12)}, {"status": "voided"}, {"lines": ()}])
def test_whatever_the_pos_says_differently_is_a_difference(change: dict[str, object]) -> None:
    other = replace(SALE, **change)  # type: ignore[arg-type]  # a table of cases
    assert announcement(SALE, complete=True, zone="UTC").digest != announcement(other, complete=True, zone="UTC").digest


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"subtotal": Decimal("10.01")}, True),
        ({"subtotal": Decimal("10.02")}, False),
        ({"subtotal": None}, True),
        ({"subtotal": None, "tax_total": None}, None),
        ({"prices_include_tax": True}, False),
        ({"prices_include_tax": True, "total": Decimal(10)}, True),
        ({"lines": ()}, None),
        ({"lines": (replace(LINE, line_total=None),)}, True),
        ({"lines": (replace(LINE, line_total=None, unit_price=None),)}, None),
    ],
)
def test_totals_are_compared_where_they_can_be(change: dict[str, object], *, expected: bool | None) -> None:
    sale = replace(SALE, **change)  # type: ignore[arg-type]  # a table of cases
    assert announcement(sale, complete=True, zone="UTC").event.sale.totals_match is expected


@given(st.permutations(range(12)))
def test_lines_without_a_number_stand_in_the_order_of_their_keys(order: list[int]) -> None:
    lines = tuple(replace(LINE, id=str(place), external_id=f"7|{place}") for place in order)
    told = announcement(replace(SALE, lines=lines), complete=True, zone="UTC").event.sale.lines
    assert [(line.line_id, line.line_no) for line in told] == [(str(place), place + 1) for place in range(12)]


def test_numbers_of_the_pos_stay_where_each_is_its_own() -> None:
    lines = tuple(replace(LINE, id=number, line_no=number) for number in ("20", "3"))
    assert [
        line.line_no for line in announcement(replace(SALE, lines=lines), complete=True, zone="UTC").event.sale.lines
    ] == [3, 20]
    twice = tuple(replace(LINE, id=name, line_no="7") for name in "ab")
    assert [
        line.line_no for line in announcement(replace(SALE, lines=twice), complete=True, zone="UTC").event.sale.lines
    ] == [1, 2]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**13), max_value=10**13))
def test_plain_text_of_a_decimal_is_the_same_amount(amount: Decimal) -> None:
    text = plain(amount)
    assert text is not None
    assert Decimal(text) == amount
    assert "E" not in text
