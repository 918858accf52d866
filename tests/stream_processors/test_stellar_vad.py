"""Stellar's own tables: categories of three levels, keys of four columns, date and time apart, tenders and returns."""

from typing import cast

import pytest

from fluxion.errors import MappingError
from schemas.mapping import check, tables
from schemas.records import Column, Layout, Type
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
from tests.stream_processors.sets import STORE_1, change_set, read

DEPARTMENTS = table("MA_DEPARTAMENTOS", "C_CODIGO", text="C_CODIGO C_DESCRIPCIO")
GROUPS = table("MA_GRUPOS", "c_CODIGO c_departamento", text="c_CODIGO c_departamento C_DESCRIPCIO")
SUBGROUPS = table(
    "MA_SUBGRUPOS", "c_CODIGO c_in_grupo c_in_departamento", text="c_CODIGO c_in_grupo c_in_departamento C_DESCRIPCIO"
)
PRODUCTS = table(
    "MA_PRODUCTOS", "c_Codigo", integer="ID",
    text="c_Codigo c_Descri cu_Descripcion_Corta c_Departamento c_Grupo c_Subgrupo c_Marca c_Modelo c_Presenta c_CodMoneda",
    float="n_CostoAct n_CostoAnt n_CostoPro n_CostoRep n_Precio1 n_Precio2 n_Precio3 n_PrecioO n_Impuesto1 n_Impuesto2 "
    "n_Impuesto3 n_Activo n_TipoPeso n_Peso n_CantiBul",
    datetime="f_Inicial f_Final h_Inicial h_Final Add_Date Update_Date",
)  # fmt: skip
LEVELS = table(
    "MA_DEPOPROD", "c_coddeposito c_codarticulo", text="c_coddeposito c_codarticulo",
    float="n_cantidad n_cant_comprometida n_cant_ordenada",
)  # fmt: skip
TICKETS = table(
    "MA_PAGOS", "c_Caja c_Numero c_Sucursal c_Concepto", integer="ID", boolean="bs_Impresa bs_Contribuyente",
    text="c_Caja c_Numero c_Sucursal c_Concepto c_Cliente c_Rif c_Desc_Cliente c_Usuario cs_Documento_Rel",
    datetime="f_Fecha f_Hora",
    float="n_Subtotal n_BaseImp n_Impuesto n_Descuento n_Total n_Cancelado n_Vuelto Turno n_Productos",
)  # fmt: skip
LINES = table(
    "MA_TRANSACCION", "ID", integer="ID", text="c_Numero c_Caja c_Localidad c_Concepto Codigo Cod_Principal Estatus",
    datetime="f_Fecha h_Hora",
    float="n_Linea Cantidad Precio n_PrecioReal Subtotal Descuento Impuesto Impuesto1 Impuesto2 Impuesto3 Total n_Costo "
    "n_Devueltos Turno",
)  # fmt: skip
TENDERS = table(
    "MA_DETALLEPAGO", "ID", integer="ID", text="c_Factura c_Caja c_Localidad c_CodMoneda c_CodDenominacion c_Banco c_Numero",
    float="Turno n_Factor n_Monto",
)  # fmt: skip
TABLES = catalogue(DEPARTMENTS, GROUPS, SUBGROUPS, PRODUCTS, LEVELS, TICKETS, LINES, TENDERS)

