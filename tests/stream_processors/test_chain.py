"""The chain on hand-made change sets: what each row means, and what is set aside."""

import json
from typing import Any

import pytest

from fluxion.errors import DataValidationError, MappingError
from fluxion.registry import Store
from schemas.codec import UnreadableRecordError
from schemas.identity import entity_id
from schemas.mapping import load, resolve
from schemas.records import End, Layout, Since
from stream_processors.drafts import Raw
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
)


def template(**parts: Any) -> dict[str, Any]:
    """Systimax with some fields of its blocks replaced: `product__where={…}`."""
    data: dict[str, Any] = json.loads(json.dumps(resolve(load("systimax"))))
    for path, value in parts.items():
        *above, last = path.split("__")
        place: Any = data
        for step in above:
            place = place[step][0] if isinstance(place[step], list) else place[step]
        place[last] = value
    return data


def without(kind: Layout, *columns: str) -> Layout:
    return Layout(kind.table, kind.key, [column for column in kind.columns if column.name not in columns])


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


def test_the_business_day_ends_at_the_cutoff() -> None:
    def day(store: str, time: str) -> str | None:
        row = cells(TRANSACTIONS, SALE, location_id=store, trans_date=f"2026-11-01T{time}")
        header = read(change_set((TRANSACTIONS, "c", 0, row))).sales[0].header
        return header.business_date if header else None

    assert (day("1", "03:59:59"), day("2", "03:59:59"), day("2", "04:00:00")) == (
        "2026-11-01",
        "2026-10-31",
        "2026-11-01",
    )


@pytest.mark.parametrize(
    ("kind", "value", "sold_at", "precision"),
    [
        ("datetime", "2026-11-17T23:30:00.5", "2026-11-17T23:30:00.500000-04:00", "second"),
        ("instant", "2026-11-18T03:30:00Z", "2026-11-17T23:30:00-04:00", "second"),
        ("date", "2026-11-17", "2026-11-17T00:00:00-04:00", "date"),
        ("text", "2026-11-17 23:30", "2026-11-17T23:30:00-04:00", "minute"),
        ("datetime", "2015-03-01T12:00:00", "2015-03-01T12:00:00-04:30", "second"),
    ],
)
def test_times_are_the_stores(kind: Any, value: str, sold_at: str, precision: str) -> None:
    other = layout(
        "transactions", ["trans_id"], **{c.name: c.type for c in TRANSACTIONS.columns} | {"trans_date": kind}
    )
    header = read(change_set((other, "c", 0, cells(other, SALE, trans_date=value)))).sales[0].header
    assert header is not None
    assert (header.sold_at, header.sold_at_precision) == (sold_at, precision)
    assert header.business_date == sold_at[:10]


def test_money_in_text_is_read_by_locale_and_ambiguous_text_refused() -> None:
    text = layout("items", ["item_id"], **{c.name: c.type for c in ITEMS.columns} | {"sale_price": "text"})
    prices = ["Bs. 1.234,56", "1,234", "1.234", "12,5"]
    made = read(
        change_set(*[(text, "c", 0, cells(text, ITEM, item_id=str(i), sale_price=p)) for i, p in enumerate(prices)])
    )
    assert [product.selling_price for product in made.products] == ["1234.56", "12.5"]
    assert [row.external_id for row in made.quarantined] == ["1", "2"]
    assert made.quarantined[0].error_class == "DATA_VALIDATION_ERROR"
    assert "product.selling_price: '1,234' is ambiguous" in made.quarantined[0].message
    said = system(template(product__selling_price={"column": "sale_price", "format": "1.234,56"}))
    made = read(change_set((text, "c", 0, cells(text, ITEM, sale_price="1.234"))), said)
    assert made.products[0].selling_price == "1234"


def test_every_bad_field_of_a_row_is_named_in_one_entry() -> None:
    text = layout("items", ["item_id"], **{c.name: c.type for c in ITEMS.columns} | {"sale_price": "text"})
    made = read(change_set((text, "c", 0, cells(text, ITEM, sale_price="gratis", active="quizás"))))
    (row,) = made.quarantined
    assert "product.selling_price: 'gratis' is not a number" in row.message
    assert "product.is_active: 'quizás' is neither yes nor no" in row.message


