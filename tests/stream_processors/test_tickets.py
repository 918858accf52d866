"""Tickets as shops print them: what is on the paper is what comes out, to the last digit."""

from decimal import Decimal
from typing import Any

from fluxion.registry import System
from schemas.records import Sale
from tests.stream_processors.own_pos import (
    DOCUMENTS,
    INVOICE,
    LINE,
    LINES,
    OWN,
    PAYMENT,
    PAYMENTS,
    SHOPS,
    TEXT,
    document,
    made,
    mapping,
)
from tests.stream_processors.sets import cells, change_set, system

Rows = list[tuple[Any, Any, int, list[str | None]]]


def printed(rows: Rows, on: System = OWN) -> Sale:
    """The sale of one transaction; nothing of it was refused."""
    found = made(change_set(*rows), on)
    assert found.quarantined == []
    (sale,) = found.sales
    return sale


def line(number: int, **changed: str | None) -> tuple[Any, Any, int, list[str | None]]:
    return LINES, "c", 0, cells(LINES, LINE, id=str(number), renglon=str(number), **changed)


def test_a_discount_on_the_whole_ticket_stays_on_the_ticket() -> None:
    head = document(subtotal="110.00", descuento="-10.00", base="86.21", exento="0", iva="13.79", total="100.00")
    sale = printed([(DOCUMENTS, "c", 0, head), line(1, importe="60.00"), line(2, importe="50.00")])
    assert sale.header is not None
    assert (sale.header.subtotal, sale.header.discount_total, sale.header.total) == ("110.00", "-10.00", "100.00")
    assert [one.line_total for one in sale.lines] == ["60.00", "50.00"]
    assert [one.discount for one in sale.lines] == ["0.00", "0.00"]


def test_prices_that_include_the_tax_are_not_taken_apart() -> None:
    text = TEXT.replace("keys: ignore_case", "keys: ignore_case\ndefaults: {prices_include_tax: true}")
    sale = printed([(DOCUMENTS, "c", 0, INVOICE), line(1, precio="11.60", cantidad="3", importe="34.80")],
                   system(mapping(text), SHOPS))  # fmt: skip
    assert sale.header is not None
    assert (sale.header.prices_include_tax, sale.lines[0].unit_price, sale.lines[0].line_total) == (
        True,
        "11.60",
        "34.80",
    )


def test_a_weighed_line_keeps_the_rounding_that_was_printed() -> None:
    sale = printed([line(1, cantidad="0.3350", precio="19.9900", importe="6.70", barra="2000010003352")])
    (one,) = sale.lines
    assert Decimal(one.quantity or "") * Decimal(one.unit_price or "") == Decimal("6.69665000")
    assert (one.quantity, one.line_total, one.scanned_code, one.sku) == ("0.3350", "6.70", "2000010003352", "000001")


def test_lines_saved_one_by_one_say_that_nothing_is_whole_before_the_document_is_closed() -> None:
    rows = change_set(
        (DOCUMENTS, "c", 0, document(estado="E", total="0")),
        line(1),
        (LINES, "c", 1, cells(LINES, LINE, id="2")),
        (DOCUMENTS, "u", 2, document(estado="C")),
        (PAYMENTS, "c", 2, PAYMENT),
    )
    found = [(one.closed, one.live, len(one.lines), len(one.payments), one.txn_end) for one in made(rows).sales]
    assert found == [(False, True, 1, 0, True), (None, True, 1, 0, True), (True, True, 0, 1, True)]


def test_a_total_of_zero_is_a_sale_without_taxes() -> None:
    head = document(subtotal="0", descuento="0", base="0", exento="0", iva="0", total="0.00")
    sale = printed([(DOCUMENTS, "c", 0, head), line(1, precio="0", importe="0", alicuota="0", exento="S")])
    assert sale.header is not None
    assert (sale.header.total, sale.header.tax_total, sale.taxes) == ("0.00", "0", [])
    assert (sale.lines[0].tax_rate, sale.lines[0].tax_category) == ("0", "exempt")


def test_0_percent_and_exempt_differ() -> None:
    sale = printed(
        [line(1, alicuota="0", exento="N"), line(2, alicuota="0", exento="S"), line(3, alicuota="8", exento="8")]
    )
    assert [(one.tax_rate, one.tax_category) for one in sale.lines] == [
        ("0", "general"),
        ("0", "exempt"),
        ("8", "reduced"),
    ]


def test_a_return_with_the_invoices_own_number_is_another_document() -> None:
    back = document(tipo="DEV", afectada="000123", total="-112.80")
    invoice, note = (printed([(DOCUMENTS, "c", 0, row)]) for row in (INVOICE, back))
    assert invoice.header is not None
    assert note.header is not None
    assert (invoice.header.number, note.header.number) == ("A-000123", "A-000123")
    assert note.id != invoice.id
    assert (note.header.original_sale_ref, note.header.total) == (invoice.id, "112.80")


def test_a_void_is_a_later_state_of_the_same_document() -> None:
    void = printed([(DOCUMENTS, "u", 0, document(estado="A"))])
    assert void.header is not None
    assert (void.id, void.header.op, void.header.status, void.closed) == (
        printed([(DOCUMENTS, "c", 0, INVOICE)]).id, "upsert", "voided", True,
    )  # fmt: skip


def test_archived_old_tickets_are_purged_and_nothing_of_them_is_void() -> None:
    rows: Rows = [(DOCUMENTS, "d", 0, INVOICE), (LINES, "d", 0, LINE), (PAYMENTS, "d", 0, PAYMENT)]
    sale = printed(rows)
    assert sale.header is not None
    whole = (sale.header, *sale.lines, *sale.payments, *sale.taxes)
    assert {(one.op, one.deletion) for one in whole} == {("delete", "purge")}
    assert len(whole) == 5


def test_dollars_with_igtf_belong_to_the_payment() -> None:
    dollars = cells(PAYMENTS, PAYMENT, forma="DIV", moneda="USD", monto="3.00", tasa="36.5", igtf="3.29")
    sale = printed([(DOCUMENTS, "c", 0, document(igtf="3.29")), (PAYMENTS, "c", 0, dollars)])
    assert sale.header is not None
    (one,) = sale.payments
    assert (one.method, one.currency, one.amount, one.rate, one.amount_base, one.igtf) == (
        "cash", "USD", "3.00", "36.5", "109.500", "3.29",
    )  # fmt: skip
    assert (sale.header.igtf_total, sale.header.tax_total, sale.header.total) == ("3.29", "12.80", "112.80")


def test_a_ticket_of_the_old_money_is_not_repaired() -> None:
    old = printed([(DOCUMENTS, "c", 0, document(fecha="2018-08-01", total="11280000.00"))])
    assert old.header is not None
    assert (old.header.total, old.header.sold_at) == ("11280000.00", "2018-08-01T10:30:15-04:00")
