"""CONTPAQi Comercial: float money, US timestamps in text, a fiscal year for each level, cancelled documents."""

import pytest

from fluxion.errors import MappingError
from schemas.mapping import check, tables
from tests.stream_processors.mssql import catalogue, gone, ident, made, misspelt, row, said, sale, shop, table, template
from tests.stream_processors.sets import STORE_1, STORES, change_set, read, system

MONTHS = [str(month) for month in range(1, 13)]
VALUES = table(
    "admClasificacionesValores", "CIDVALORCLASIFICACION", integer="CIDVALORCLASIFICACION CIDCLASIFICACION",
    text="CVALORCLASIFICACION CCODIGOVALORCLASIFICACION",
)  # fmt: skip
PRODUCTS = table(
    "admProductos", "CIDPRODUCTO",
    integer="CIDPRODUCTO CTIPOPRODUCTO CSTATUSPRODUCTO CESEXENTO CIDUNIDADBASE CIDMONEDA CUSABASCU CERRORCOSTO "
    + " ".join(f"CIDVALORCLASIFICACION{one}" for one in "123456"),
    text="CCODIGOPRODUCTO CNOMBREPRODUCTO CDESCRIPCIONPRODUCTO CCODALTERN CCLAVESAT CTIMESTAMP",
    datetime="CFECHAALTAPRODUCTO CFECHABAJA",
    float="CCOSTOESTANDAR CIMPUESTO1 CIMPUESTO2 CIMPUESTO3 " + " ".join(f"CPRECIO{one}" for one in range(1, 11)),
)  # fmt: skip
LEVELS = table(
    "admExistenciaCosto", "CIDEXISTENCIA", integer="CIDEXISTENCIA CIDALMACEN CIDPRODUCTO CIDEJERCICIO CTIPOEXISTENCIA",
    float=" ".join(f"C{way}{at}" for way in ("ENTRADAS", "SALIDAS") for at in ["INICIALES", *(f"PERIODO{one}" for one in MONTHS)]),
)  # fmt: skip
DOCUMENTS = table(
    "admDocumentos", "CIDDOCUMENTO",
    integer="CIDDOCUMENTO CIDDOCUMENTODE CIDCONCEPTODOCUMENTO CIDCLIENTEPROVEEDOR CIDAGENTE CIDMONEDA CCANCELADO CDEVUELTO "
    "CAFECTADO CIDDOCUMENTOORIGEN",
    text="CSERIEDOCUMENTO CRAZONSOCIAL CRFC CREFERENCIA CGUIDDOCUMENTO CUSUARIO CTIMESTAMP", datetime="CFECHA",
    float="CFOLIO CTIPOCAMBIO CNETO CIMPUESTO1 CIMPUESTO2 CIMPUESTO3 CDESCUENTOMOV CDESCUENTODOC1 CDESCUENTODOC2 CTOTAL "
    "CPENDIENTE",
)  # fmt: skip
MOVES = table(
    "admMovimientos", "CIDMOVIMIENTO",
    integer="CIDMOVIMIENTO CIDDOCUMENTO CIDDOCUMENTODE CIDPRODUCTO CIDALMACEN CIDUNIDAD CAFECTAEXISTENCIA CIDMOVTOORIGEN "
    "CMOVTOOCULTO CIDMOVTOOWNER",
    text="CTIMESTAMP", datetime="CFECHA",
    float="CNUMEROMOVIMIENTO CUNIDADES CUNIDADESCAPTURADAS CPRECIO CPRECIOCAPTURADO CCOSTOESPECIFICO CNETO CTOTAL "
    + " ".join(f"CIMPUESTO{one} CPORCENTAJEIMPUESTO{one}" for one in "123")
    + " " + " ".join(f"CDESCUENTO{one} CPORCENTAJEDESCUENTO{one}" for one in "12345"),
)  # fmt: skip
TABLES = catalogue(VALUES, PRODUCTS, LEVELS, DOCUMENTS, MOVES)

