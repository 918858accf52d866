"""Categories, suppliers, products, and movements of stock."""

from typing import Any

import pytest

from schemas.identity import entity_id
from tests.stream_processors.own_pos import ARTICLES, BRANCHES, MOVES, SUPPLIERS, TEXT, made, mapping
from tests.stream_processors.sets import STORE_2, STORES, SYSTEM, cells, change_set, layout, read, system

ARTICLE = ["5", "000001", "Harina P.A.N.", "7", "3", "120.00"]
MOVE = ["11", "2", "5", "E", "12.500", "GR-77", "2026-11-17T08:00:00"]


def test_a_product_knows_its_supplier_and_a_category_its_parent() -> None:
    found = made(
        change_set(
            (BRANCHES, "c", 0, ["1", "Víveres", None]),
            (BRANCHES, "c", 0, ["7", "Harinas", "1"]),
            (SUPPLIERS, "c", 0, ["3", "Polar", "J-00041312-6"]),
            (ARTICLES, "c", 0, ARTICLE),
        )
    )
    top, below = found.categories
    (supplier,), (product,) = found.suppliers, found.products
    assert (top.parent_ref, below.parent_ref, below.name) == (None, top.id, "Harinas")
    assert (supplier.name, supplier.tax_id, supplier.fields) == ("Polar", "J-00041312-6", ["name", "tax_id"])
    assert (product.category_ref, product.supplier_ref) == (below.id, supplier.id)
    assert supplier.id == entity_id(SYSTEM, "supplier", "proveedores", ["3"])


def test_a_movement_is_signed_by_its_kind() -> None:
    rows = [cells(MOVES, MOVE, id=str(number), tipo=kind) for number, kind in enumerate(["E", "S", "V "])]
    found = made(change_set(*[(MOVES, "c", 0, row) for row in rows])).movements
    assert [(one.kind, one.quantity) for one in found] == [("E", "12.500"), ("S", "-12.500"), ("V", "-12.500")]
    (first, *_) = found
    assert (first.store_id, first.product_ref) == (STORE_2, entity_id(SYSTEM, "product", "articulos", ["5"]))
    assert (first.reference, first.occurred_at) == ("GR-77", "2026-11-17T08:00:00-04:00")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tipo": "X"}, "nothing says whether it comes in or goes out"),
        ({"articulo": None}, "the movement names no product"),
        ({"cantidad": None}, "movement.quantity is null"),
        ({"fecha": None}, "movement.occurred_at is null"),
        ({"tienda": "9"}, "names the store '9'"),
    ],
)
def test_a_movement_that_says_too_little_is_set_aside(changed: dict[str, str | None], said: str) -> None:
    (entry,) = made(change_set((MOVES, "c", 0, cells(MOVES, MOVE, **changed)))).quarantined
    assert said in entry.message


def test_what_came_in_and_went_out_in_two_columns_is_one_quantity() -> None:
    text = TEXT.replace(
        "{columns: [cantidad, {column: tipo, map: {E: 1, S: -1, V: -1}}], call: signed}",
        "{columns: [entra, sale], call: difference}",
    ).replace("product: articulo\n  kind", "sku: articulo\n  kind")
    kind = layout(
        "movimientos", ["id"], id="integer", tienda="text", articulo="text", tipo="text", entra="decimal",
        sale="float", documento="text", fecha="datetime",
    )  # fmt: skip
    rows: list[list[str | None]] = [
        ["1", "2", "A1", "E", "5.000", None, None, "2026-11-17T08:00:00"],
        ["2", "2", "A1", "S", "0.000", "1.25", None, "2026-11-17T08:00:00"],
    ]
    found = read(change_set(*[(kind, "c", 0, row) for row in rows]), system(mapping(text), STORES)).movements
    assert [(one.sku, one.product_ref, one.quantity) for one in found] == [
        ("A1", None, "5.000"),
        ("A1", None, "-1.250"),
    ]


def test_levels_may_be_the_sum_of_the_movements() -> None:
    data = mapping(TEXT.replace("keys: ignore_case", "keys: ignore_case\nstock_origin: movements"))
    assert data["stock_origin"] == "movements"
    assert len(read(change_set((MOVES, "c", 0, MOVE)), system(data)).movements) == 1


@pytest.mark.parametrize("op", ["c", "u", "r"])
def test_a_row_whose_condition_was_not_sent_is_set_aside_and_a_deleted_one_is_deleted(op: Any) -> None:
    data = mapping(TEXT.replace("from: rubros,", "from: rubros, where: {activo: S},"))
    (entry,) = read(change_set((BRANCHES, op, 0, ["1", "Víveres", None])), system(data)).quarantined
    assert (entry.code, "no column 'activo', which category.where needs" in entry.message) == ("COLUMN_MISSING", True)
    (gone,) = read(change_set((BRANCHES, "d", 0, ["1", "Víveres", None])), system(data)).categories
    assert (gone.op, gone.deletion) == ("delete", "delete")


def test_an_entity_that_lacks_a_column_leaves_the_tables_others_alone() -> None:
    text = TEXT.replace(
        "movement:\n", "stock: {from: articulos, key: codigo, product: id, quantity: existencia}\nmovement:\n"
    )
    kind = layout("articulos", ["id"], id="integer", nombre="text")
    found = read(change_set((kind, "u", 0, ["5", "Harina"])), system(mapping(text), STORES[:1]))
    assert [product.fields for product in found.products] == [["name", "tax_rate"]]
    assert [(entry.code, "stock.key needs" in entry.message) for entry in found.quarantined] == [
        ("COLUMN_MISSING", True)
    ]
