"""A public event's sale and line, for tests that need any; change them with msgspec.structs.replace."""

from schemas.events import EventLine, EventSale

SALE = EventSale(
    sale_id="s",
    external_id="1",
    version=1,
    number="F-1",
    doc_type="invoice",
    status="completed",
    register_id=None,
    sold_at="2026-11-24T10:00:00-04:00",
    sold_at_precision="second",
    business_date="2026-11-24",
    currency="VES",
    subtotal="100.00",
    tax_total="16.00",
    total="116.00",
    prices_include_tax=False,
    totals_match=None,
    complete=True,
    is_snapshot=False,
    lines=[],
)

LINE = EventLine(
    line_id="l",
    line_no=1,
    sku="A",
    product_id=None,
    name=None,
    quantity="1",
    unit_price="100",
    line_total=None,
    tax_rate=None,
)