PRODUCT = {
    "CIDPRODUCTO": "5", "CTIPOPRODUCTO": "1", "CSTATUSPRODUCTO": "1", "CESEXENTO": "0", "CCODIGOPRODUCTO": "000123 ",
    "CNOMBREPRODUCTO": "Jamón de pierna ñandú", "CCODALTERN": "7591234567895", "CPRECIO1": "30.000000000000004",
    "CCOSTOESTANDAR": "20.1", "CIMPUESTO1": "16.0", "CIDVALORCLASIFICACION1": "7", "CFECHABAJA": "1899-12-30T00:00:00",
}  # fmt: skip
INVOICE = {
    "CIDDOCUMENTO": "900", "CIDDOCUMENTODE": "4", "CSERIEDOCUMENTO": "A", "CFOLIO": "1234.0", "CFECHA": "2026-11-17T00:00:00",
    "CRAZONSOCIAL": "Panadería Núñez, C.A.", "CRFC": "J070133805", "CIDMONEDA": "1", "CTIPOCAMBIO": "1.0",
    "CNETO": "0.30000000000000004", "CIMPUESTO1": "0.048", "CIMPUESTO2": "0.0", "CIMPUESTO3": "0.0",
    "CDESCUENTOMOV": "0.1", "CDESCUENTODOC1": "0.2", "CDESCUENTODOC2": "0.0", "CTOTAL": "116.00000000000001",
    "CCANCELADO": "0", "CIDDOCUMENTOORIGEN": "0", "CUSUARIO": "CAJA1", "CTIMESTAMP": "11/17/2026 18:05:09:123",
}  # fmt: skip
LINE = {
    "CIDMOVIMIENTO": "7001", "CIDDOCUMENTO": "900", "CIDDOCUMENTODE": "4", "CIDPRODUCTO": "5", "CMOVTOOCULTO": "0",
    "CNUMEROMOVIMIENTO": "100.0", "CUNIDADES": "1.125", "CPRECIO": "17.24137931034483", "CNETO": "19.3965517241379",
    "CIMPUESTO1": "3.1", "CIMPUESTO2": "0.2", "CIMPUESTO3": "0.0", "CPORCENTAJEIMPUESTO1": "16.0",
    "CDESCUENTO1": "0.1", "CDESCUENTO2": "0.2", "CDESCUENTO3": "0.0", "CDESCUENTO4": "0.0", "CDESCUENTO5": "0.0",
    "CCOSTOESPECIFICO": "0.0", "CAFECTAEXISTENCIA": "2", "CFECHA": "2026-11-17T00:00:00",
}  # fmt: skip
ON = shop("adminpaq")
OF_YEAR_5 = "stock: {where: {CTIPOEXISTENCIA: 1, CIDEJERCICIO: 5}}\n"


def test_a_product_its_category_and_their_text() -> None:
    other = {"CIDVALORCLASIFICACION": "9", "CIDCLASIFICACION": "26", "CVALORCLASIFICACION": "Mayoristas"}
    found = made(
        ON,
        row(VALUES, other, CIDVALORCLASIFICACION="7", CIDCLASIFICACION="25", CVALORCLASIFICACION="Charcutería"),
        row(VALUES, other),
        row(PRODUCTS, PRODUCT),
    )
    (category,), (product,) = found.categories, found.products
    assert (category.name, category.id) == ("Charcutería", ident("category", VALUES, "7"))
    assert said(product) == {
        "sku": "000123",
        "name": "Jamón de pierna ñandú",
        "barcode": "7591234567895",
        "category_ref": category.id,
        "selling_price": "30",
        "cost_price": "20.1",
        "tax_rate": "16",
        "is_active": True,
    }


def test_an_exempt_product_one_without_a_category_and_the_row_that_is_none() -> None:
    exempt, service, nothing = (
        row(PRODUCTS, PRODUCT, CESEXENTO="1", CSTATUSPRODUCTO="0"),
        row(PRODUCTS, PRODUCT, CIDPRODUCTO="6", CTIPOPRODUCTO="3", CIMPUESTO1="0.0", CIDVALORCLASIFICACION1="0"),
        row(PRODUCTS, PRODUCT, CIDPRODUCTO="0", CTIPOPRODUCTO="0", CNOMBREPRODUCTO="(Ninguno)"),
    )
    found = made(ON, exempt, service, nothing).products
    assert [(one.tax_rate, one.category_ref is None, one.is_active) for one in found] == [
        ("0", False, False),
        ("0", True, True),
    ]


def test_an_invoice_with_its_lines_and_taxes() -> None:
    hidden = row(MOVES, LINE, CIDMOVIMIENTO="7002", CMOVTOOCULTO="1")
    found = sale(ON, row(DOCUMENTS, INVOICE), row(MOVES, LINE), hidden)
    assert (found.id, found.store_id, found.closed, found.txn_end) == (
        ident("sale", DOCUMENTS, "900"), STORE_1, True, True,
    )  # fmt: skip
    assert said(found.header) == {
        "number": "A-1234",
        "doc_type": "invoice",
        "status": "completed",
        "cashier_id": "CAJA1",
        "sold_at": "2026-11-17T00:00:00-04:00",
        "sold_at_precision": "date",
        "business_date": "2026-11-17",
        "currency": "VES",
        "exchange_rate": "1",
        "subtotal": "0.3",
        "discount_total": "0.3",
        "tax_total": "0.048",
        "total": "116",
        "prices_include_tax": False,
        "original_sale_ref": None,
        "customer_name": "Panadería Núñez, C.A.",
        "customer_tax_id": "J-07013380-5",
    }
    (line,) = found.lines
    assert said(line) == {
        "product_ref": ident("product", PRODUCTS, "5"),
        "quantity": "1.125",
        "unit_price": "17.2414",
        "discount": "0.3",
        "line_total": "19.3966",
        "tax_rate": "16",
        "tax_amount": "3.3",
        "unit_cost": "0",
        "line_no": "100",
    }
    assert line.warnings[0] == "PRECISION_REDUCED:unit_price=17.2413793103"
    assert found.header is not None
    assert found.header.warnings == []
    assert [(tax.category, tax.rate, tax.amount) for tax in found.taxes] == [(None, None, "0.048")]
    assert found.payments == []


