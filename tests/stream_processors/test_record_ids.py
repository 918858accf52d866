"""A row at fault says which record it would have been, so that the same row, mended, settles it."""

import pytest

from schemas.identity import Entity, entity_id
from schemas.records import Quarantined
from tests.stream_processors import sets

PRODUCT = entity_id(sets.SYSTEM, "product", "items", ["5"])


def of_item(**changed: str | None) -> Quarantined:
    """What a faulty item leaves; its table feeds categories too."""
    data = sets.template()
    data["category"] = [{"from": "items", "key": ["category_id"], "name": "item_name"}]
    (entry,) = sets.read(
        sets.change_set((sets.ITEMS, "c", 0, sets.cells(sets.ITEMS, sets.ITEM, **changed))), sets.system(data)
    ).quarantined
    return entry


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"item_code": None}, PRODUCT),
        ({"active": "perhaps"}, PRODUCT),
        ({"item_name": "x" * 10_001}, PRODUCT),
        ({"category_id": None, "item_code": None}, PRODUCT),
        ({"item_id": None}, None),
    ],
)
def test_a_row_names_the_record_that_is_its_own_not_one_that_it_shares(
    changed: dict[str, str | None], expected: str | None
) -> None:
    assert of_item(**changed).record_id == expected


@pytest.mark.parametrize(
    ("changed", "entity", "key"),
    [
        ({"location_id": "9"}, "sale", ["1"]),
        ({"trans_date": "soon"}, "sale", ["1"]),
        ({"total_amount": "1e30"}, "sale", ["1"]),
    ],
)
def test_a_header_at_fault_names_its_sale(changed: dict[str, str | None], entity: Entity, key: list[str]) -> None:
    row = sets.cells(sets.TRANSACTIONS, sets.SALE, **changed)
    (entry,) = sets.read(sets.change_set((sets.TRANSACTIONS, "c", 0, row))).quarantined
    assert entry.record_id == entity_id(sets.SYSTEM, entity, "transactions", key)


def test_a_line_at_fault_names_itself_and_a_row_of_an_unknown_table_nothing() -> None:
    line = sets.cells(sets.DETAILS, sets.LINE, qty=None)
    stray = sets.layout("audit", ["id"], id="integer")
    read = sets.read(sets.change_set((sets.DETAILS, "c", 0, line), (stray, "c", 0, ["1"])))
    found = {entry.external_table: entry.record_id for entry in read.quarantined}
    assert found == {
        "transaction_details": entity_id(sets.SYSTEM, "line", "transaction_details", ["11"]),
        "audit": None,
    }
