"""Documents at a register: every field of a header, its lines, tenders and taxes."""

from typing import Any

import pytest

from schemas.identity import entity_id
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
    header,
    made,
    mapping,
)
from tests.stream_processors.sets import SALE as TRANSACTION
from tests.stream_processors.sets import (
    STORE_1,
    SYSTEM,
    TRANSACTIONS,
    cells,
    change_set,
    layout,
    read,
    system,
    template,
)

SALE_ID = entity_id(SYSTEM, "sale", "documentos", ["01", "000123", "FAC"], ignore_case=True)


def test_a_document_with_all_that_belongs_to_it_is_one_sale() -> None:
    rows = change_set((DOCUMENTS, "c", 0, INVOICE), (LINES, "c", 0, LINE), (PAYMENTS, "c", 0, PAYMENT))
    (sale,) = made(rows).sales
    assert (sale.id, sale.store_id, sale.closed, sale.live, sale.txn_end) == (SALE_ID, STORE_1, True, True, True)
    found = sale.header
    assert found is not None
    assert {name: getattr(found, name) for name in found.fields} == {
        "number": "A-000123",
        "control_number": "00-4567",
        "doc_type": "invoice",
        "status": "completed",
        "register_id": "01",
        "shift_id": "2",
        "cashier_id": "maria",
        "sold_at": "2026-11-17T10:30:15-04:00",
        "sold_at_precision": "second",
        "business_date": "2026-11-17",
        "currency": "VES",
        "exchange_rate": "36.5000",
        "subtotal": "100.00",
        "discount_total": "0.00",
        "tax_total": "12.80",
        "igtf_total": "0.00",
        "rounding": "0.00",
        "total": "112.80",
        "prices_include_tax": False,
        "original_sale_ref": None,
        "original_number": None,
        "customer_name": "Ana Pérez",
        "customer_tax_id": "V-11470283-4",
        "fiscal_printer": "Z1B1234567",
        "fiscal_number": "00089",
        "fiscal_z": "0123",
    }
    (line,), (payment,) = sale.lines, sale.payments
    assert {name: getattr(line, name) for name in line.fields} == {
        "sku": "000001",
        "scanned_code": "2000010012503",
        "quantity": "1.250",
        "unit": "KG",
        "unit_price": "64.00",
        "discount": "0.00",
        "line_total": "80.00",
        "tax_rate": "16.00",
        "tax_category": "general",
        "kit_parent": None,
        "line_no": "1",
    }
    assert {name: getattr(payment, name) for name in payment.fields} == {
        "method": "cash",
        "currency": "VES",
        "amount": "112.80",
        "rate": "1.0000",
        "amount_base": "112.8000",
        "igtf": "0.00",
        "reference": None,
    }
    assert [(tax.category, tax.rate, tax.base, tax.amount) for tax in sale.taxes] == [
        ("general", "16", "80.00", "12.80"),
        ("exempt", None, "20.00", None),
    ]
    assert [tax.external_id for tax in sale.taxes] == ["01/000123/FAC/1", "01/000123/FAC/2"]
    assert len({line.id, payment.id, *(tax.id for tax in sale.taxes)}) == 4


def test_a_return_names_its_invoice_and_has_positive_amounts() -> None:
    back = document(
        numero="000007", tipo="DEV", afectada="000123", subtotal="-100.00", base="-80.00", exento="-20.00",
        iva="-12.80", total="-112.80",
    )  # fmt: skip
    line = cells(LINES, LINE, id="9002", numero="000007", tipo="DEV", cantidad="-1.250", importe="-80.00")
    refund = cells(PAYMENTS, PAYMENT, id="502", numero="000007", tipo="DEV", monto="-112.80")
    (sale,) = made(change_set((DOCUMENTS, "c", 0, back), (LINES, "c", 0, line), (PAYMENTS, "c", 0, refund))).sales
    assert sale.header is not None
    assert (sale.header.doc_type, sale.header.original_number) == ("credit_note", "000123")
    assert sale.header.original_sale_ref == SALE_ID
    assert (sale.header.subtotal, sale.header.tax_total, sale.header.total) == ("100.00", "12.80", "112.80")
    assert (sale.header.exchange_rate, sale.header.rounding) == ("36.5000", "0.00")
    assert [(one.quantity, one.unit_price, one.line_total) for one in sale.lines] == [("1.250", "64.00", "80.00")]
    assert [(one.amount, one.amount_base, one.rate) for one in sale.payments] == [("112.80", "112.8000", "1.0000")]
    assert [(tax.base, tax.amount) for tax in sale.taxes] == [("80.00", "12.80"), ("20.00", None)]