PRODUCT = {
    "c_Codigo": "000001", "c_Descri": "Ñame y ocumo, paquete", "c_Departamento": "01", "c_Grupo": "02", "c_Subgrupo": "03",
    "n_CostoAct": "80.0", "n_Precio1": "119.99000000000001", "n_Impuesto1": "0.0", "n_Activo": "1.0",
    "n_PrecioO": "99.0", "f_Inicial": "1899-12-30T00:00:00",
}  # fmt: skip
TICKET = {
    "ID": "55", "c_Caja": "01", "c_Numero": "00012345", "c_Sucursal": "0101", "c_Concepto": "VEN",
    "f_Fecha": "2026-11-17T00:00:00", "f_Hora": "1899-12-30T10:30:15", "c_Rif": "V-11.470.283-4",
    "c_Desc_Cliente": "Begoña Peñalver", "n_Subtotal": "100.0", "n_BaseImp": "80.0", "n_Impuesto": "12.8",
    "n_Descuento": "0.0", "n_Total": "112.80000000000001", "n_Cancelado": "120.0", "n_Vuelto": "7.2", "Turno": "2.0",
    "c_Usuario": "MARÍA", "cs_Documento_Rel": "",
}  # fmt: skip
LINE = {
    "ID": "901", "c_Numero": "00012345", "c_Caja": "01", "c_Localidad": "0101", "c_Concepto": "VEN", "n_Linea": "1.0",
    "Codigo": "2000010012503", "Cod_Principal": "000001", "Cantidad": "1.25", "Precio": "64.0", "n_PrecioReal": "70.0",
    "Subtotal": "80.0", "Descuento": "0.0", "Impuesto": "12.8", "Impuesto1": "16.0", "n_Costo": "51.1", "n_Devueltos": "0.0",
}  # fmt: skip
TENDER = {
    "ID": "31", "c_Factura": "00012345", "c_Caja": "01", "c_Localidad": "0101", "c_CodMoneda": "USD",
    "c_CodDenominacion": "Efectivo", "n_Factor": "36.5", "n_Monto": "3.1", "c_Numero": "",
}  # fmt: skip
KEY = ("01", "00012345", "0101", "VEN")
ON = shop("stellar-vad", store="0101")


def test_categories_stand_one_below_the_other_and_a_product_in_the_lowest() -> None:
    found = made(
        ON,
        row(DEPARTMENTS, {"C_CODIGO": "01", "C_DESCRIPCIO": "Víveres"}),
        row(GROUPS, {"c_CODIGO": "02", "c_departamento": "01", "C_DESCRIPCIO": "Verduras"}),
        row(SUBGROUPS, {"c_CODIGO": "03", "c_in_grupo": "02", "c_in_departamento": "01", "C_DESCRIPCIO": "Raíces"}),
        row(SUBGROUPS, {"c_CODIGO": "03", "c_in_grupo": "02", "c_in_departamento": "09", "C_DESCRIPCIO": "Ajena"}),
        row(PRODUCTS, PRODUCT),
    )
    top, group, below, strange = found.categories
    assert [one.name for one in found.categories] == ["Víveres", "Verduras", "Raíces", "Ajena"]
    assert (top.parent_ref, group.parent_ref, below.parent_ref) == (None, top.id, group.id)
    assert strange.id != below.id
    (product,) = found.products
    assert said(product) == {
        "sku": "000001",
        "name": "Ñame y ocumo, paquete",
        "category_ref": below.id,
        "cost_price": "80",
        "selling_price": "119.99",
        "tax_rate": "0",
        "is_active": True,
    }
    assert product.warnings == []


def test_a_product_without_a_subgroup_stands_in_its_group_and_one_without_both_in_its_department() -> None:
    found = made(
        ON,
        row(PRODUCTS, PRODUCT, c_Subgrupo="  "),
        row(PRODUCTS, PRODUCT, c_Codigo="2", c_Subgrupo="", c_Grupo=None),
        row(PRODUCTS, PRODUCT, c_Codigo="3", c_Subgrupo="", c_Grupo="", c_Departamento="", n_Activo="0.0"),
    ).products
    assert [one.category_ref for one in found] == [
        ident("category", GROUPS, "02", "01"),
        ident("category", DEPARTMENTS, "01"),
        None,
    ]
    assert [one.is_active for one in found] == [True, True, False]


def test_a_level_is_of_a_deposit_and_a_product_whatever_the_case_of_its_code() -> None:
    (level,) = made(
        ON, row(LEVELS, {"c_coddeposito": "0101", "c_codarticulo": "ab1 ", "n_cantidad": "-2.4000000000000004"})
    ).stock
    assert (level.external_id, level.quantity, level.store_id) == ("0101/ab1", "-2.4", STORE_1)
    (product,) = made(ON, row(PRODUCTS, PRODUCT, c_Codigo="AB1")).products
    assert level.product_ref == product.id
    (less,) = made(ON, gone(LEVELS, "0101", "ab1")).stock
    assert (less.id, less.op) == (level.id, "delete")


