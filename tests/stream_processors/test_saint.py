"""Saint: tenders in the header's row, returns that name their invoice, exempt lines, parts of kits."""

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

CLASSES = table("SAINSTA", "CodInst", integer="CodInst InsPadre", text="Descrip")
PRODUCTS = table(
    "SAPROD", "CodProd", integer="CodInst Activo EsExento EsPesa DEsComp DEsLote",
    text="CodProd Descrip Descrip2 Refere Marca Unidad UndEmpaq",
    decimal="CantEmpaq Precio1 Precio2 Precio3 PrecioU CostAct CostPro CostAnt Existen ExUnidad",
)  # fmt: skip
LEVELS = table("SAEXIS", "CodProd CodUbic", text="CodProd CodUbic", decimal="Existen ExUnidad CantCom")
INVOICES = table(
    "SAFACT", "CodSucu TipoFac NumeroD", integer="NroUnico Signo", datetime="FechaE FechaT",
    text="CodSucu TipoFac NumeroD NroCtrol NumeroF NumeroZ NumeroR CodEsta CodUsua CodClie Descrip ID3 Moneda",
    decimal="Factor MontoMEx Monto MtoTax TGravable TExento Descto1 Descto2 MtoTotal CancelE CancelC CancelT",
)  # fmt: skip
LINES = table(
    "SAITEMFAC", "CodSucu TipoFac NumeroD NroLinea NroLineaC",
    integer="NroLinea NroLineaC EsUnid EsPesa EsExento EsServ Signo", datetime="FechaE",
    text="CodSucu TipoFac NumeroD CodItem CodUbic Descrip1 OTipo ONumero",
    decimal="Cantidad Precio PriceO Costo Descto MtoTax TotalItem",
)  # fmt: skip
TABLES = catalogue(CLASSES, PRODUCTS, LEVELS, INVOICES, LINES)

PRODUCT = {
    "CodProd": "HAR-01", "Descrip": "Harina de maíz Doña Ñusta", "Refere": "7591001", "CodInst": "12", "Activo": "1",
    "EsExento": "1", "Precio1": "120.0000", "CostAct": "80.5000",
}  # fmt: skip
INVOICE = {
    "CodSucu": "00000", "TipoFac": "A", "NumeroD": "0000123", "NroUnico": "77", "NroCtrol": "00-4567", "NumeroF": "00089",
    "NumeroZ": "0123", "NumeroR": "", "CodEsta": "CAJA01", "CodUsua": "001", "CodClie": "V114702834",
    "Descrip": "José Ibáñez", "ID3": "V114702834", "Signo": "1", "FechaE": "2026-11-17T10:30:15.500", "Moneda": "USD",
    "Factor": "241.5782", "Monto": "100.0000", "MtoTax": "12.8000", "TGravable": "80.0000", "TExento": "20.0000",
    "Descto1": "1.0000", "Descto2": "0.5000", "MtoTotal": "112.8000", "CancelE": "100.0000", "CancelC": "0.0000",
    "CancelT": "12.8000",
}  # fmt: skip
LINE = {
    "CodSucu": "00000", "TipoFac": "A", "NumeroD": "0000123", "NroLinea": "1", "NroLineaC": "0", "CodItem": "HAR-01",
    "Descrip1": "Harina de maíz", "Cantidad": "2.0000", "Precio": "40.0000", "PriceO": "45.0000", "Costo": "30.0000",
    "Descto": "0.0000", "MtoTax": "12.8000", "TotalItem": "80.0000", "EsUnid": "1", "EsExento": "0", "Signo": "1",
}  # fmt: skip
ON = shop("saint", store="00000")


def test_a_product_its_category_and_its_level() -> None:
    found = made(
        ON,
        row(CLASSES, {"CodInst": "10", "InsPadre": "0", "Descrip": "Víveres"}),
        row(CLASSES, {"CodInst": "12", "InsPadre": "10", "Descrip": "Harinas"}),
        row(PRODUCTS, PRODUCT),
        row(PRODUCTS, PRODUCT, CodProd="REF-01", CodInst="0", EsExento="0", Activo="0"),
        row(LEVELS, {"CodProd": "har-01", "CodUbic": "01", "Existen": "-3.0000", "ExUnidad": "5.0000"}),
    )
    top, below = found.categories
    assert (top.name, top.parent_ref, below.name, below.parent_ref) == ("Víveres", None, "Harinas", top.id)
    flour, other = found.products
    assert said(flour) == {
        "sku": "HAR-01",
        "name": "Harina de maíz Doña Ñusta",
        "barcode": "7591001",
        "category_ref": below.id,
        "cost_price": "80.5000",
        "selling_price": "120.0000",
        "tax_rate": "0",
        "is_active": True,
    }
    assert (other.category_ref, other.tax_rate, other.is_active) == (None, "16", False)
    (level,) = found.stock
    assert (level.quantity, level.product_ref, level.store_id) == ("-3.0000", flour.id, STORE_1)