def test_a_line_of_an_invoice_that_takes_something_back_stays_negative() -> None:
    (sale,) = made(change_set((LINES, "c", 0, cells(LINES, LINE, cantidad="-1.000", importe="-64.00")))).sales
    assert [(one.quantity, one.line_total) for one in sale.lines] == [("-1.000", "-64.00")]


@pytest.mark.parametrize(
    ("word", "kind"), [("FAC ", "invoice"), ("DEV", "credit_note"), ("ND", "debit_note"), ("NE", "delivery_note")]
)
def test_kinds_of_documents(word: str, kind: str) -> None:
    assert header(made(change_set((DOCUMENTS, "c", 0, document(tipo=word))))).doc_type == kind


def test_a_word_that_nothing_explains_is_a_fault_that_names_the_known_ones() -> None:
    found = made(change_set((DOCUMENTS, "c", 0, document(tipo="COT")), (LINES, "c", 0, cells(LINES, LINE, exento="X"))))
    first, second = found.quarantined
    assert "sale.doc_type: 'COT' is none of the words that the template maps (FAC, DEV, ND, NE)" in first.message
    assert "sale.lines.tax_category: 'X' is none of" in second.message
    assert found.sales == []


def test_a_word_without_a_map_must_be_fluxions_own() -> None:
    on = system(template(sale__status={"column": "trans_no"}))
    found = read(change_set((TRANSACTIONS, "c", 0, cells(TRANSACTIONS, TRANSACTION, trans_no="voided"))), on)
    assert header(found).status == "voided"
    (entry,) = read(change_set((TRANSACTIONS, "c", 0, TRANSACTION)), on).quarantined
    assert "'A-1' is none of the words that this field takes (partial, completed, voided)" in entry.message


def test_else_takes_what_is_null_too() -> None:
    found = [header(made(change_set((DOCUMENTS, "u", 0, document(estado=word))))) for word in ("C", "A", "E", None)]
    assert [one.status for one in found] == ["completed", "voided", "partial", "partial"]


def test_a_document_without_a_kind_is_set_aside() -> None:
    kinds = [
        {"column": "trans_no", "map": {"A-1": "invoice"}},
        {"columns": ["total_amount"], "call": "return_if_negative"},
    ]
    empty = change_set((TRANSACTIONS, "c", 0, cells(TRANSACTIONS, TRANSACTION, trans_no=None)))
    (entry,) = read(empty, system(template(sale__doc_type=kinds[0]))).quarantined
    assert (entry.code, "sale.doc_type is null" in entry.message) == ("REQUIRED_MISSING", True)
    assert header(read(empty, system(template(sale__doc_type=kinds[1])))).doc_type == "invoice"


def test_a_sale_is_closed_when_its_template_says_so_and_unknown_where_that_was_not_sent() -> None:
    def closed(*values: tuple[Any, list[str | None]]) -> list[bool | None]:
        return [sale.closed for kind, row in values for sale in made(change_set((kind, "u", 0, row))).sales]

    assert closed((DOCUMENTS, document(estado="E")), (DOCUMENTS, document(estado="C"))) == [False, True]
    kept = [column for column in DOCUMENTS.columns if column.name != "estado"]
    bare = layout("documentos", DOCUMENTS.key, **{column.name: column.type for column in kept})
    row = [value for value, column in zip(INVOICE, DOCUMENTS.columns, strict=True) if column.name != "estado"]
    (sale,) = made(change_set((bare, "u", 0, row))).sales
    assert sale.header is not None
    assert (sale.closed, "status" in sale.header.fields) == (None, False)