@pytest.mark.parametrize(
    ("value", "kept", "warned"),
    [
        ("1.00005", "1.0000", True),
        ("1.00015", "1.0002", True),
        ("1.000000", "1.0000", False),
        ("-99999999999999.9999", "-99999999999999.9999", False),
        ("99999999999999.99999", None, False),
        ("100000000000000", None, False),
        ("NaN", None, False),
        ("Infinity", None, False),
        ("1e5", "100000.0000", False),
        ("1e999999", None, False),
        ("abc", None, False),
    ],
)
def test_numbers_fit_postgresql(value: str, kept: str | None, warned: bool) -> None:  # noqa: FBT001
    made = read(change_set((DETAILS, "c", 0, cells(DETAILS, LINE, qty=value)), (DETAILS, "c", 0, LINE)))
    quantities = [line.quantity for sale in made.sales for line in sale.lines]
    assert quantities == ([kept] if kept is not None else []) + ["2.500"]
    assert [row.error_class for row in made.quarantined] == ([] if kept is not None else ["DATA_VALIDATION_ERROR"])
    assert made.sales[0].lines[0].warnings == (["PRECISION_REDUCED"] if warned else [])


@pytest.mark.parametrize(
    "changed",
    [
        {"item_name": "a\0b"},
        {"item_code": None},
        {"item_code": "   "},
        {"item_code": "x" * 501},
        {"item_name": "x" * 10_001},
        {"item_id": None},
        {"last_sale_date": "0001-01-01T00:00:00"},
        {"last_sale_date": "2026-02-30T00:00:00"},
    ],
)
def test_a_bad_row_is_set_aside_alone(changed: dict[str, str | None]) -> None:
    made = read(
        change_set((ITEMS, "c", 0, cells(ITEMS, ITEM, **changed)), (ITEMS, "c", 0, cells(ITEMS, ITEM, item_id="6")))
    )
    assert [product.external_id for product in made.products] == ["6"]
    assert [row.error_class for row in made.quarantined] == ["DATA_VALIDATION_ERROR"]
    assert "; " in made.quarantined[0].message


@pytest.mark.parametrize(
    ("op", "rate", "kept"), [("c", "0", "0"), ("c", None, "16"), ("u", "0.00", "0.00"), ("u", None, "16")]
)
def test_an_explicit_zero_is_exempt_and_a_missing_rate_is_16(op: Any, rate: str | None, kept: str) -> None:
    (product,) = read(change_set((ITEMS, op, 0, cells(ITEMS, ITEM, tax_rate=rate)))).products
    assert (product.tax_rate, "tax_rate" in product.fields) == (kept, True)


def test_a_rate_that_was_not_sent() -> None:
    bare = without(ITEMS, "tax_rate")
    row = ITEM[:5] + ITEM[6:]
    made = read(change_set((bare, "c", 0, row), (bare, "u", 1, row)))
    assert [(one.tax_rate, "tax_rate" in one.fields) for one in made.products] == [("16", True), (None, False)]
    unmapped = template()
    del unmapped["product"][0]["tax_rate"]
    made = read(change_set((bare, "u", 0, row)), system(unmapped))
    assert [one.tax_rate for one in made.products] == ["16"]


@pytest.mark.parametrize(
    ("price", "cost", "warned"),
    [
        ("104.99", "100", True),
        ("105", "100", False),
        ("90", "100", True),
        ("10", "0", False),
        ("10", None, False),
        ("0", "5", False),
    ],
)
def test_a_low_margin_is_flagged(price: str, cost: str | None, warned: bool) -> None:  # noqa: FBT001
    made = read(change_set((ITEMS, "c", 0, cells(ITEMS, ITEM, sale_price=price, cost_price=cost))))
    assert made.products[0].warnings == (["LOW_MARGIN"] if warned else [])


def test_a_sale_from_the_future_is_flagged_and_taken() -> None:
    def warnings(date: str) -> list[str] | None:
        header = read(change_set((TRANSACTIONS, "c", 0, cells(TRANSACTIONS, SALE, trans_date=date)))).sales[0].header
        return header.warnings if header else None

    assert warnings("2026-11-19T07:06:40") == []
    assert warnings("2026-11-19T07:06:41") == ["FUTURE_DATE"]


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


def test_ends_of_mapped_tables_are_passed_on() -> None:
    mapped = End("transactions", FIRST, Since("trans_date", "2026-08-01T00:00:00"))
    made = read(change_set(ends=(mapped, End("elsewhere", FIRST))))
    assert made.ends == [mapped]


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
    with pytest.raises(UnreadableRecordError):
        DECODE(Raw("t", 0, 0, ENCODE(change_set((STOCK, "c", 0, ["5", "1"])))))
    with pytest.raises(DataValidationError, match="the record's key says"):
        read(change_set(system_id=STORE_1))


def test_an_unsound_mapping_is_refused_whole() -> None:
    with pytest.raises(MappingError):
        Mapping(system({"template": "x"}))
    data = template()
    del data["stock"][0]["store"]
    with pytest.raises(MappingError, match=r"stock\.store"):
        Mapping(system(data))
