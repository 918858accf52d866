"""Deleted lines, tenders and taxes of which the source knows no more than their own key."""

from typing import Any

import pytest

from schemas.identity import Entity, entity_id
from schemas.records import UNKNOWN_SALE, Change, Column, Layout
from tests.stream_processors.sets import (
    DETAILS,
    LINE,
    SALE,
    SYSTEM,
    TRANSACTIONS,
    cells,
    change_set,
    layout,
    read,
    system,
    template,
)

KEY_ALONE = layout("transaction_details", ["detail_id"], detail_id="integer")
TENDERS = layout("tenders", ["tender_id"], tender_id="integer", trans_id="integer", amount="decimal")
TAXES = layout("tax_rows", ["tax_id"], tax_id="integer", trans_id="integer", base="decimal")


def _line(number: str) -> str:
    return entity_id(SYSTEM, "line", "transaction_details", [number])


def test_a_deleted_line_that_brings_its_own_key_alone_is_passed_on_without_a_sale() -> None:
    made = read(change_set((KEY_ALONE, "d", 0, ["11"]), (KEY_ALONE, "d", 0, ["12"]), (KEY_ALONE, "d", 1, ["13"])))
    assert made.quarantined == []
    assert [(sale.id, sale.header, sale.store_id, sale.txn_end) for sale in made.sales] == [
        (UNKNOWN_SALE, None, None, True)
    ] * 2
    assert [[(line.id, line.external_id, line.op, line.deletion, line.fields) for line in sale.lines] for sale in made.sales] == [
        [(_line("11"), "11", "delete", "purge", []), (_line("12"), "12", "delete", "purge", [])],
        [(_line("13"), "13", "delete", "purge", [])],
    ]  # fmt: skip


def test_a_deleted_line_whose_sale_is_null_is_passed_on_without_one() -> None:
    made = read(change_set((DETAILS, "d", 0, ["11", None, None, None, None])))
    assert (made.quarantined, [(sale.id, len(sale.lines)) for sale in made.sales]) == ([], [(UNKNOWN_SALE, 1)])


def test_a_line_that_leaves_its_condition_without_a_sale_is_passed_on_too() -> None:
    on = system(template(sale__lines__where={"item_code": "X"}))
    made = read(change_set((DETAILS, "u", 0, cells(DETAILS, LINE, trans_id=None))), on)
    assert (made.quarantined, [(sale.id, sale.lines[0].op) for sale in made.sales]) == ([], [(UNKNOWN_SALE, "delete")])


def test_deletes_without_a_sale_stand_apart_from_the_sales_of_their_transaction() -> None:
    made = read(
        change_set((TRANSACTIONS, "u", 0, SALE), (KEY_ALONE, "d", 0, ["11"]), (DETAILS, "d", 0, ["12", *LINE[1:]]))
    )
    (known, unknown) = made.sales
    assert (known.id, [line.id for line in known.lines]) == (
        entity_id(SYSTEM, "sale", "transactions", ["1"]),
        [_line("12")],
    )
    assert (unknown.id, [line.id for line in unknown.lines]) == (UNKNOWN_SALE, [_line("11")])


@pytest.mark.parametrize(("op", "values"), [("c", ["11", None]), ("u", ["11", None]), ("r", ["11", None])])
def test_a_line_that_is_there_still_has_to_say_its_sale(op: Any, values: list[str | None]) -> None:
    made = read(change_set((DETAILS, op, 0, [*values, *LINE[2:]])))
    assert (made.sales, [entry.code for entry in made.quarantined]) == ([], ["KEY_MISSING"])


def test_a_key_that_names_its_sale_has_to_be_there_whole() -> None:
    on = system(template(sale__lines__key=["trans_id", "item_code"]))
    known = layout("transaction_details", ["detail_id"], trans_id="integer", item_code="text")
    made = read(change_set((known, "d", 0, ["1", "000001"]), (KEY_ALONE, "d", 0, ["11"])), on)
    assert [(sale.id, sale.lines[0].external_id) for sale in made.sales] == [
        (entity_id(SYSTEM, "sale", "transactions", ["1"]), "1/000001")
    ]
    assert [entry.code for entry in made.quarantined] == ["COLUMN_MISSING"]


@pytest.mark.parametrize(("entity", "kind"), [("payment", TENDERS), ("tax", TAXES)])
def test_tenders_and_taxes_in_tables_of_their_own_are_deleted_alike(entity: Entity, kind: Any) -> None:
    data = template()
    data["sale"][0] |= {
        "payments": {"from": "tenders", "key": ["tender_id"], "sale": ["trans_id"], "amount": "amount"},
        "taxes": {"from": "tax_rows", "key": ["tax_id"], "sale": ["trans_id"], "base": "base"},
    }
    key = kind.key[0]
    alone = Layout(kind.table, kind.key, [Column(key, "integer")])
    made = read(change_set((kind, "c", 0, ["7", "1", "10"]), (alone, "d", 1, ["7"])), system(data))
    here, gone = made.sales
    changes: list[list[Change]] = [[*sale.lines, *sale.payments, *sale.taxes] for sale in (here, gone)]
    assert [[(change.op, change.id) for change in found] for found in changes] == [
        [("upsert", entity_id(SYSTEM, entity, kind.table, ["7"]))],
        [("delete", entity_id(SYSTEM, entity, kind.table, ["7"]))],
    ]
    assert (made.quarantined, gone.id) == ([], UNKNOWN_SALE)
