"""Rules of the format that no single value can show: every one is refused when it is saved, all at once."""

import json
from typing import Any

import pytest

from fluxion.errors import MappingError
from schemas.mapping import check, differences, load, resolve, restore, tables, uses
from schemas.source_tables import Table

SYSTIMAX = load("systimax")
LINES_OF_TYPE: dict[str, Any] = {"column": "kind", "map": {"N": "credit_note"}, "else": "invoice"}


def changed(**parts: Any) -> dict[str, Any]:
    """The resolved Systimax template with parts of it replaced: `sale__lines={…}`."""
    data: dict[str, Any] = json.loads(json.dumps(resolve(SYSTIMAX)))
    for path, value in parts.items():
        *above, last = path.split("__")
        place: Any = data
        for step in above:
            place = place[step][0] if isinstance(place[step], list) else place[step]
        place[last] = value
    return data


def refusal(data: dict[str, Any]) -> str:
    with pytest.raises(MappingError) as caught:
        restore(data)
    return caught.value.message


MOVEMENT: dict[str, Any] = {
    "from": "moves", "key": "id", "product": "item_id", "kind": "kind", "quantity": "qty", "occurred_at": "at",
}  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"sale__status": {"value": "complete"}}, "sale.status.value: 'complete' is none of partial, completed, voided, did you mean 'completed'?"),
        ({"sale__doc_type": {"column": "k", "map": {"F": "invoise"}}}, "sale.doc_type.map.F: 'invoise' is none of invoice, credit_note, debit_note, delivery_note, did you mean 'invoice'?"),
        ({"sale__status": {"column": "k", "map": {"F": "voided"}, "else": "x"}}, "sale.status.else: 'x' is none of"),
        ({"sale__lines__tax_category": {"value": "zero"}}, "sale.lines.tax_category.value: 'zero' is none of general"),
        ({"sale__taxes": [{"category": {"value": "iva"}}]}, "sale.taxes.category.value: 'iva' is none of general"),
        ({"sale__sold_at": {"columns": ["a", "b"], "call": "date_and_tme"}}, "sale.sold_at.call: there is no function 'date_and_tme', did you mean 'date_and_time'?"),
        ({"sale__sold_at": {"columns": ["a"], "call": "date_and_time"}}, "sale.sold_at.call: date_and_time takes 2 columns, not 1"),
        ({"sale__total": {"columns": ["a"], "call": "added"}}, "sale.total.call: added takes 2 or more columns, not 1"),
        ({"sale__total": {"columns": ["a", "b"], "call": "joined"}}, "sale.total.call: joined gives a text, and a number is needed"),
        ({"sale__sold_at": {"columns": [{"column": "a", "optional": True}, "b"], "call": "date_and_time"}}, "sale.sold_at.columns.a.optional: say it of the whole call"),
        ({"sale__total": {"columns": [{"column": "a", "format": "x"}, "b"], "call": "added"}}, 'sale.total.columns.a.format: a number is written "1.234,56"'),
        ({"sale__total": {"columns": ["a", {"columns": ["b"], "call": "adde"}], "call": "added"}}, "sale.total.columns.adde.call: there is no function 'adde', did you mean 'added'?"),
        ({"sale__total": {"columns": ["a", {"columns": ["b", "c"], "call": "joined"}], "call": "added"}}, "sale.total.columns.joined.call: joined gives a text, and a number is needed"),
        ({"sale__total": {"columns": ["a", {"columns": ["b", "c"], "call": "added", "optional": True}], "call": "added"}}, "sale.total.columns.added.optional: say it of the whole call"),
        ({"product__category": {"key": "a", "otherwise": {"key": ["b", "c"]}}}, "product.category.otherwise: names 2 columns, and the key of category has 1 (category_id)"),
        ({"product__category": {"key": "a", "otherwise": {"table": "itemz", "key": "b"}}}, "product.category.otherwise.table: 'itemz' feeds no category"),
        ({"product__category": {"key": "a", "none": []}}, "product.0.category.none: Tuple should have at least 1 item"),
        ({"sale__lines__sku": None}, "sale.lines: needs product or sku"),
        ({"sale__sold_at": {"value": "2026"}}, "sale.sold_at: a time cannot be a constant"),
        ({"sale__sold_at": {"column": "a", "map": {"x": "y"}}}, "sale.sold_at.map: a time cannot be mapped"),
        ({"sale__lines_saved": "live"}, "sale.lines_saved: live needs closed_when"),
        ({"sale__returns": "negative"}, "sale.lines.doc_type: needed by returns: negative, to tell which rows of 'transaction_details'"),
        ({"sale__lines__doc_type": LINES_OF_TYPE}, "sale.lines.doc_type: only used where the sale says returns: negative"),
        ({"product__deleted": "void"}, "product.deleted: only a sale can be void"),
        ({"sale__lines__deleted": "void"}, "sale.lines.deleted: only a sale can be void"),
        ({"stock_origin": "movements"}, "stock: the level is the sum of the movements"),
        ({"stock_origin": "movements"}, "stock_origin: movements needs a movement block"),
        ({"movement": [{name: value for name, value in MOVEMENT.items() if name != "product"}]}, "movement: needs product or sku"),
        ({"stock__product": ["item_id", "size"]}, "stock.product: names 2 columns, and the key of product has 1 (item_id)"),
        ({"sale__original": "a"}, ""),
        ({"product__supplier": "supplier_id"}, "product.supplier: nothing in the template feeds supplier"),
        ({"category__parent": {"table": "categoriez", "key": "up"}}, "category.parent.table: 'categoriez' feeds no category, did you mean 'categories'?"),
        ({"sale__lines__sale": {"table": "items", "key": "a"}}, "sale.lines.sale.table: 'items' feeds no sale"),
        ({"sale__where": {"kind": []}}, "sale.0.where.kind: Tuple should have at least 1 item"),
        ({"sale__status": {"column": "a", "map": {}}}, "sale.0.status.map: Dictionary should have at least 1 item"),
        ({"sale__payments": [{"methods": "a", "amount": "b"}]}, "sale.0.payments.0.methods is not known, did you mean 'method'?"),
        ({"sale__payments": [{"from": "pays", "amount": "b"}]}, "sale.0.payments.0.key is missing"),
        ({"template": ""}, "template: String should have at least 1 character"),
    ],
)  # fmt: skip
def test_a_fault_names_its_place(parts: dict[str, Any], said: str) -> None:
    if said:
        assert said in refusal(changed(**parts))
    else:
        restore(changed(**parts))


