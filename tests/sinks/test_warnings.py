"""Warnings stand beside the amounts that they are about, in every table with amounts."""

from typing import Any

import pytest
from msgspec.structs import replace

from schemas.records import Change
from tests.sinks.desk import Desk

TABLES = {
    "product": "products",
    "stock": "stock_levels",
    "movement": "stock_movements",
    "line": "sale_items",
    "payment": "sale_payments",
    "tax": "sale_taxes",
}


def write(desk: Desk, entity: str, **warned: Any) -> None:
    """Write one row of the entity, the only one of this shop."""
    mine = desk.shop
    made: dict[str, Change] = {
        "product": mine.product(1),
        "stock": mine.stock(1, "1"),
        "movement": mine.movement(1, "1"),
        "line": mine.line(1, 1),
        "payment": mine.payment(1, 1),
        "tax": mine.tax(1, 1),
    }
    row = replace(made[entity], version=mine.version(), **warned)
    match entity:
        case "product":
            desk.write(mine.record(products=[row]))
        case "stock":
            desk.write(mine.record(stock=[row]))
        case "movement":
            desk.write(mine.record(movements=[row]))
        case _:
            parts: dict[str, Any] = {{"line": "lines", "payment": "payments", "tax": "taxes"}[entity]: [row]}
            desk.sales(mine.of_sale(1, **parts))


def kept(desk: Desk, entity: str) -> list[list[str]]:
    return [row[0] for row in desk.rows(f"select warnings from fluxion.{TABLES[entity]} where tenant_id = :tenant")]


@pytest.mark.parametrize("entity", TABLES)
def test_the_text_of_a_rounded_number_stands_beside_its_amount_until_the_row_is_mended(desk: Desk, entity: str) -> None:
    said = ["PRECISION_REDUCED:quantity=0.123456", 'ODD:"{\\}"']
    write(desk, entity, warnings=said)
    assert kept(desk, entity) == [said]
    write(desk, entity, op="delete", fields=[])
    assert kept(desk, entity) == [said]
    write(desk, entity)
    assert kept(desk, entity) == [[]]