def test_an_invoice_with_its_lines_its_taxes_and_its_tenders() -> None:
    exempt = row(LINES, LINE, NroLinea="2", EsExento="1", EsUnid="0", MtoTax="0.0000", TotalItem="20.0000")
    part_of_a_kit = row(LINES, LINE, NroLinea="1", NroLineaC="1", TotalItem="0.0000")
    found = sale(ON, row(INVOICES, INVOICE), row(LINES, LINE), exempt, part_of_a_kit)
    assert said(found.header) == {
        "number": "0000123",
        "control_number": "00-4567",
        "doc_type": "invoice",
        "status": "completed",
        "register_id": "CAJA01",
        "cashier_id": "001",
        "sold_at": "2026-11-17T10:30:15.500000-04:00",
        "sold_at_precision": "second",
        "business_date": "2026-11-17",
        "currency": "VES",
        "exchange_rate": "241.5782",
        "subtotal": "100.0000",
        "discount_total": "1.5000",
        "exempt_total": "20.0000",
        "tax_total": "12.8000",
        "total": "112.8000",
        "prices_include_tax": False,
        "original_sale_ref": None,
        "original_number": None,
        "customer_name": "José Ibáñez",
        "customer_tax_id": "V-11470283-4",
        "fiscal_number": "00089",
        "fiscal_z": "0123",
    }
    first, second = found.lines
    assert said(first) == {
        "sku": "HAR-01",
        "name": "Harina de maíz",
        "quantity": "2.0000",
        "unit": "unidad",
        "unit_price": "40.0000",
        "list_price": "45.0000",
        "discount": "0.0000",
        "line_total": "80.0000",
        "tax_category": "general",
        "tax_amount": "12.8000",
        "unit_cost": "30.0000",
        "line_no": "1",
    }
    assert (second.tax_category, second.unit, second.external_id) == ("exempt", "paquete", "00000/A/0000123/2/0")
    assert [(one.method, one.amount) for one in found.payments] == [("cash", "100.0000"), ("card", "12.8000")]
    assert [(one.category, one.base, one.amount) for one in found.taxes] == [
        (None, "80.0000", "12.8000"),
        ("exempt", "20.0000", None),
    ]


def test_a_return_names_its_invoice_and_the_invoice_names_none() -> None:
    invoice = sale(ON, row(INVOICES, INVOICE, "u", NumeroR="0000009"))
    back = row(INVOICES, INVOICE, TipoFac="B", NumeroD="0000009", NumeroR="0000123", Signo="-1")
    note = sale(ON, back, row(LINES, LINE, TipoFac="B", NumeroD="0000009", Signo="-1"))
    assert invoice.header is not None
    assert note.header is not None
    assert (invoice.header.original_sale_ref, invoice.header.original_number) == (None, None)
    assert (note.header.original_sale_ref, note.header.original_number) == (invoice.id, "0000123")
    assert (note.header.doc_type, note.header.total, note.lines[0].quantity) == ("credit_note", "112.8000", "2.0000")
    assert (invoice.header.status, note.header.status) == ("completed", "completed")


def test_delivery_notes_and_quotes_are_no_sales() -> None:
    for kind in "CDEFG":
        assert made(ON, row(INVOICES, INVOICE, TipoFac=kind), row(LINES, LINE, TipoFac=kind)).sales == []


def test_what_is_deleted_has_its_key_only() -> None:
    found = made(ON, gone(INVOICES, "00000", "A", "0000123"), gone(LINES, "00000", "A", "0000123", "1", "0"))
    (whole,) = found.sales
    assert whole.header is not None
    assert (whole.id, whole.header.deletion) == (
        ident("sale", INVOICES, "00000", "A", "0000123", ignore_case=True),
        "purge",
    )
    assert [one.deletion for one in (*whole.lines, *whole.payments, *whole.taxes)] == ["purge"] * 6


def test_it_suits_the_tables_of_the_product() -> None:
    assert check(template("saint"), TABLES, deleted="key") == []
    assert tables(template("saint")) == set(TABLES)


def test_a_column_by_another_name_is_told_with_the_nearest_one() -> None:
    found = misspelt(misspelt(TABLES, "SAFACT", "NumeroR", "NumeroRe"), "SAITEMFAC", "NroLineaC", "NroLineC")
    with pytest.raises(MappingError) as caught:
        check(template("saint"), found)
    message = caught.value.message
    assert "sale.original: 'SAFACT' has no column 'NumeroR', did you mean 'NumeroRe'?" in message
    assert "sale.original_number: 'SAFACT' has no column 'NumeroR', did you mean 'NumeroRe'?" in message
    assert "sale.lines.where: 'SAITEMFAC' has no column 'NroLineaC', did you mean 'NroLineC'?" in message
    without = {name: kind for name, kind in TABLES.items() if name != "SAINSTA"}
    parentless = misspelt(TABLES, "SAINSTA", "InsPadre", "Padre")
    with pytest.raises(MappingError, match=r"category\.from: the source has no table 'SAINSTA'"):
        check(template("saint"), without)
    check(template("saint"), parentless)