def test_a_ticket_with_its_lines_its_taxes_and_its_tenders() -> None:
    found = sale(ON, row(TICKETS, TICKET), row(LINES, LINE), row(TENDERS, TENDER))
    assert (found.id, found.store_id, found.txn_end) == (ident("sale", TICKETS, *KEY, ignore_case=True), STORE_1, True)
    assert said(found.header) == {
        "number": "00012345",
        "doc_type": "invoice",
        "status": "completed",
        "register_id": "01",
        "shift_id": "2",
        "cashier_id": "MARÍA",
        "sold_at": "2026-11-17T10:30:15-04:00",
        "sold_at_precision": "second",
        "business_date": "2026-11-17",
        "currency": "VES",
        "subtotal": "100",
        "discount_total": "0",
        "tax_total": "12.8",
        "total": "112.8",
        "prices_include_tax": False,
        "original_number": None,
        "customer_name": "Begoña Peñalver",
        "customer_tax_id": "V-11470283-4",
    }
    (line,), (tender,), (tax,) = found.lines, found.payments, found.taxes
    assert said(line) == {
        "sku": "000001",
        "product_ref": ident("product", PRODUCTS, "000001"),
        "scanned_code": "2000010012503",
        "quantity": "1.25",
        "unit_price": "64",
        "list_price": "70",
        "discount": "0",
        "line_total": "80",
        "tax_rate": "16",
        "tax_amount": "12.8",
        "unit_cost": "51.1",
        "returned_quantity": "0",
        "line_no": "1",
    }
    assert said(tender) == {
        "method": "Efectivo",
        "currency": "USD",
        "amount": "3.1",
        "rate": "36.5",
        "amount_base": "113.15",
        "reference": None,
    }
    assert (tax.base, tax.amount) == ("80", "12.8")


@pytest.mark.parametrize(
    ("day_type", "time_type", "day", "time"),
    [
        ("datetime", "datetime", "2026-11-17T00:00:00", "1900-01-01T10:30:15"),
        ("date", "time", "2026-11-17", "10:30:15"),
        ("datetime", "text", "2026-11-17T00:00:00", " 10:30:15"),
    ],
)
def test_date_and_time_are_joined_whatever_their_columns_are(
    day_type: str, time_type: str, day: str, time: str
) -> None:
    kinds: dict[str, Type] = {"f_Fecha": cast("Type", day_type), "f_Hora": cast("Type", time_type)}
    columns = [Column(one.name, kinds.get(one.name, one.type)) for one in TICKETS.columns]
    found = sale(ON, row(Layout(TICKETS.table, TICKETS.key, columns), TICKET, f_Fecha=day, f_Hora=time)).header
    assert found is not None
    assert (found.sold_at, found.sold_at_precision) == ("2026-11-17T10:30:15-04:00", "second")
    without = sale(ON, row(Layout(TICKETS.table, TICKETS.key, columns), TICKET, f_Fecha=day, f_Hora=None)).header
    assert without is not None
    assert (without.sold_at, without.sold_at_precision) == ("2026-11-17T00:00:00-04:00", "date")


def test_a_shop_whose_taxes_name_the_register_takes_them_by_rate() -> None:
    own = (
        "sale:\n  taxes: {from: MA_PAGOS_IMPUESTOS, key: {primary: true}, rate: n_PorcImp, base: n_MontoBase,"
        " amount: n_MontoImp,\n    sale: [c_Caja, c_Numero, c_Localidad, c_Concepto]}\n"
    )
    by_rate = table(
        "MA_PAGOS_IMPUESTOS", "ID", integer="ID", text="c_Caja c_Numero c_Localidad c_Concepto",
        float="n_PorcImp n_MontoBase n_MontoImp",
    )  # fmt: skip
    tax = {"ID": "1", "c_Caja": "01", "c_Numero": "00012345", "c_Localidad": "0101", "c_Concepto": "VEN"}
    found = sale(
        shop("stellar-vad", own, "0101"),
        row(TICKETS, TICKET),
        row(by_rate, tax, n_PorcImp="16.0", n_MontoBase="80.0", n_MontoImp="12.8"),
        row(by_rate, tax, ID="2", n_PorcImp="0.0", n_MontoBase="20.0", n_MontoImp="0.0"),
    )
    assert [(one.rate, one.base, one.amount) for one in found.taxes] == [("16", "80", "12.8"), ("0", "20", "0")]