def test_faults_of_every_kind_are_said_together() -> None:
    said = refusal(
        changed(
            sale__lines_saved="live", sale__status={"value": "x"}, stock__product=["a", "b"], product__deleted="void"
        )
    )
    assert all(place in said for place in ("sale.lines_saved", "sale.status.value", "stock.product", "product.deleted"))


def test_every_column_of_a_call_in_a_call_and_of_a_reference_with_conditions_is_named() -> None:
    inner = {"columns": ["b", {"value": 1}], "call": "times"}
    data = changed(
        sale__total={"columns": ["a", inner], "call": "added"},
        product__category={"key": "c", "where": {"d": [1]}, "otherwise": {"key": "e", "optional": True}},
    )
    found = {(use.column, use.place, use.optional) for use in uses(restore(data))}
    assert {("a", "sale.total", False), ("b", "sale.total", False)} <= found
    assert {(column, "product.category", column == "e") for column in "cde"} <= found


def test_two_blocks_on_one_table_must_agree() -> None:
    data = changed()
    data["product"].append({**data["product"][0], "deleted": "purge"})
    assert "product.deleted: 'items' feeds product twice, so a deleted row must mean the same" in refusal(data)


def test_lines_of_two_headers_in_one_table_must_say_which_are_whose() -> None:
    data = changed()
    data["sale"].append({**data["sale"][0], "from": "returns"})
    assert "sale.lines.where: 'transaction_details' holds rows of returns and transactions" in refusal(data)
    data["sale"][0]["lines"]["where"] = {"kind": ["F"]}
    data["sale"][1]["lines"] = {**data["sale"][1]["lines"], "where": {"kind": ["N"]}}
    restore(data)


def test_returns_with_negative_amounts_are_told_apart_by_the_line_or_by_the_block() -> None:
    restore(changed(sale__returns="negative", sale__lines__doc_type=LINES_OF_TYPE))
    restore(changed(sale__returns="negative", sale__doc_type={"value": "credit_note"}))


def test_a_primary_key_and_what_refers_to_it_have_the_same_columns() -> None:
    catalogue = {
        name: Table(tuple(use.column for use in uses(SYSTIMAX) if use.table == name), ("id",))
        for name in tables(SYSTIMAX)
    }
    template = restore(changed(product__key={"primary": True}))
    check(template, catalogue)
    with pytest.raises(MappingError, match=r"stock.product: names 1 columns, and the key of 'items' has 2"):
        check(template, {**catalogue, "items": Table(catalogue["items"].columns, ("a", "b"))})


def test_a_missing_table_is_said_once() -> None:
    with pytest.raises(MappingError) as caught:
        check(SYSTIMAX, {})
    assert caught.value.message.count("'transactions'") == 1
    assert caught.value.message.count("no table") == 5


def test_movements_need_the_store_too() -> None:
    template = restore(changed(movement=[MOVEMENT]))
    check(template, stores=1)
    with pytest.raises(MappingError, match=r"movement\.store: the system has 2 stores"):
        check(template, stores=2)


def test_every_column_that_is_read_is_named_with_its_place() -> None:
    data = changed(
        sale__sold_at={"columns": ["day", {"value": "x"}, "hour"], "call": "first"},
        sale__original={"key": ["a", {"value": "FAC"}]},
        sale__key=["trans_id", "kind"],
        sale__lines__sale=["trans_id", "kind"],
        sale__where={"kind": ["F"]},
    )
    data["sale"][0]["sold_at"] = {"columns": ["day", "hour"], "call": "date_and_time", "optional": True}
    found = {(use.table, use.column, use.place, use.optional) for use in uses(restore(data))}
    assert {
        ("transactions", "day", "sale.sold_at", True),
        ("transactions", "hour", "sale.sold_at", True),
        ("transactions", "a", "sale.original", False),
        ("transactions", "kind", "sale.key", False),
        ("transactions", "kind", "sale.where", False),
        ("transactions", "payment_type", "sale.payments.method", True),
        ("transactions", "trans_date", "sale.since", False),
        ("transactions", "location_id", "sale.store", True),
        ("transaction_details", "trans_id", "sale.lines.sale", False),
    } <= found
    assert not any(column == "FAC" for _, column, _, _ in found)


def test_what_a_save_would_change_is_said_by_place() -> None:
    new = changed(sale__total="grand_total", defaults__currency="USD", product__barcode=None)
    new = resolve(restore({name: value for name, value in new.items() if name != "keys"}))
    found = {one.place: (one.old, one.new) for one in differences(resolve(SYSTIMAX), new)}
    assert found == {
        "sale.total": (
            {"column": "total_amount", "optional": False},
            {"column": "grand_total", "optional": False},
        ),
        "defaults.currency": ("VES", "USD"),
        "product.barcode": ({"column": "barcode", "optional": True}, None),
    }
    assert differences(resolve(SYSTIMAX), resolve(SYSTIMAX)) == []
