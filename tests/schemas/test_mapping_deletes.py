"""A key that is no primary key, where the source tells of a deleted row its primary key alone."""

import json
from typing import Any

import pytest

from fluxion.errors import MappingError
from schemas.mapping import Template, check, load, resolve, restore
from schemas.source_tables import Table

TABLES = {
    "categorias": Table(("id", "nombre"), ("id",)),
    "productos": Table(
        ("codigo", "nombre", "precio_venta", "existencia", "fecha_ultima_venta", "categoria_id", "activo"), ("codigo",)
    ),
    "ventas": Table(("id", "numero_factura", "fecha_venta", "subtotal", "iva", "total", "forma_pago"), ("id",)),
    "detalle_ventas": Table(("id", "venta_id", "codigo_producto", "cantidad", "precio_unitario"), ("id",)),
}


def stellar(**keys: Any) -> Template:
    """The Stellar template with other keys of its blocks: `lines=["venta_id"]`."""
    data = json.loads(json.dumps(resolve(load("stellar"))))
    for name, key in keys.items():
        block = data["sale"][0]["lines"] if name == "lines" else data[name][0]
        block["key"] = key
    return restore(data)


def refusal(template: Template, tables: dict[str, Table]) -> str:
    with pytest.raises(MappingError) as caught:
        check(template, tables, deleted="key")
    return str(caught.value)


def test_a_line_whose_key_is_not_told_when_it_is_deleted_is_refused_with_its_mend() -> None:
    said = refusal(stellar(lines=["venta_id", "codigo_producto"]), TABLES)
    assert said.startswith("sale.lines.key: venta_id, codigo_producto are no columns of the primary key of 'detalle")
    assert "(id), which is all that this source tells of a deleted row" in said
    assert "deletes would wait in quarantine: say `key: {primary: true}`" in said


def test_one_column_beside_the_primary_key_is_enough() -> None:
    said = refusal(stellar(lines=["id", "venta_id"]), TABLES)
    assert "sale.lines.key: venta_id is no column of the primary key" in said


def test_a_stock_of_the_products_own_table_is_refused_by_its_own_name() -> None:
    said = refusal(stellar(stock=["nombre"]), TABLES)
    assert "stock.key: nombre is no column" in said
    assert "product.key" not in said


def test_what_others_refer_to_by_that_key_is_a_warning() -> None:
    tables = TABLES | {"ventas": Table((*TABLES["ventas"].columns, "guid"), ("guid",))}
    (lost,) = check(stellar(), tables, deleted="key")
    assert "sale.key: id is no column of the primary key of 'ventas' (guid)" in lost.message
    assert lost.mend == "say `key: {primary: true}` if what refers to sale can hold that key"


@pytest.mark.parametrize("key", [["id"], {"primary": True}])
def test_a_key_of_the_primary_keys_columns_has_nothing_to_be_said(key: Any) -> None:
    assert check(stellar(lines=key), TABLES, deleted="key") == []


def test_a_part_of_a_longer_primary_key_is_told_too() -> None:
    tables = TABLES | {"detalle_ventas": Table(TABLES["detalle_ventas"].columns, ("venta_id", "id"))}
    assert check(stellar(lines=["id"]), tables, deleted="key") == []


def test_a_source_that_tells_the_whole_row_takes_any_key() -> None:
    assert check(stellar(lines=["venta_id", "codigo_producto"]), TABLES) == []


def test_a_column_that_is_not_there_and_a_table_without_a_key_are_said_once_and_as_that() -> None:
    assert refusal(stellar(lines=["renglon"]), TABLES).count("renglon") == 1
    assert check(stellar(), TABLES | {"ventas": Table(TABLES["ventas"].columns, ())}, deleted="key") == []