def test_a_tender_of_the_header_is_there_only_with_an_amount() -> None:
    data = template(sale__payments=[{"method": {"value": "cash"}, "amount": "subtotal"}, {"amount": "tax_amount"}])
    on = system(data)

    def payments(op: Any, **changed: str | None) -> list[tuple[str, str, str | None, str | None]]:
        (sale,) = read(change_set((TRANSACTIONS, op, 0, cells(TRANSACTIONS, TRANSACTION, **changed))), on).sales
        return [(one.external_id, one.op, one.amount, one.deletion) for one in sale.payments]

    both = [("1/1", "upsert", "100.00", None), ("1/2", "upsert", "16.00", None)]
    assert payments("c") == both
    assert payments("c", tax_amount="0.00") == payments("r", tax_amount=None) == both[:1]
    assert payments("u", tax_amount="-0.00") == [both[0], ("1/2", "delete", None, "delete")]
    assert payments("d") == [("1/1", "delete", None, "purge"), ("1/2", "delete", None, "purge")]


def test_a_tender_of_which_the_amount_was_not_sent_is_left_alone() -> None:
    bare = layout("transactions", ["trans_id"], trans_id="integer", location_id="integer", trans_no="text")
    (sale,) = read(change_set((bare, "u", 0, ["1", "1", "B-1"]))).sales
    assert sale.header is not None
    assert (sale.payments, sale.header.number, "total" in sale.header.fields) == ([], "B-1", False)


def test_a_tender_goes_to_quarantine_with_its_header() -> None:
    found = read(change_set((TRANSACTIONS, "c", 0, cells(TRANSACTIONS, TRANSACTION, location_id="77"))))
    assert (found.sales, [entry.code for entry in found.quarantined]) == ([], ["UNKNOWN_STORE"])


def test_of_two_documents_in_one_table_each_has_its_own_tenders() -> None:
    data = template()
    note = {**data["sale"][0], "doc_type": {"value": "credit_note"}, "where": {"trans_no": ["N"]}, "payments": []}
    data["sale"] = [{**data["sale"][0], "where": {"trans_no": ["F"]}}, note]
    found = [
        [(one.op, one.deletion) for one in sale.payments]
        for word in ("F", "N", "X")
        for sale in read(
            change_set((TRANSACTIONS, "u", 0, cells(TRANSACTIONS, TRANSACTION, trans_no=word))), system(data)
        ).sales
    ]
    assert found == [[("upsert", None)], [("delete", "delete")], [("delete", "purge")]]


def test_currencies_are_codes_in_capitals_and_others_are_flagged_and_kept() -> None:
    def currency(word: str | None) -> tuple[str | None, list[str]]:
        found = header(made(change_set((DOCUMENTS, "c", 0, document(moneda=word)))))
        return found.currency, found.warnings

    assert currency("usd ") == ("USD", [])
    assert currency(None) == ("VES", [])
    assert currency("Bs.") == ("Bs.", ["UNKNOWN_CURRENCY"])


def test_a_mapped_business_date_goes_before_the_cutoff() -> None:
    text = TEXT.replace("  currency: moneda\n", "  currency: moneda\n  business_date: fecha\n", 1)
    late = document(tienda="2", hora="01:00:00")
    assert header(made(change_set((DOCUMENTS, "c", 0, late)))).business_date == "2026-11-16"
    assert (
        header(read(change_set((DOCUMENTS, "c", 0, late)), system(mapping(text), SHOPS))).business_date == "2026-11-17"
    )


def test_every_deleted_row_says_what_that_means() -> None:
    rows = change_set((DOCUMENTS, "d", 0, INVOICE), (LINES, "d", 0, LINE), (PAYMENTS, "d", 0, PAYMENT))
    (sale,) = made(
        rows, system(mapping(TEXT.replace("  since: fecha", "  deleted: void\n  since: fecha")), SHOPS)
    ).sales
    assert sale.header is not None
    assert (sale.header.deletion, sale.lines[0].deletion, sale.payments[0].deletion) == ("void", "purge", "purge")
    assert [tax.deletion for tax in sale.taxes] == ["void", "void"]
    assert OWN.mapping["sale"][0]["lines_saved"] == "live"