def test_a_return_names_its_invoice() -> None:
    for kind in ("5", "36", "7"):
        note = row(DOCUMENTS, INVOICE, CIDDOCUMENTO="901", CIDDOCUMENTODE=kind, CIDDOCUMENTOORIGEN="900", CFOLIO="8.0")
        back = row(MOVES, LINE, CIDMOVIMIENTO="7003", CIDDOCUMENTO="901", CIDDOCUMENTODE=kind)
        found = sale(ON, note, back)
        assert found.header is not None
        assert (found.header.doc_type, found.header.number, found.header.total) == ("credit_note", "A-8", "116")
        assert found.header.original_sale_ref == ident("sale", DOCUMENTS, "900")
        assert [(line.quantity, line.line_total) for line in found.lines] == [("1.125", "19.3966")]


def test_an_invoice_that_was_made_from_an_order_and_a_return_of_nothing_name_none() -> None:
    for changed in ({"CIDDOCUMENTOORIGEN": "800"}, {"CIDDOCUMENTODE": "5"}):
        found = sale(ON, row(DOCUMENTS, {**INVOICE, **changed}))
        assert found.header is not None
        assert found.header.original_sale_ref is None


def test_a_cancelled_document_is_void() -> None:
    found = sale(ON, row(DOCUMENTS, INVOICE, "u", CCANCELADO="1"))
    assert found.header is not None
    assert (found.header.status, found.header.op, found.closed) == ("voided", "upsert", True)


def test_other_documents_are_no_sales_and_one_that_is_deleted_was_none() -> None:
    for kind in ("1", "2", "3", "9", "13", "17", "19", "32", "33", "34", "37"):
        rows = row(DOCUMENTS, INVOICE, CIDDOCUMENTODE=kind), row(MOVES, LINE, CIDDOCUMENTODE=kind)
        assert made(ON, *rows).sales == []
    document, line = made(ON, gone(DOCUMENTS, "900"), gone(MOVES, "7001")).sales
    assert document.header is not None
    assert (document.header.op, document.header.deletion) == ("delete", "purge")
    assert (line.id, line.lines[0].deletion, line.lines[0].id) == ("", "purge", ident("line", MOVES, "7001"))


def test_a_document_in_dollars_and_one_in_a_currency_that_nobody_named() -> None:
    dollars = sale(ON, row(DOCUMENTS, INVOICE, CIDMONEDA="2", CTIPOCAMBIO="241.57820000000001")).header
    unnamed = sale(ON, row(DOCUMENTS, INVOICE, CIDMONEDA="3")).header
    assert dollars is not None
    assert unnamed is not None
    assert (dollars.currency, dollars.exchange_rate, dollars.warnings) == ("USD", "241.5782", [])
    assert (unnamed.currency, unnamed.warnings) == ("?", ["UNKNOWN_CURRENCY"])


def test_a_timestamp_in_american_text_is_a_time_where_a_shop_wants_it() -> None:
    on = shop("adminpaq", 'sale: {sold_at: {column: CTIMESTAMP, format: "%m/%d/%Y %H:%M:%S:%f"}}\n')
    found = sale(on, row(DOCUMENTS, INVOICE)).header
    assert found is not None
    assert (found.sold_at, found.sold_at_precision) == ("2026-11-17T18:05:09.123000-04:00", "second")


def test_a_document_without_a_date_is_set_aside() -> None:
    empty = row(DOCUMENTS, INVOICE, CFECHA="1899-12-30T00:00:00")
    (entry,) = read(change_set(empty), ON).quarantined
    assert (entry.code, "sale.sold_at is null" in entry.message) == ("REQUIRED_MISSING", True)


# Stock ---------------------------------------------------------------------------------------------------------------


def months(way: str, *amounts: str) -> dict[str, str]:
    filled = [*amounts, *["0.0"] * (12 - len(amounts))]
    return {f"C{way}PERIODO{month}": amount for month, amount in zip(MONTHS, filled, strict=True)}


LEVEL = {
    "CIDEXISTENCIA": "40", "CIDALMACEN": "1", "CIDPRODUCTO": "5", "CIDEJERCICIO": "5", "CTIPOEXISTENCIA": "1",
    "CENTRADASINICIALES": "10.0", "CSALIDASINICIALES": "4.0",
}  # fmt: skip


