"""The template format: what is read, what is refused and how it is said."""

import json
from pathlib import Path
from typing import Any

import pytest

from fluxion.errors import MappingError
from schemas.forms import Column
from schemas.mapping import check, load, resolve, restore, tables
from schemas.source_tables import Table

SYSTIMAX = load("systimax")
CATALOGUE = {
    "categories": Table(("category_id", "category_name"), ("category_id",)),
    "items": Table(
        ("item_id", "item_code", "item_name", "sale_price", "last_sale_date", "category_id", "active"), ("item_id",)
    ),
    "stock": Table(("item_id", "location_id", "qty_on_hand"), ("item_id", "location_id")),
    "transactions": Table(
        ("trans_id", "trans_no", "trans_date", "subtotal", "tax_amount", "total_amount", "location_id"), ("trans_id",)
    ),
    "transaction_details": Table(("detail_id", "trans_id", "item_code", "qty", "unit_price"), ("detail_id",)),
}


def changed(**parts: Any) -> dict[str, Any]:
    """The resolved Systimax template with parts of it replaced; "sale.lines" names a block, "product.sku" a field."""
    data: dict[str, Any] = json.loads(json.dumps(resolve(SYSTIMAX)))
    for path, value in parts.items():
        *above, last = path.split("__")
        place: Any = data
        for step in above:
            place = place[step][0] if isinstance(place[step], list) else place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return data


def refusal(data: dict[str, Any]) -> str:
    with pytest.raises(MappingError) as caught:
        restore(data)
    return caught.value.message


def write(folder: Path, text: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_resolving_is_plain_and_comes_back() -> None:
    assert restore(json.loads(json.dumps(resolve(SYSTIMAX)))) == SYSTIMAX


def test_every_captured_table_is_named() -> None:
    assert tables(SYSTIMAX) == {"categories", "items", "stock", "transactions", "transaction_details"}


def test_systimax_suits_the_tables_of_the_specification() -> None:
    check(SYSTIMAX, CATALOGUE, stores=2)


def test_a_name_and_a_column_in_short_form_read_as_in_full() -> None:
    assert SYSTIMAX.product[0].sku == Column(column="item_code")
    assert SYSTIMAX.stock[0].key == ("item_id", "location_id")


def test_every_fault_of_form_is_said_at_once() -> None:
    said = refusal(
        changed(product__selling_prise="x", sale__lines__quantity=None, sale__total={"column": "a", "optinal": 1})
    )
    assert "product.0.selling_prise is not known, did you mean 'selling_price'?" in said
    assert "sale.0.lines.quantity is missing" in said
    assert "sale.0.total.optinal is not known, did you mean 'optional'?" in said


@pytest.mark.parametrize("later", ["payments", "poll", "write_back", "extends"])
def test_keys_of_later_versions_are_refused(later: str) -> None:
    assert f"{later} is not known" in refusal(changed(**{later: []}))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"product__selling_price": {"column": "p", "format": "dots"}}, "product.selling_price.format: a number is"),
        ({"product__sku": {"column": "p", "format": "1.234,56"}}, "product.sku.format: only numbers and times"),
        ({"sale__sold_at": {"column": "p", "format": "dd/mm"}}, "sale.sold_at.format: a time is written"),
        ({"stock__product": {"table": "itemz", "key": "a"}}, "'itemz' feeds no product, did you mean 'items'?"),
        ({"defaults__time_zone": "America/Karakas"}, "'America/Karakas' is not a time zone"),
        ({"sale__status": {"column": "s", "else": "completed"}}, "sale.status.else: needs a map"),
        ({"category": []}, "product.category: nothing in the template feeds category"),
    ],
)
def test_a_fault_names_its_place(parts: dict[str, Any], said: str) -> None:
    assert said in refusal(changed(**parts))


def test_an_entity_of_several_tables_needs_the_table_in_its_references() -> None:
    second = {**resolve(SYSTIMAX)["product"][0], "from": "services"}
    data = changed()
    data["product"].append(second)
    assert "stock.product: several tables feed product, so say {table, key}" in refusal(data)
    data["stock"][0]["product"] = {"table": "items", "key": "item_id"}
    restore(data)


def test_one_table_feeds_an_entity_by_one_key() -> None:
    data = changed()
    data["product"].append({**data["product"][0], "key": ["item_code"]})
    assert "product.key: 'items' feeds product twice" in refusal(data)


def test_columns_and_tables_are_checked_together_with_the_nearest_name() -> None:
    catalogue = {**CATALOGUE, "items": Table(("item_id", "item_cod", "Item_Name"), ()), "inventory": Table((), ())}
    del catalogue["stock"]
    with pytest.raises(MappingError) as caught:
        check(SYSTIMAX, catalogue)
    said = caught.value.message
    assert "product.sku: 'items' has no column 'item_code', did you mean 'item_cod'?" in said
    assert "product.name: 'items' has no column 'item_name', did you mean 'Item_Name'?" in said
    assert "stock.from: the source has no table 'stock'" in said
    assert "cost_price" not in said


def test_the_primary_key_is_asked_of_the_table() -> None:
    catalogue = {**CATALOGUE, "transaction_details": Table(CATALOGUE["transaction_details"].columns, ())}
    with pytest.raises(MappingError, match=r"sale.lines.key: 'transaction_details' has no primary key"):
        check(SYSTIMAX, catalogue)


def test_several_stores_need_the_column_that_tells_them_apart() -> None:
    check(restore(changed(stock__store=None)), stores=1)
    with pytest.raises(MappingError, match=r"stock\.store: the system has 2 stores"):
        check(restore(changed(stock__store=None)), stores=2)
    without = {**CATALOGUE, "transactions": Table(CATALOGUE["transactions"].columns[:-1], ("trans_id",))}
    check(SYSTIMAX, without, stores=1)
    with pytest.raises(MappingError, match=r"sale\.store: 'transactions' has no 'location_id'"):
        check(SYSTIMAX, without, stores=2)


def test_a_key_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="line 2: 'template' stands twice"):
        load(write(tmp_path, "template: a\ntemplate: b\n"))


def test_yes_and_no_are_text(tmp_path: Path) -> None:
    text = """
    template: own
    version: 1
    title: Own
    databases: [mysql]
    product: {from: items, key: id, sku: code, name: name, where: {on: Y, sold: [yes, N]}}
    """
    assert load(write(tmp_path, text)).product[0].where == {"on": ("Y",), "sold": ("yes", "N")}


def test_whole_numbers_are_words_of_a_map(tmp_path: Path) -> None:
    text = """
    template: own
    version: 1
    title: Own
    databases: [mysql]
    product: {from: items, key: id, sku: code, name: name, is_active: {column: state, map: {1: true, "2": false}, else: 0}}
    """
    found = load(write(tmp_path, text)).product[0].is_active
    assert found == Column(column="state", map={"1": True, "2": False}, else_=0)


def test_what_is_no_template_is_said(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="no template 'sistimax', did you mean 'systimax'"):
        load("sistimax")
    with pytest.raises(MappingError, match="cannot be read"):
        load(tmp_path / "none.yaml")
    with pytest.raises(MappingError, match="is not YAML"):
        load(write(tmp_path, "a: [1\n"))
    with pytest.raises(MappingError, match="does not fit"):
        load(write(tmp_path, "[]"))
