"""Profit Plus, both products: codes filled up with blanks, bit flags, invoices and returns in tables of their own."""

import pytest

from fluxion.errors import MappingError
from schemas.mapping import check, tables
from tests.stream_processors.mssql import (
    catalogue,
    gone,
    ident,
    made,
    misspelt,
    row,
    said,
    sale,
    shop,
    table,
    template,
)
from tests.stream_processors.sets import STORE_1

GROUPS = table("saLineaArticulo", "co_lin", text="co_lin lin_des")
ARTICLES = table(
    "saArticulo", "co_art", text="co_art art_des tipo tipo_imp co_lin", boolean="anulado", bytes="validador"
)
LEVELS = table("saStockAlmacen", "co_alma co_art tipo", text="co_alma co_art tipo", decimal="stock")
HEADER_TYPES = {
    "text": "doc_num n_control co_cli co_mone status impfis imp_nro_z",
    "decimal": "tasa total_bruto monto_imp monto_imp2 monto_imp3 total_neto",
    "datetime": "fec_emis fe_us_in fe_us_mo",
    "boolean": "anulado",
    "bytes": "validador",
    "uuid": "rowguid",
}
LINE_TYPES = {
    "integer": "reng_num",
    "text": "doc_num co_art co_alma co_uni tipo_imp",
    "decimal": "total_art prec_vta monto_desc porc_imp monto_imp reng_neto total_dev",
    "datetime": "fe_us_mo",
    "uuid": "rowguid",
}
INVOICES = table("saFacturaVenta", "doc_num", **HEADER_TYPES)
INVOICE_LINES = table("saFacturaVentaReng", "doc_num reng_num", **LINE_TYPES)
RETURNS = table("saDevolucionCliente", "doc_num", **HEADER_TYPES)
RETURN_LINES = table("saDevolucionClienteReng", "rowguid", **LINE_TYPES)
TABLES = catalogue(GROUPS, ARTICLES, LEVELS, INVOICES, INVOICE_LINES, RETURNS, RETURN_LINES)

ARTICLE = {
    "co_art": "ART-01                        ", "art_des": "Cañón de tocineta", "tipo": "V", "tipo_imp": "1",
    "co_lin": "CHARC ", "anulado": "0", "validador": "AAAAAAAAB9E=",
}  # fmt: skip
INVOICE = {
    "doc_num": "0000000123          ", "n_control": "00-4567", "co_cli": "J070133805", "co_mone": "BS    ", "tasa": "1.00000",
    "total_bruto": "100.00", "monto_imp": "12.80", "monto_imp2": "1.60", "monto_imp3": "0.00", "total_neto": "114.40",
    "fec_emis": "2026-11-17T00:00:00", "fe_us_in": "2026-11-17T18:05:09.123", "anulado": "0", "impfis": "Z1B1234567",
    "imp_nro_z": "0123", "rowguid": "6f9619ff-8b86-d011-b42d-00c04fc964ff",
}  # fmt: skip
LINE = {
    "doc_num": "0000000123          ", "reng_num": "1", "co_art": "ART-01                        ", "co_alma": "01    ",
    "co_uni": "UNI   ", "total_art": "1.25000", "prec_vta": "64.00000", "monto_desc": "0.00", "porc_imp": "16.00",
    "monto_imp": "12.80", "reng_neto": "80.00", "total_dev": "0.25000", "rowguid": "6f9619ff-8b86-d011-b42d-00c04fc96400",
}  # fmt: skip
ON = shop("profit")


def test_an_article_its_category_and_its_level() -> None:
    found = made(
        ON,
        row(GROUPS, {"co_lin": "charc", "lin_des": "Charcutería"}),
        row(ARTICLES, ARTICLE),
        row(ARTICLES, ARTICLE, "u", co_art="ART-02", tipo_imp="7 ", anulado="1"),
        row(LEVELS, {"co_alma": "01    ", "co_art": "art-01", "tipo": "ACT ", "stock": "-53279.00000"}),
        row(LEVELS, {"co_alma": "01    ", "co_art": "art-01", "tipo": "COM ", "stock": "3.00000"}),
    )
    article, exempt = found.products
    assert said(article) == {
        "sku": "ART-01",
        "name": "Cañón de tocineta",
        "category_ref": found.categories[0].id,
        "tax_rate": "16",
        "is_active": True,
    }
    assert (exempt.tax_rate, exempt.is_active) == ("0", False)
    (level,) = found.stock
    assert (level.external_id, level.quantity, level.product_ref, level.store_id) == (
        "01/art-01/ACT", "-53279.0000", article.id, STORE_1,
    )  # fmt: skip


