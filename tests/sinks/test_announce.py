"""When a sale is looked at and what is said of it then, without a database."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.events import EventSale
from sinks.announce import Judge, Judged, Wait, decide, judge
from sinks.event import plain
from sinks.reading import Touch
from sinks.stored import StoredLine, StoredPayment, StoredSale, StoredTax

REGISTERED = datetime(2026, 1, 1, 12, tzinfo=UTC)
LINE = StoredLine(
    id="5f5f9dcc-66e2-4f0c-9d3b-000000000001", external_id="1|1", version=11, mapping_revision=1, purged=False,
    deleted=False, gone_for=None, line_no=None, sku="A", product_id=None, name=None, scanned_code=None,
    quantity=Decimal(2), unit=None, unit_price=Decimal("5.00"), list_price=None, discount=None,
    line_total=Decimal("10.0000"), tax_rate=None, tax_category=None, tax_amount=None, unit_cost=None,
    returned_quantity=None, kit_parent=None,
)  # fmt: skip
SALE = StoredSale(
    tenant_id="t", id="5f5f9dcc-66e2-4f0c-9d3b-000000000000", system_id="s", external_id="1", store_id="store",
    has_header=True, number="1", control_number=None, doc_type=None, status=None, register_id=None, shift_id=None,
    cashier_id=None, sold_at=REGISTERED + timedelta(hours=1), sold_at_precision=None, business_date=None,
    currency="VES", exchange_rate=None, subtotal=Decimal("10.0000"), discount_total=None, exempt_total=None,
    tax_total=Decimal("1.6000"), igtf_total=None, rounding=None, total=Decimal("11.6000"), prices_include_tax=False,
    original_sale_id=None, original_number=None, customer_tax_id=None, fiscal_printer=None, fiscal_number=None,
    fiscal_z=None, voided_at=None, closed=True, expected_lines=None, is_snapshot=False, version=10,
    mapping_revision=1, purged=False, deleted=False, announced_version=None, announced_revision=None,
    announced_hash=None, announced_as=None, lines=(LINE,),
)  # fmt: skip
BEFORE = replace(SALE, is_snapshot=True, sold_at=REGISTERED - timedelta(hours=1))
GONE = replace(LINE, id="5f5f9dcc-66e2-4f0c-9d3b-000000000002", purged=True, gone_for=20.0, version=12)
PAYMENT = StoredPayment(
    id="p", external_id="1|1", version=13, mapping_revision=1, purged=False, deleted=False, gone_for=None, method="card",
    currency="USD", amount=Decimal(10), rate=Decimal("36.50215"), amount_base=None, igtf=None,
    reference="4111222233334444",
)  # fmt: skip
TAX = StoredTax(
    id="x", external_id="1|1", version=14, mapping_revision=1, purged=False, deleted=False, gone_for=None,
    category="general", rate=Decimal(16), base=Decimal(10), amount=Decimal("1.6"),
)  # fmt: skip


def told(sale: StoredSale, *, complete: bool = True, zone: str = "UTC") -> Judged:
    return judge(sale, complete=complete, zone=zone, announce_from=REGISTERED)


def shown(sale: StoredSale, zone: str = "UTC") -> EventSale:
    return told(sale, zone=zone).events[0].event.sale


def after(sale: StoredSale, **changes: Any) -> StoredSale:
    """The sale after it was announced, and changed since then."""
    first = told(sale)
    known = replace(
        sale,
        announced_version=first.version,
        announced_revision=first.mapping_revision,
        announced_hash=first.digest,
        announced_as=first.announced_as,
    )
    return replace(known, **changes)


DONE = after(SALE)


@pytest.mark.parametrize(
    ("sale", "how", "expected"),
    [
        (SALE, "whole", Judge(complete=True)),
        (SALE, "part", Wait(2)),
        (SALE, "due", Judge(complete=True)),
        (replace(SALE, lines=()), "whole", Wait(60)),
        (replace(SALE, lines=()), "due", Judge(complete=False)),
        (replace(SALE, expected_lines=1), "part", Judge(complete=True)),
        (replace(SALE, expected_lines=2), "part", Wait(60)),
        (replace(SALE, expected_lines=2), "due", Judge(complete=False)),
        (replace(SALE, closed=False), "whole", None),
        (replace(SALE, has_header=False), "due", None),
        (replace(SALE, is_snapshot=True), "part", None),
        (replace(SALE, is_snapshot=True), "again", Wait(2)),
        (replace(SALE, is_snapshot=True), "due", Judge(complete=True)),
        (replace(SALE, purged=True), "whole", Judge(complete=True)),
        (replace(SALE, deleted=True), "due", None),
        # What was announced.
        (DONE, "whole", Judge(complete=True)),
        (DONE, "part", Wait(2)),
        (DONE, "again", Wait(2)),
        (replace(DONE, closed=False), "whole", None),
        (replace(DONE, closed=False, status="voided"), "whole", Judge(complete=True)),
        (replace(DONE, purged=True), "whole", None),
        (replace(DONE, purged=True, status="voided"), "whole", Judge(complete=True)),
        (replace(DONE, purged=True, status="voided", announced_as="voided"), "whole", None),
        # A part that went.
        (replace(DONE, lines=(LINE, GONE)), "whole", Wait(40)),
        (replace(DONE, lines=(LINE, replace(GONE, gone_for=60.0))), "due", Judge(complete=True)),
        (replace(DONE, lines=(LINE, replace(GONE, deleted=True))), "whole", Judge(complete=True)),
        (replace(SALE, lines=(LINE, GONE)), "whole", Judge(complete=True)),
        (replace(SALE, lines=(GONE,)), "whole", Wait(40)),
    ],
)
def test_when_a_sale_is_looked_at(sale: StoredSale, how: Touch | Literal["due"], expected: Judge | Wait | None) -> None:
    assert decide(sale, how, 60) == expected


def types(sale: StoredSale) -> tuple[list[str], str]:
    judged = told(sale)
    return [event.event_type for event in judged.events], judged.announced_as


OTHER = Decimal(12)


@pytest.mark.parametrize(
    ("sale", "expected", "remembered"),
    [
        (SALE, ["sale_created"], "standing"),
        (replace(SALE, status="voided"), ["sale_created", "sale_voided"], "voided"),
        (DONE, [], "standing"),
        (after(SALE, total=OTHER), ["sale_corrected"], "standing"),
        (after(SALE, status="voided"), ["sale_voided"], "voided"),
        (after(replace(SALE, status="voided")), [], "voided"),
        (after(replace(SALE, status="voided"), total=OTHER), ["sale_corrected"], "voided"),
        (after(replace(SALE, status="voided"), status="completed"), ["sale_corrected"], "standing"),
        # Sales from before.
        (BEFORE, [], "silent"),
        (replace(BEFORE, is_snapshot=False), ["sale_created"], "standing"),
        (replace(BEFORE, sold_at=REGISTERED.replace(hour=0), sold_at_precision="date"), ["sale_created"], "standing"),
        (replace(BEFORE, sold_at=None), ["sale_created"], "standing"),  # (nobody knows that it is old)
        (after(BEFORE), [], "silent"),
        (after(BEFORE, total=OTHER, version=20, is_snapshot=False), ["sale_created", "sale_corrected"], "standing"),
        (after(BEFORE, total=OTHER, version=20), ["sale_created", "sale_corrected"], "standing"),
        (after(BEFORE, status="voided", version=20), ["sale_created", "sale_voided"], "voided"),
        (after(BEFORE, total=OTHER, mapping_revision=2), [], "silent"),
        (after(BEFORE, total=OTHER, mapping_revision=2, version=20), [], "silent"),
        (
            after(BEFORE, total=OTHER, mapping_revision=2, version=20, is_snapshot=False),
            ["sale_created", "sale_corrected"],
            "standing",
        ),
    ],
)
def test_what_is_said_of_a_sale(sale: StoredSale, expected: list[str], remembered: str) -> None:
    assert types(sale) == (expected, remembered)


def test_the_event_is_the_sale_as_it_stands() -> None:
    sale = shown(SALE, "America/Caracas")
    assert (sale.version, sale.total, sale.totals_match, sale.time_zone) == (11, "11.6", True, "America/Caracas")
    assert sale.sold_at == "2026-01-01T09:00:00-04:00"
    assert (sale.lines[0].line_no, sale.lines[0].quantity, sale.lines[0].line_total) == (1, "2", "10")


def test_tenders_and_taxes_stand_in_the_event_and_raise_its_version() -> None:
    sale = shown(replace(SALE, payments=(PAYMENT,), taxes=(TAX,), customer_tax_id="v-11470283-4"))
    assert sale.version == 14
    (tender,), (tax,) = sale.tenders, sale.taxes
    assert (tender.method, tender.rate, tender.reference) == ("card", "36.50215", "************4444")
    assert (tax.category, tax.rate, tax.base, tax.amount) == ("general", "16", "10", "1.6")
    assert sale.customer is not None
    assert (sale.customer.kind, sale.customer.rif_valid) == ("V", True)


def test_a_line_that_went_counts_only_where_its_sale_went_too() -> None:
    gone = replace(SALE, lines=(LINE, GONE))
    assert len(shown(gone).lines) == 1
    assert len(shown(replace(gone, purged=True)).lines) == 2
    assert len(shown(replace(gone, status="voided")).lines) == 2
    assert len(shown(replace(gone, purged=True, lines=(LINE, replace(GONE, deleted=True)))).lines) == 1
    assert shown(gone).version == 12  # or two lines that go would give two corrections one id


def test_a_re_snapshot_and_what_came_later_by_itself_are_no_difference() -> None:
    again = replace(
        SALE, version=99, is_snapshot=True, found_original_id="o", voided_at=REGISTERED,
        lines=(replace(LINE, version=100, name="Pan", product_id="p"),),
    )  # fmt: skip
    assert told(SALE).digest == told(again).digest
    assert told(SALE).events[0].event_id != told(replace(again, is_snapshot=False)).events[0].event_id


@pytest.mark.parametrize(
    "change",
    [
        {"total": OTHER},
        {"status": "voided"},
        {"original_sale_id": "5f5f9dcc-66e2-4f0c-9d3b-000000000009"},
        {"customer_tax_id": "V1"},
        {"payments": (PAYMENT,)},
        {"taxes": (TAX,)},
        {"lines": (replace(LINE, unit="kg"),)},
        {"lines": ()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_the_pos_says_otherwise_is_a_difference(change: dict[str, Any]) -> None:
    assert told(SALE).digest != told(replace(SALE, **change)).digest


def test_a_digest_of_the_first_version_is_still_the_same() -> None:
    """Else the first touch after an upgrade would correct every old sale."""
    assert (
        told(SALE, zone="America/Caracas").digest.hex()
        == "09a136e7ac94fc70d978b1e89a36dbdc9357e7c2bf8fb9ea9df7a33aa6266221"
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"subtotal": Decimal("10.01")}, True),
        ({"subtotal": Decimal("10.02")}, False),
        ({"subtotal": None}, True),
        ({"subtotal": None, "tax_total": None}, None),
        ({"subtotal": None, "tax_total": None, "taxes": (TAX,)}, True),
        ({"subtotal": None, "tax_total": None, "lines": (replace(LINE, tax_amount=Decimal("1.6")),)}, True),
        ({"prices_include_tax": True}, False),
        ({"prices_include_tax": True, "total": Decimal(10)}, True),
        ({"prices_include_tax": True, "total": None, "subtotal": Decimal("8.4")}, True),
        # A discount on the whole ticket, taken off before or after the subtotal.
        ({"discount_total": Decimal(1)}, True),
        ({"discount_total": Decimal(1), "subtotal": Decimal(9)}, True),
        ({"discount_total": Decimal(1), "subtotal": Decimal(8)}, False),
        ({"prices_include_tax": True, "discount_total": Decimal(-1), "total": Decimal(9)}, True),
        ({"prices_include_tax": True, "rounding": Decimal("-0.05"), "total": Decimal("9.95")}, True),
        ({"prices_include_tax": True, "igtf_total": Decimal("0.3"), "total": Decimal("10.3")}, True),
        ({"prices_include_tax": True, "igtf_total": Decimal("0.3"), "total": Decimal("10.4")}, False),
        # A cent a line.
        ({"lines": (LINE, replace(LINE, id="2")), "subtotal": Decimal("20.02")}, True),
        ({"lines": (LINE, replace(LINE, id="2")), "subtotal": Decimal("20.03")}, False),
        ({"subtotal": Decimal(0), "lines": (replace(LINE, line_total=Decimal(0)),)}, True),
        ({"lines": ()}, None),
        ({"lines": (replace(LINE, line_total=None),)}, True),
        ({"lines": (replace(LINE, line_total=None, discount=Decimal(3)),)}, False),
        ({"lines": (replace(LINE, line_total=None, unit_price=None),)}, None),
    ],
)
def test_totals_are_compared_where_they_can_be(change: dict[str, Any], *, expected: bool | None) -> None:
    assert shown(replace(SALE, **change)).totals_match is expected


@given(st.permutations(range(12)))
def test_lines_without_a_number_stand_in_the_order_of_their_keys(order: list[int]) -> None:
    lines = tuple(replace(LINE, id=str(place), external_id=f"7|{place}") for place in order)
    said = shown(replace(SALE, lines=lines)).lines
    assert [(line.line_id, line.line_no) for line in said] == [(str(place), place + 1) for place in range(12)]


def test_numbers_of_the_pos_stay_where_each_is_its_own() -> None:
    lines = tuple(replace(LINE, id=number, line_no=number) for number in ("20", "3"))
    assert [line.line_no for line in shown(replace(SALE, lines=lines)).lines] == [3, 20]
    twice = tuple(replace(LINE, id=name, line_no="7") for name in "ab")
    assert [line.line_no for line in shown(replace(SALE, lines=twice)).lines] == [1, 2]


def test_a_part_of_a_kit_names_the_kits_line() -> None:
    kit, part = replace(LINE, line_no="3"), replace(LINE, id="part", line_no="4", kit_parent="3")
    loose = replace(LINE, id="loose", external_id="1|9", line_no=None)
    assert [line.kit_parent_line_no for line in shown(replace(SALE, lines=(kit, part))).lines] == [None, 3]
    assert [line.kit_parent_line_no for line in shown(replace(SALE, lines=(kit, part, loose))).lines] == [None, 1, None]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**13), max_value=10**13))
def test_plain_text_of_a_decimal_is_the_same_amount(amount: Decimal) -> None:
    text = plain(amount)
    assert text is not None
    assert Decimal(text) == amount
    assert "E" not in text
