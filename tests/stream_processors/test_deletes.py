"""Deleted rows, rows outside `where`, and the ends of snapshots."""

from typing import Any

import pytest

from schemas.identity import entity_id
from schemas.records import Deletion, End, Since
from tests.stream_processors.sets import (
    DETAILS,
    FIRST,
    ITEM,
    ITEMS,
    LINE,
    SALE,
    STORES,
    SYSTEM,
    TRANSACTIONS,
    cells,
    change_set,
    layout,
    read,
    system,
    template,
)


def test_a_delete_says_what_is_known() -> None:
    gone = layout("items", ["item_id"], item_id="integer")
    made = read(change_set((gone, "d", 0, ["5"]), (TRANSACTIONS, "d", 0, SALE), (DETAILS, "d", 0, LINE)))
    (product,), (sale,) = made.products, made.sales
    assert (product.op, product.fields, product.id) == ("delete", [], entity_id(SYSTEM, "product", "items", ["5"]))
    assert sale.header is not None
    assert (sale.header.op, sale.header.fields, sale.closed) == ("delete", [], None)
    assert [line.op for line in sale.lines] == ["delete"]
    assert made.quarantined == []


@pytest.mark.parametrize(("op", "expected"), [("c", []), ("r", []), ("u", ["delete"]), ("d", ["delete"])])
def test_a_row_outside_where(op: Any, expected: list[str]) -> None:
    on = system(template(product__where={"active": ["Y", "S"], "category_id": 7}))
    assert [
        product.op for product in read(change_set((ITEMS, op, 0, cells(ITEMS, ITEM, active="N"))), on).products
    ] == expected
    inside = read(change_set((ITEMS, op, 0, ITEM)), on).products
    assert [product.op for product in inside] == ["delete" if op == "d" else "upsert"]
    assert [
        one.op for one in read(change_set((ITEMS, op, 0, cells(ITEMS, ITEM, category_id=None))), on).products
    ] == expected


def test_of_two_blocks_on_one_table_the_one_that_matches_takes_the_row() -> None:
    data = template()
    note = {**data["sale"][0], "doc_type": {"value": "credit_note"}, "where": {"trans_no": ["N"]}}
    data["sale"] = [{**data["sale"][0], "where": {"trans_no": ["F"]}}, note]
    kinds = [
        sale.header and (sale.header.op, sale.header.doc_type)
        for number in ("F", "N", "X")
        for sale in read(
            change_set((TRANSACTIONS, "u", 0, cells(TRANSACTIONS, SALE, trans_no=number))), system(data)
        ).sales
    ]
    assert kinds == [("upsert", "invoice"), ("upsert", "credit_note"), ("delete", None)]


def test_the_end_of_a_snapshot_says_what_a_deleted_row_means() -> None:
    data = template(product__deleted="purge")
    data["stock"][0] = {**data["stock"][0], "from": "items", "key": ["item_id"], "product": ["item_id"], "store": None}
    bound = Since("trans_date", "2026-08-01T00:00:00")
    ends = (End("transactions", FIRST, bound), End("elsewhere", FIRST), End("items", FIRST))
    made = read(change_set(ends=ends), system(data, stores=STORES[:1]))
    assert made.ends == [
        End(
            "transactions",
            FIRST,
            Since("trans_date", "2026-08-01T00:00:00-04:00"),
            [Deletion("sale", "purge"), Deletion("payment", "purge")],
        ),
        End("items", FIRST, None, [Deletion("product", "purge"), Deletion("stock", "delete")]),
    ]


@pytest.mark.parametrize(
    ("value", "instant"),
    [("2026-08-01", "2026-08-01T00:00:00-04:00"), ("2026-08-01T04:00:00Z", "2026-08-01T04:00:00+00:00")],
)
def test_the_bound_of_a_snapshot_is_an_instant(value: str, instant: str) -> None:
    (end,) = read(change_set(ends=(End("transactions", FIRST, Since("trans_date", value)),))).ends
    assert end.since is not None
    assert end.since.value == instant


def test_a_bound_that_is_no_time_ends_nothing_and_says_so() -> None:
    made = read(change_set((ITEMS, "r", 0, ITEM), ends=(End("transactions", FIRST, Since("trans_no", "A-1")),)))
    assert (made.ends, len(made.products)) == ([], 1)
    (entry,) = made.quarantined
    assert (entry.code, entry.external_table, entry.change) == ("MAPPING", "transactions", None)
    assert "bounded by trans_no, which is no time" in entry.message
