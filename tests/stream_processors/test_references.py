"""References that hold for some rows only, that mean nothing, or that fall back; calls within calls; lines by product key."""

import pytest

from fluxion.registry import System
from schemas.records import Layout
from tests.stream_processors.mssql import Given, gone, ident, made, row, sale, table
from tests.stream_processors.own_pos import mapping
from tests.stream_processors.sets import STORES, SYSTEM, change_set, read, system

TEXT = """
template: propio
version: 1
title: Sistema propio
databases: [sqlserver]
category:
  - {from: familias, key: codigo, name: nombre}
  - {from: grupos, key: [codigo, familia], name: nombre, parent: {table: familias, key: familia}}
product:
  from: articulos
  key: id
  sku: codigo
  name: nombre
  category: {table: grupos, key: [grupo, familia], none: [0, "00"], otherwise: {table: familias, key: familia, none: 0}}
  cost_price: {columns: [{columns: [costo, flete], call: added}, {columns: [baja, alta], call: largest}], call: difference}
stock: {from: existencias, key: [articulo, deposito], product: articulo, quantity: cantidad}
sale:
  from: documentos
  key: numero
  number: {columns: [{value: "-"}, serie, {columns: [alterno, numero], call: first}], call: joined}
  sold_at: fecha
  total: total
  original: {key: afectado, where: {tipo: [N, D]}, none: 0}
  original_number: {columns: [afectado, {column: tipo, map: {N: 1}}], call: only_if}
  lines: {from: renglones, key: {primary: true}, sale: documento, product: articulo, quantity: cantidad}
"""
FAMILIES = table("familias", "codigo", text="codigo nombre")
GROUPS = table("grupos", "codigo familia", text="codigo familia nombre")
ARTICLES = table(
    "articulos", "id", uuid="id", text="codigo nombre grupo familia", decimal="costo flete", float="baja alta"
)
LEVELS = table("existencias", "articulo deposito", uuid="articulo", text="deposito", decimal="cantidad")
DOCUMENTS = table("documentos", "numero", float="numero afectado total", text="serie alterno tipo", instant="fecha")
LINES = table("renglones", "id", uuid="id articulo", integer="documento", decimal="cantidad")
ON: System = system(mapping(TEXT), stores=STORES[:1])

ARTICLE = {
    "id": "6f9619ff-8b86-d011-b42d-00c04fc964ff",
    "codigo": "A1",
    "nombre": "Piña",
    "grupo": "02",
    "familia": "01",
}
DOCUMENT = {"numero": "123.0", "tipo": "F", "afectado": "0.0", "total": "1.1", "fecha": "2026-11-17T14:30:15.1234Z"}


@pytest.mark.parametrize(
    ("group", "family", "found"),
    [
        ("02", "01", (GROUPS, "02", "01")),
        ("0", "01", (FAMILIES, "01")),
        ("00 ", "01", (FAMILIES, "01")),
        (None, "01", (FAMILIES, "01")),
        ("02", "0", None),
        ("", "", None),
    ],
)
def test_a_reference_that_means_nothing_falls_back_to_the_other(
    group: str | None, family: str, found: tuple[Layout, str] | None
) -> None:
    (product,) = made(ON, row(ARTICLES, ARTICLE, grupo=group, familia=family)).products
    assert product.category_ref == (found and ident("category", *found))


def test_a_reference_of_which_a_column_was_not_sent_is_not_sent_either() -> None:
    kept = [column for column in ARTICLES.columns if column.name != "familia"]
    bare = Layout(ARTICLES.table, ARTICLES.key, kept)
    less = {name: value for name, value in ARTICLE.items() if name != "familia"}
    (product,) = made(ON, row(bare, less, "u")).products
    assert "category_ref" not in product.fields


def test_only_some_rows_refer_to_another_document() -> None:
    def original(**changed: str) -> tuple[str | None, str | None]:
        found = sale(ON, row(DOCUMENTS, {**DOCUMENT, **changed})).header
        assert found is not None
        return found.original_sale_ref, found.original_number

    invoice = ident("sale", DOCUMENTS, "100")
    assert original(tipo="F", afectado="100.0") == (None, None)
    assert original(tipo="N", afectado="100.0") == (invoice, "100")
    assert original(tipo="D ", afectado="100.0") == (invoice, None)
    assert original(tipo="N", afectado="0.0") == (None, "0")


def test_a_condition_that_was_not_sent_leaves_the_reference_unsaid() -> None:
    kept = [column for column in DOCUMENTS.columns if column.name != "tipo"]
    less = {name: value for name, value in DOCUMENT.items() if name != "tipo"}
    found = sale(ON, row(Layout(DOCUMENTS.table, DOCUMENTS.key, kept), less, "u")).header
    assert found is not None
    assert ("original_sale_ref" in found.fields, "original_number" in found.fields) == (False, False)


def test_a_number_in_a_float_column_is_the_integer_of_another_table() -> None:
    found = sale(
        ON,
        row(DOCUMENTS, DOCUMENT, serie="A"),
        row(LINES, {"id": ARTICLE["id"], "articulo": ARTICLE["id"], "documento": "123", "cantidad": "2"}),
    )
    assert found.header is not None
    assert (found.id, found.header.external_id, found.header.number) == (
        ident("sale", DOCUMENTS, "123"),
        "123",
        "A-123",
    )
    assert (found.lines[0].product_ref, found.lines[0].sku) == (ident("product", ARTICLES, str(ARTICLE["id"])), None)
    assert [one.id for one in made(ON, gone(DOCUMENTS, "123.0")).sales] == [found.id]


def test_a_call_may_stand_in_a_call() -> None:
    article = row(ARTICLES, ARTICLE, costo="10.10", flete=None, baja="0.1", alta="0.30000000000000004")
    (product,) = made(ON, article).products
    assert product.cost_price == "9.80"
    found = sale(ON, row(DOCUMENTS, DOCUMENT, serie="B", alterno="77")).header
    assert found is not None
    assert found.number == "B-77"


def test_a_time_with_its_offset_is_shown_as_the_stores_clock_showed_it() -> None:
    found = sale(ON, row(DOCUMENTS, DOCUMENT)).header
    assert found is not None
    assert (found.sold_at, found.sold_at_precision) == ("2026-11-17T10:30:15.123400-04:00", "second")


def test_a_line_by_product_key_must_name_it_or_a_sku() -> None:
    with pytest.raises(Exception, match=r"sale\.lines: needs product or sku"):
        mapping(
            TEXT.replace("product: articulo, quantity: cantidad}\n", "quantity: cantidad}\n").replace(
                "stock:", "# stock:"
            )
        )


def test_what_no_float_can_hold_is_refused_and_the_key_of_another_row_is_not() -> None:
    def codes(given: Given) -> list[str]:
        return [entry.code for entry in read(change_set(given), ON).quarantined]

    assert codes(row(DOCUMENTS, DOCUMENT, total="nan")) == ["OUT_OF_RANGE"]
    assert codes(row(DOCUMENTS, DOCUMENT, total="1e+20")) == ["OUT_OF_RANGE"]
    assert codes(row(DOCUMENTS, DOCUMENT, numero=None)) == ["KEY_MISSING"]
    assert codes(row(LEVELS, {"articulo": SYSTEM, "deposito": "1", "cantidad": "1"})) == []