def test_a_level_of_another_type_that_is_deleted_leaves_the_level_alone() -> None:
    (level,) = made(ON, row(LEVELS, {"co_alma": "01", "co_art": "A", "tipo": "ACT", "stock": "3"})).stock
    other, own = made(ON, gone(LEVELS, "01    ", "A   ", "COM "), gone(LEVELS, "01    ", "A   ", "ACT ")).stock
    assert (other.id != level.id, own.id) == (True, level.id)


def test_an_invoice_with_its_lines_and_taxes() -> None:
    found = sale(ON, row(INVOICES, INVOICE), row(INVOICE_LINES, LINE))
    assert found.id == ident("sale", INVOICES, "0000000123")
    assert said(found.header) == {
        "number": "0000000123",
        "control_number": "00-4567",
        "doc_type": "invoice",
        "status": "completed",
        "sold_at": "2026-11-17T18:05:09.123000-04:00",
        "sold_at_precision": "second",
        "business_date": "2026-11-17",
        "currency": "VES",
        "exchange_rate": "1.00000",
        "subtotal": "100.00",
        "tax_total": "14.40",
        "total": "114.40",
        "prices_include_tax": False,
        "fiscal_printer": "Z1B1234567",
        "fiscal_z": "0123",
    }
    (line,) = found.lines
    assert said(line) == {
        "sku": "ART-01",
        "product_ref": ident("product", ARTICLES, "ART-01", ignore_case=True),
        "quantity": "1.2500",
        "unit": "UNI",
        "unit_price": "64.0000",
        "discount": "0.00",
        "line_total": "80.00",
        "tax_rate": "16.00",
        "tax_amount": "12.80",
        "returned_quantity": "0.2500",
        "line_no": "1",
    }
    assert line.warnings == []
    assert [tax.amount for tax in found.taxes] == ["12.80", "1.60"]
    assert found.payments == []


def test_a_return_is_another_document_though_it_has_an_invoices_number() -> None:
    found = made(ON, row(INVOICES, INVOICE), row(RETURNS, INVOICE), row(RETURN_LINES, LINE))
    invoice, note = found.sales
    assert note.header is not None
    assert (note.id != invoice.id, note.header.doc_type, note.header.number) == (True, "credit_note", "0000000123")
    assert [(line.quantity, line.external_id) for line in note.lines] == [("1.2500", LINE["rowguid"])]


def test_what_is_annulled_is_void_and_what_is_deleted_has_its_key_only() -> None:
    for kind in (INVOICES, RETURNS):
        found = sale(ON, row(kind, INVOICE, "u", anulado="1")).header
        assert found is not None
        assert (found.status, found.op) == ("voided", "upsert")
    whole, part = made(
        ON,
        gone(INVOICES, "0000000123 "),
        gone(INVOICE_LINES, "0000000123 ", "1"),
        gone(RETURN_LINES, "6f9619ff-8b86-d011-b42d-00c04fc96400"),
    ).sales
    assert whole.header is not None
    assert [one.deletion for one in (whole.header, *whole.lines, *whole.taxes)] == ["purge"] * 5
    assert [(one.external_table, one.deletion) for one in part.lines] == [("saDevolucionClienteReng", "purge")]


def test_currencies_by_the_shops_own_codes() -> None:
    found = [sale(ON, row(INVOICES, INVOICE, co_mone=code)).header for code in ("USD   ", "US$", "EURO", None)]
    assert [(one.currency, one.warnings) for one in found if one] == [
        ("USD", []),
        ("USD", []),
        ("?", ["UNKNOWN_CURRENCY"]),
        ("VES", []),
    ]


def test_a_shop_changes_one_of_the_two_blocks_by_its_table() -> None:
    on = shop("profit", "sale: {from: saFacturaVenta, sold_at: {columns: [fec_emis], call: date_only}}\n")
    invoice, note = (sale(on, row(kind, INVOICE)).header for kind in (INVOICES, RETURNS))
    assert invoice is not None
    assert note is not None
    assert (invoice.sold_at, invoice.sold_at_precision) == ("2026-11-17T00:00:00-04:00", "date")
    assert note.sold_at == "2026-11-17T18:05:09.123000-04:00"


def test_it_suits_the_tables_of_the_product() -> None:
    assert check(template("profit"), TABLES, deleted="key") == []
    assert tables(template("profit")) == set(TABLES)


