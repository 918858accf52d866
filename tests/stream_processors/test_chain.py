"""The chain on hand-made change sets: what each row means."""

from typing import Any

import pytest
from msgspec.structs import replace

from fluxion.errors import DataValidationError, MappingError
from schemas.codec import UnreadableRecordError
from schemas.identity import entity_id
from schemas.records import Type
from stream_processors.drafts import Raw
from stream_processors.steps import map as mapping
from stream_processors.steps.map import Mapping
from tests.stream_processors.sets import (
    CATEGORIES,
    DECODE,
    DETAILS,
    ENCODE,
    FIRST,
    ITEM,
    ITEMS,
    LINE,
    SALE,
    STOCK,
    STORE_1,
    STORE_2,
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


def test_header_and_lines_of_a_transaction_are_one_sale() -> None:
    made = read(
        change_set(
            (TRANSACTIONS, "c", 0, SALE),
            (DETAILS, "c", 0, LINE),
            (DETAILS, "c", 0, cells(DETAILS, LINE, detail_id="12", item_code="000002  ")),
            (STOCK, "u", 0, ["5", "1", "-3.000"]),
        )
    )
    (sale,) = made.sales
    assert sale.id == entity_id(SYSTEM, "sale", "transactions", ["1"])
    assert (sale.store_id, sale.txn_end, sale.closed, sale.expected_lines) == (STORE_1, True, True, None)
    header = sale.header
    assert header is not None
    assert (header.number, header.doc_type, header.status, header.currency) == ("A-1", "invoice", "completed", "VES")
    assert (header.subtotal, header.tax_total, header.total) == ("100.00", "16.00", "116.00")
    assert (header.sold_at, header.sold_at_precision) == ("2026-11-17T10:00:00-04:00", "second")
    assert (header.business_date, header.prices_include_tax) == ("2026-11-17", False)
    assert "register_id" not in header.fields
    assert {"sold_at", "sold_at_precision", "business_date", "currency"} <= set(header.fields)
    assert [line.id for line in sale.lines] == [
        entity_id(SYSTEM, "line", "transaction_details", [key]) for key in ("11", "12")
    ]
    assert [line.sku for line in sale.lines] == ["000001", "000002"]
    assert sale.lines[0].fields == ["sku", "quantity", "unit_price"]
    assert [line.version for line in sale.lines] == [FIRST + 1, FIRST + 2]
    (stock,) = made.stock
    assert (stock.quantity, stock.store_id, stock.external_id) == ("-3.000", STORE_1, "5/1")
    assert stock.product_ref == entity_id(SYSTEM, "product", "items", ["5"])
    assert (made.mapping_revision, made.source_offset, made.quarantined) == (3, 17, [])


def test_a_product_with_its_category() -> None:
    made = read(change_set((CATEGORIES, "c", 0, ["7", "Víveres"]), (ITEMS, "c", 0, ITEM)))
    (category,), (product,) = made.categories, made.products
    assert (category.name, category.op) == ("Víveres", "upsert")
    assert product.category_ref == category.id
    assert (product.sku, product.name, product.is_active) == ("000001", "Harina P.A.N.", True)
    assert product.last_sale_at == "2026-11-17T10:00:00-04:00"
    assert product.warnings == []


def test_a_sale_of_two_transactions_appears_for_each() -> None:
    made = read(
        change_set(
            (TRANSACTIONS, "c", 0, SALE),
            (DETAILS, "c", 1, LINE),
            (DETAILS, "c", 1, cells(DETAILS, LINE, detail_id="21", trans_id="2")),
            (TRANSACTIONS, "u", 2, SALE),
        )
    )
    one, two = (entity_id(SYSTEM, "sale", "transactions", [key]) for key in "12")
    assert [(sale.id, sale.header is not None, len(sale.lines)) for sale in made.sales] == [
        (one, True, 0),
        (one, False, 1),
        (two, False, 1),
        (one, True, 0),
    ]
    assert [sale.store_id for sale in made.sales] == [STORE_1, None, None, STORE_1]
    assert all(sale.txn_end for sale in made.sales)


def test_of_a_split_transaction_only_the_last_part_ends_it() -> None:
    def ends(**part: Any) -> list[bool]:
        rest = cells(DETAILS, LINE, trans_id="2")
        return [
            sale.txn_end
            for sale in read(change_set((TRANSACTIONS, "c", 0, SALE), (DETAILS, "c", 1, rest), **part)).sales
        ]

    assert ends(last_part=False) == [True, False]
    assert ends(part=1) == [True, True]


def test_a_snapshot_ends_no_transaction() -> None:
    made = read(change_set((TRANSACTIONS, "r", 0, SALE), (DETAILS, "r", 0, LINE), (ITEMS, "r", 0, ITEM)))
    (sale,), (product,) = made.sales, made.products
    assert sale.header is not None
    assert (sale.txn_end, sale.header.snapshot, sale.lines[0].snapshot, product.snapshot) == (False, True, True, True)


def test_status_by_map_and_a_sale_that_is_not_closed_yet() -> None:
    kind = layout(
        "transactions", ["trans_id"], **{c.name: c.type for c in TRANSACTIONS.columns}, status="text", lines="integer"
    )
    on = system(template(sale__closed_when={"status": ["C", "V"]}, sale__line_count="lines"))
    rows = [
        [*cells(TRANSACTIONS, SALE, trans_id=str(i)), status, "2"] for i, status in enumerate(["C ", "V", "P", None])
    ]
    made = read(change_set(*[(kind, "u", 0, row) for row in rows]), on)
    found = [(sale.header and sale.header.status, sale.closed, sale.expected_lines) for sale in made.sales]
    assert found == [("completed", True, 2), ("voided", True, 2), ("completed", False, 2), ("completed", False, 2)]


def test_an_unknown_table_and_a_missing_column_are_set_aside() -> None:
    strange = layout("customers", ["id"], id="integer", name="text")
    keyless = layout("stock", [], location_id="integer", qty_on_hand="decimal")
    made = read(change_set((strange, "c", 0, ["1", "Ana"]), (keyless, "c", 0, ["1", "3"]), (ITEMS, "c", 0, ITEM)))
    assert [(row.code, row.error_class) for row in made.quarantined] == [
        ("UNKNOWN_TABLE", "MAPPING_ERROR"),
        ("COLUMN_MISSING", "MAPPING_ERROR"),
    ]
    assert len(made.products) == 1


def test_a_column_that_was_not_sent_is_no_field() -> None:
    (product,) = read(
        change_set((layout("items", ["item_id"], item_id="integer", sale_price="decimal"), "u", 0, ["5", "9"]))
    ).products
    assert product.fields == ["selling_price"]


def test_one_table_feeds_two_entities_and_one_of_them_may_fail() -> None:
    data = template(stock__key=["item_id"])
    data["stock"][0] = {
        "from": "items",
        "key": ["item_id"],
        "product": ["item_id"],
        "quantity": {"column": "cost_price"},
    }
    alone = system(data, stores=STORES[:1])
    made = read(
        change_set((ITEMS, "c", 0, ITEM), (ITEMS, "c", 0, cells(ITEMS, ITEM, item_id="6", cost_price=None))), alone
    )
    assert (len(made.products), len(made.stock)) == (2, 1)
    assert [(row.code, row.external_id) for row in made.quarantined] == [("REQUIRED_MISSING", "6")]


def test_keys_with_slashes_and_padding() -> None:
    text = layout("stock", ["item_id", "location_id"], item_id="text", location_id="text", qty_on_hand="decimal")
    (stock,) = read(change_set((text, "c", 0, ["a/b  ", "2 ", "1"]))).stock
    assert (stock.external_id, stock.store_id) == ("a//b/2", STORE_2)
    assert stock.id == entity_id(SYSTEM, "stock", "stock", ["a/b", "2"])


def test_ignoring_case_a_reference_meets_its_key() -> None:
    text = layout("items", ["item_id"], **{c.name: c.type for c in ITEMS.columns} | {"item_id": "text"})
    level = layout("stock", ["item_id", "location_id"], item_id="text", location_id="integer", qty_on_hand="decimal")
    rows = change_set((text, "c", 0, cells(text, ITEM, item_id="Abc")), (level, "c", 0, ["aBC", "1", "1"]))
    made = read(rows, system(template(keys="ignore_case")))
    assert made.stock[0].product_ref == made.products[0].id
    made = read(rows)
    assert made.stock[0].product_ref != made.products[0].id


def test_what_does_not_fit_together_is_poison() -> None:
    whole = change_set((STOCK, "c", 0, ["5", "1", "3"]))
    (row,) = whole.rows
    for bad, said in (
        (replace(row, values=["5", "1"]), "does not fit its layout"),
        (replace(row, layout=1), "does not fit its layout"),
        (replace(row, layout=-1), "does not fit its layout"),
        (replace(row, version=None), "has no version"),
    ):
        with pytest.raises(UnreadableRecordError, match=said):
            DECODE(Raw("t", 0, 0, ENCODE(replace(whole, rows=[bad]))))
    with pytest.raises(DataValidationError, match="the record's key says"):
        read(change_set(system_id=STORE_1))


def test_layouts_that_keep_changing_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "MAX_LAYOUTS", 3)
    on = Mapping(system())
    for number in range(10):
        extra: dict[str, Type] = {f"extra_{number}": "text"}
        changing = layout("categories", ["category_id"], category_id="integer", **extra)
        raw = Raw("t", 0, 0, ENCODE(change_set((changing, "c", 0, ["7", "x"]))))
        assert [draft.external_id for draft in on.apply(DECODE(raw)).drafts] == ["7"]
        assert len(on._plans) <= 3


def test_an_unsound_mapping_is_refused_whole() -> None:
    with pytest.raises(MappingError):
        Mapping(system({"template": "x"}))
    data = template()
    del data["stock"][0]["store"]
    with pytest.raises(MappingError, match=r"stock\.store"):
        Mapping(system(data))