def test_a_return_names_the_ticket_and_has_a_key_of_its_own() -> None:
    back = row(TICKETS, TICKET, c_Concepto="DEV", cs_Documento_Rel="00012345")
    found = sale(ON, back, row(LINES, LINE, c_Concepto="DEV"))
    assert found.header is not None
    assert (found.header.doc_type, found.header.original_number, found.header.total) == (
        "credit_note",
        "00012345",
        "112.8",
    )
    assert found.id == ident("sale", TICKETS, *KEY[:3], "DEV", ignore_case=True)
    assert [(line.quantity, line.line_total) for line in found.lines] == [("1.25", "80")]


def test_a_shop_whose_returns_are_negative_says_so() -> None:
    own = (
        "sale:\n  returns: negative\n  lines: {doc_type: {column: c_Concepto, map: {VEN: invoice, DEV: credit_note}}}\n"
        "  payments: []\n"
    )
    negative = (
        row(TICKETS, TICKET, c_Concepto="DEV", n_Total="-112.8"),
        row(LINES, LINE, c_Concepto="DEV", Cantidad="-1.25"),
    )
    found = sale(shop("stellar-vad", own, "0101"), *negative)
    assert found.header is not None
    assert (found.header.total, found.lines[0].quantity) == ("112.8", "1.25")


def test_what_was_paid_is_no_void_and_a_ticket_that_was_moved_away_is_kept() -> None:
    paid = sale(ON, row(TICKETS, TICKET, n_Cancelado="112.8")).header
    assert paid is not None
    assert paid.status == "completed"
    ticket, parts = made(ON, gone(TICKETS, *KEY), gone(LINES, "901"), gone(TENDERS, "31")).sales
    assert ticket.header is not None
    assert (ticket.id, ticket.header.deletion) == (ident("sale", TICKETS, *KEY, ignore_case=True), "purge")
    assert [(one.external_id, one.deletion) for one in (*ticket.taxes, *parts.lines, *parts.payments)] == [
        ("01/00012345/0101/VEN/1", "purge"),
        ("901", "purge"),
        ("31", "purge"),
    ]


def test_other_concepts_are_no_sales_and_another_branch_is_not_ours() -> None:
    assert made(ON, row(TICKETS, TICKET, c_Concepto="ESP"), row(LINES, LINE, c_Concepto="ESP")).sales == []
    (entry,) = read(change_set(row(TICKETS, TICKET, c_Sucursal="0201")), ON).quarantined
    assert entry.code == "UNKNOWN_STORE"


def test_prices_with_tax_are_a_setting() -> None:
    found = sale(shop("stellar-vad", "defaults: {prices_include_tax: true}\n", "0101"), row(TICKETS, TICKET)).header
    assert found is not None
    assert found.prices_include_tax is True


def test_it_suits_the_tables_of_the_product() -> None:
    assert check(template("stellar-vad"), TABLES, deleted="key") == []
    assert tables(template("stellar-vad")) == set(TABLES)
    less = {name: kind for name, kind in TABLES.items() if name != "MA_DEPOPROD"}
    check(template("stellar-vad", "stock: ~\n"), less)
    check(
        template("stellar-vad", "sale: ~\n"),
        catalogue(DEPARTMENTS, GROUPS, SUBGROUPS, PRODUCTS, LEVELS),
    )


def test_a_column_by_another_name_is_told_with_the_nearest_one() -> None:
    found = misspelt(TABLES, "MA_SUBGRUPOS", "C_DESCRIPCIO", "c_Descripcion")
    found = misspelt(found, "MA_PRODUCTOS", "c_Subgrupo", "c_SubGrupo")
    found = misspelt(found, "MA_TRANSACCION", "Cod_Principal", "CodPrincipal")
    with pytest.raises(MappingError) as caught:
        check(template("stellar-vad"), found)
    message = caught.value.message
    assert "category.name: 'MA_SUBGRUPOS' has no column 'C_DESCRIPCIO', did you mean 'c_Descripcion'?" in message
    assert "product.category: 'MA_PRODUCTOS' has no column 'c_Subgrupo', did you mean 'c_SubGrupo'?" in message
    assert "sale.lines.sku: 'MA_TRANSACCION' has no column 'Cod_Principal', did you mean 'CodPrincipal'?" in message