def test_a_column_by_another_name_is_told_with_the_nearest_one() -> None:
    found = misspelt(misspelt(TABLES, "saFacturaVenta", "total_neto", "tot_neto"), "saStockAlmacen", "tipo", "tipos")
    with pytest.raises(MappingError) as caught:
        check(template("profit"), found)
    message = caught.value.message
    assert "sale.total: 'saFacturaVenta' has no column 'total_neto', did you mean 'tot_neto'?" in message
    assert "stock.where: 'saStockAlmacen' has no column 'tipo', did you mean 'tipos'?" in message


# The older product ---------------------------------------------------------------------------------------------------

OLD_HEADER = {
    "integer": "fact_num",
    "datetime": "fec_emis",
    "boolean": "anulada",
    "decimal": "tot_neto",
    "text": "co_cli",
}
OLD_LINE = {
    "integer": "fact_num reng_num num_doc", "text": "co_art co_alma tipo_doc",
    "decimal": "total_art prec_vta reng_neto", "float": "porc_desc",
}  # fmt: skip
OLD_GROUPS = table("lin_art", "co_lin", text="co_lin lin_des")
OLD_ARTICLES = table(
    "art", "co_art", text="co_art art_des co_lin co_subl co_cat", decimal="stock_act prec_vta1 prec_vta2 prec_vta3"
)
OLD_INVOICES, OLD_RETURNS = table("factura", "fact_num", **OLD_HEADER), table("dev_cli", "fact_num", **OLD_HEADER)
OLD_LINES, OLD_BACK = (
    table("reng_fac", "fact_num reng_num", **OLD_LINE),
    table("reng_dvc", "fact_num reng_num", **OLD_LINE),
)
OLD_TABLES = catalogue(OLD_GROUPS, OLD_ARTICLES, OLD_INVOICES, OLD_LINES, OLD_RETURNS, OLD_BACK)
OLD = shop("profit-old")
OLD_INVOICE = {"fact_num": "123", "fec_emis": "2026-11-17T00:00:00", "anulada": "0", "tot_neto": "116.00"}
OLD_ROW = {
    "fact_num": "123", "reng_num": "1", "co_art": "A1    ", "total_art": "2.00", "prec_vta": "50.00", "reng_neto": "100.00",
}  # fmt: skip


def test_the_older_product_keeps_price_and_level_in_the_articles_row() -> None:
    found = made(
        OLD,
        row(OLD_GROUPS, {"co_lin": "L1", "lin_des": "Licorería"}),
        row(
            OLD_ARTICLES,
            {"co_art": "A1 ", "art_des": "Anís", "co_lin": "L1 ", "stock_act": "4.00", "prec_vta1": "50.00"},
        ),
    )
    (article,), (level,), (category,) = found.products, found.stock, found.categories
    assert said(article) == {
        "sku": "A1", "name": "Anís", "category_ref": category.id, "selling_price": "50.00", "tax_rate": "16",
    }  # fmt: skip
    assert (level.quantity, level.product_ref, category.name) == ("4.00", article.id, "Licorería")


def test_the_older_products_invoices_returns_and_voids() -> None:
    invoice, note, void = made(
        OLD,
        row(OLD_INVOICES, OLD_INVOICE),
        row(OLD_LINES, OLD_ROW),
        row(OLD_RETURNS, OLD_INVOICE),
        row(OLD_BACK, OLD_ROW),
        row(OLD_INVOICES, OLD_INVOICE, "u", 1, anulada="1"),
    ).sales
    assert invoice.header is not None
    assert note.header is not None
    assert void.header is not None
    assert said(invoice.header) == {
        "number": "123",
        "doc_type": "invoice",
        "status": "completed",
        "sold_at": "2026-11-17T00:00:00-04:00",
        "sold_at_precision": "date",
        "business_date": "2026-11-17",
        "currency": "VES",
        "total": "116.00",
        "prices_include_tax": False,
    }
    assert [(one.sku, one.quantity, one.unit_price, one.line_total) for one in (*invoice.lines, *note.lines)] == [
        ("A1", "2.00", "50.00", "100.00")
    ] * 2
    assert (note.header.doc_type, note.id != invoice.id) == ("credit_note", True)
    assert (void.id, void.header.status) == (invoice.id, "voided")


def test_the_older_template_suits_its_tables() -> None:
    assert check(template("profit-old"), OLD_TABLES, deleted="key") == []
    assert tables(template("profit-old")) == set(OLD_TABLES)
    with pytest.raises(
        MappingError, match=r"sale\.total: 'factura' has no column 'tot_neto', did you mean 'total_neto'"
    ):
        check(template("profit-old"), misspelt(OLD_TABLES, "factura", "tot_neto", "total_neto"))