def test_no_level_is_taken_before_somebody_says_which_year_is_open() -> None:
    level = row(LEVELS, {**LEVEL, **months("ENTRADAS", "10.0"), **months("SALIDAS", "4.0")})
    assert made(ON, level).stock == []
    assert [one.quantity for one in made(shop("adminpaq", OF_YEAR_5), level).stock] == ["6"]


def test_a_level_of_running_totals_is_the_latest_of_them() -> None:
    level = {**LEVEL, **months("ENTRADAS", "10.0", "12.1", "12.3"), **months("SALIDAS", "4.0", "12.4", "12.5")}
    on = shop("adminpaq", OF_YEAR_5)
    found = made(
        on,
        row(LEVELS, level, "u"),
        row(LEVELS, level, "r", CIDEXISTENCIA="41", CIDEJERCICIO="4"),
        row(LEVELS, level, "r", CIDEXISTENCIA="42", CTIPOEXISTENCIA="2"),
        gone(LEVELS, "39"),
    ).stock
    assert [(one.external_id, one.op, one.quantity, one.product_ref, one.store_id) for one in found] == [
        ("40", "upsert", "-0.2", ident("product", PRODUCTS, "5"), STORE_1),
        ("39", "delete", None, None, None),
    ]


def test_a_level_by_month_is_what_the_year_began_with_and_every_month() -> None:
    level = {**LEVEL, **months("ENTRADAS", "0.1", "0.2"), **months("SALIDAS", "1.0", "0.0", "0.5")}
    (found,) = made(shop("adminpaq-monthly", OF_YEAR_5), row(LEVELS, level)).stock
    assert found.quantity == "4.8"


def test_a_level_by_movements_needs_no_year() -> None:
    on = shop("adminpaq-movements")
    found = made(
        on,
        row(MOVES, LINE),
        row(
            MOVES,
            LINE,
            CIDMOVIMIENTO="7005",
            CIDDOCUMENTODE="19",
            CUNIDADES="3.3000000000000003",
            CAFECTAEXISTENCIA="1",
        ),
        row(MOVES, LINE, CIDMOVIMIENTO="7006", CIDDOCUMENTODE="2", CAFECTAEXISTENCIA="3"),
    )
    assert [(one.kind, one.quantity, one.occurred_at) for one in found.movements] == [
        ("4", "-1.125", "2026-11-17T00:00:00-04:00"),
        ("19", "3.3", "2026-11-17T00:00:00-04:00"),
    ]
    assert (len(found.sales), len(found.stock)) == (1, 0)


# Against the database ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["adminpaq", "adminpaq-monthly", "adminpaq-movements"])
def test_it_suits_the_tables_of_the_product(name: str) -> None:
    assert check(template(name), TABLES, deleted="key") == []
    assert tables(template(name)) == set(TABLES) - ({"admExistenciaCosto"} if name == "adminpaq-movements" else set())


def test_a_column_by_another_name_is_told_with_the_nearest_one() -> None:
    said_of = misspelt(TABLES, "admDocumentos", "CIDDOCUMENTOORIGEN", "CIDDOCTOORIGEN")
    said_of = misspelt(said_of, "admExistenciaCosto", "CSALIDASPERIODO12", "CSALIDASPERIOD12")
    with pytest.raises(MappingError) as caught:
        check(template("adminpaq"), said_of)
    message = caught.value.message
    assert (
        "sale.original: 'admDocumentos' has no column 'CIDDOCUMENTOORIGEN', did you mean 'CIDDOCTOORIGEN'?" in message
    )
    assert (
        "stock.quantity: 'admExistenciaCosto' has no column 'CSALIDASPERIODO12', did you mean 'CSALIDASPERIO" in message
    )


def test_several_stores_must_be_told_apart() -> None:
    with pytest.raises(MappingError, match=r"stock\.store: the system has 2 stores.*sale\.store: the system has 2"):
        check(template("adminpaq"), TABLES, stores=2)
    own = (
        "stock: {where: {CTIPOEXISTENCIA: 1, CIDEJERCICIO: 5}, store: {column: CIDALMACEN, map: {1: 1, 2: 2}}}\n"
        "sale: {store: {column: CIDCONCEPTODOCUMENTO, map: {3001: 1, 3002: 2}}}\n"
    )
    check(template("adminpaq", own), TABLES, stores=2)
    on = system(shop("adminpaq", own).mapping, stores=STORES)
    rows = (
        row(DOCUMENTS, INVOICE, CIDCONCEPTODOCUMENTO="3001"),
        row(LEVELS, {**LEVEL, **months("ENTRADAS"), **months("SALIDAS")}),
    )
    found = made(on, *rows)
    assert (found.sales[0].store_id, found.stock[0].store_id) == (STORE_1, STORE_1)
