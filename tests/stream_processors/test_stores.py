"""Which store a row belongs to."""

import json

from fluxion.registry import Store
from tests.stream_processors.sets import (
    FIRST,
    SALE,
    STOCK,
    STORE_1,
    TRANSACTIONS,
    cells,
    change_set,
    read,
    system,
    template,
    without,
)


def test_an_unknown_store_is_set_aside_and_its_neighbours_go_on() -> None:
    strange = cells(TRANSACTIONS, SALE, trans_id="9", location_id="77")
    made = read(
        change_set((TRANSACTIONS, "c", 0, strange), (TRANSACTIONS, "c", 1, SALE), (STOCK, "u", 2, ["5", "77", "1"]))
    )
    assert [sale.store_id for sale in made.sales] == [STORE_1]
    first, second = made.quarantined
    assert (first.code, first.error_class, first.external_id) == ("UNKNOWN_STORE", "BUSINESS_RULE_ERROR", "9")
    assert "'77'" in first.message
    assert "fluxion store add" in first.message
    assert (first.topic, first.partition, first.offset, first.version) == ("pos.changes.v1", 4, 17, FIRST)
    assert json.loads(first.raw)["total_amount"] == "116.00"
    assert (second.external_table, second.external_id) == ("stock", "5/77")


def test_one_store_takes_every_row_without_a_column() -> None:
    bare = without(TRANSACTIONS, "location_id")
    alone = (Store(STORE_1, None, "Chacao", "America/Caracas", "00:00:00"),)
    assert read(change_set((bare, "c", 0, SALE[:-1])), system(stores=alone)).sales[0].store_id == STORE_1
    assert read(change_set((TRANSACTIONS, "c", 0, SALE)), system(stores=alone)).sales[0].store_id == STORE_1
    (refused,) = read(change_set((bare, "c", 0, SALE[:-1]))).quarantined
    assert (refused.code, "names no store" in refused.message) == ("UNKNOWN_STORE", True)


def test_a_store_that_cannot_be_read_sets_its_row_aside_alone() -> None:
    on = system(template(sale__store={"columns": ["trans_no"], "call": "return_if_negative"}))
    made = read(change_set((TRANSACTIONS, "c", 0, SALE), (STOCK, "u", 0, ["5", "1", "1"])), on)
    assert (made.sales, len(made.stock)) == ([], 1)
    assert ["the store cannot be read ('A-1' is not a number)" in entry.message for entry in made.quarantined] == [True]
