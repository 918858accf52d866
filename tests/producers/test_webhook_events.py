"""A webhook's body to events and rows: the specification's payloads, numbers as they were sent, and every limit."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.gateway.document import MOST_DEPTH, NotJsonError, RefusedError, number_text, parse
from producers.gateway.events import (
    MOST_EVENTS,
    Event,
    events_of,
)
from producers.gateway.intake import AnotherStoreError, Intake, Receipt
from producers.gateway.rows import MOST_BYTES, MOST_LAYOUTS, MOST_ROWS, Rows, rows_of
from schemas.codec import Decoder, Encoder, schema_text
from schemas.forms import Column
from schemas.mapping import Template, load, tables
from schemas.records import ChangeSet

TEMPLATE = load("webhook")
INTAKE = Intake(TEMPLATE)
SYSTEM = "6b1c8f0e-3c54-4d8b-9f5e-0d2a7c1b9a10"
RECEIPT = Receipt(SYSTEM, 3, 1_795_000_000_000_000, "msg_1")
SALE = """{"event_type": "sale_completed", "timestamp": "2026-11-18T06:30:00.25-04:00", "data": {
  "tenant_id": "t-1", "store_id": "1", "id": 9001, "invoiceNumber": "A-17", "date": "2026-11-18T06:29:58",
  "subtotal": 100.10, "tax": 16.016, "total": 116.116, "caja": {"serie": "Z1", "turno": 2}, "vip": true, "nota": null,
  "items": [{"sku": "000123", "quantity": 1.250, "unitPrice": 80.08, "lote": "L7"}, {"product_sku": 55, "quantity": 2, "unit_price": "0.01"}]
}}"""


def one(text: str | bytes | dict[str, Any]) -> Event:
    body = json.dumps(text) if isinstance(text, dict) else text
    (found,) = events_of(body.encode() if isinstance(body, str) else body)
    return found


def sent(kind: str, **data: Any) -> dict[str, Any]:
    return {"event_type": kind, "data": data}


def made(text: str | dict[str, Any], receipt: Receipt = RECEIPT, template: Template = TEMPLATE) -> ChangeSet:
    return Intake(template).change_set(one(text), receipt)


def read(found: ChangeSet | Rows) -> list[tuple[str, dict[str, str | None]]]:
    """Rows as (table, column → value)."""
    return [
        (layout.table, {column.name: value for column, value in zip(layout.columns, row.values, strict=True)})
        for row in found.rows
        for layout in [found.layouts[row.layout]]
    ]


def test_a_sale_becomes_its_row_and_one_for_each_item_with_the_parents_columns() -> None:
    sale, first, second = read(made(SALE))
    assert sale == (
        "sale_completed",
        {
            "caja.serie": "Z1", "caja.turno": "2", "docType": "invoice", "id": "9001", "invoiceNumber": "A-17", "nota": None,
            "soldAt": "2026-11-18T06:29:58", "status": "completed", "storeId": "1", "subtotal": "100.10",
            "taxTotal": "16.016", "tenantId": "t-1", "total": "116.116", "vip": "1",
        },
    )  # fmt: skip
    parent = {f"parent.{name}": value for name, value in sale[1].items()}
    assert first == (
        "sale_completed.items",
        {"lote": "L7", "quantity": "1.250", "sku": "000123", "unitPrice": "80.08", "_position": "1", **parent},
    )
    assert second[1] == {"quantity": "2", "sku": "55", "unitPrice": "0.01", "_position": "2", **parent}


def test_a_change_set_is_one_transaction_of_its_system_without_versions() -> None:
    found = made(SALE)
    assert (found.system_id, found.producer, found.epoch, found.captured_at) == (
        SYSTEM,
        "gateway",
        3,
        1_795_000_000_000_000,
    )
    assert (found.position, found.part, found.last_part, found.ends) == ("msg_1", 0, True, [])
    assert [(row.op, row.txn, row.version) for row in found.rows] == [("c", 0, None), ("u", 0, None), ("u", 0, None)]
    assert {row.source_time for row in found.rows} == {1_794_997_800_250_000}
    assert [layout.key for layout in found.layouts] == [["id"], ["parent.id", "_position"], ["parent.id", "_position"]]
    decode = Decoder("change_set", ChangeSet, lambda _: schema_text("change_set"))
    assert decode(Encoder[ChangeSet]("change_set", 1)(found)) == found


def test_text_that_looks_like_a_number_stays_text_and_a_number_is_a_decimal() -> None:
    found = made(SALE)
    items = [{column.name: column.type for column in layout.columns} for layout in found.layouts[1:]]
    assert [(item["unitPrice"], item["sku"]) for item in items] == [("decimal", "text"), ("text", "decimal")]
    assert {column.name: column.type for column in found.layouts[0].columns}["vip"] == "boolean"


@pytest.mark.parametrize(
    ("body", "names"),
    [("{}", 1), ("[{},{}]", 2), ('{"events":[{},{},{}]}', 3)],
)
def test_a_body_is_one_event_or_a_batch_in_its_order(body: str, names: int) -> None:
    def numbered(match: int) -> str:
        return json.dumps(sent("stock_movement", id=f"m{match}", sku="1", quantity=1))

    parts = body.split("{}")
    text = "".join(part + (numbered(at) if at < names else "") for at, part in enumerate(parts))
    assert [event.data.model_dump()["id"] for event in events_of(text.encode())] == [f"m{at}" for at in range(names)]


def test_the_type_may_be_named_as_standard_webhooks_does() -> None:
    for name in ("event_type", "eventType", "type"):
        assert one({name: "product_updated", "data": {"sku": "1"}}).type == "product_updated"


def test_a_name_of_the_specification_that_is_not_taken_is_kept_beside_the_one_that_is() -> None:
    event = one(sent("sale_completed", id="1", soldAt="2026-11-18", date="2026-11-17", saldo=1))
    document = event.data.document()
    assert (document["soldAt"], document["date"], document["saldo"]) == ("2026-11-18", "2026-11-17", Decimal(1))


def test_a_sale_without_an_id_is_its_store_register_kind_and_number() -> None:
    data = {"invoice_number": "A-17", "register_id": 3, "store_id": "1", "total": 1}
    assert one(sent("sale_completed", **data)).data.document()["id"] == "1/3/invoice/A-17"
    assert one(sent("sale_completed", invoice_number="7")).data.document()["id"] == "//invoice/7"
    assert "id" not in one(sent("sale_completed", total=1)).data.document()
    here = Receipt(SYSTEM, 3, 0, store="n/1")
    assert (
        read(made(sent("sale_completed", invoice_number="7", date="2026-11-18", total=1), here))[0][1]["id"]
        == "n//1//invoice/7"
    )


def test_a_means_of_payment_without_a_list_is_one_tender_of_the_total() -> None:
    sale = {"id": "1", "soldAt": "2026-11-18", "total": Decimal("5.50"), "payment_method": "efectivo"}
    body = json.dumps(sent("sale_completed", **sale), default=float)
    assert read(made(body))[1][1].items() >= {"amount": "5.5", "method": "efectivo", "parent.id": "1"}.items()
    (only,) = read(made(json.dumps(sent("sale_completed", **sale, payments=[]), default=float)))
    assert only[0] == "sale_completed"


@pytest.mark.parametrize(
    ("said", "category"),
    [
        ({"category": "Víveres"}, {"id": "Víveres", "name": "Víveres"}),
        ({"category": "Víveres", "categoryId": 7}, {"id": "7", "name": "Víveres"}),
        ({"category_id": "7"}, {"id": "7"}),
        ({"category": {"id": 7, "name": "Víveres", "nivel": 2}}, {"id": "7", "name": "Víveres", "nivel": "2"}),
    ],
)
def test_a_products_category_is_an_object_however_it_is_said(said: dict[str, Any], category: dict[str, str]) -> None:
    product, below = read(made(sent("product_updated", sku="1", **said)))
    assert below[0] == "product_updated.category"
    assert below[1].items() >= category.items()
    assert {name: product[1][f"category.{name}"] for name in category} == category


def test_a_product_without_a_category_has_no_row_of_one() -> None:
    ((_, silent),) = read(made(sent("product_updated", sku="1")))
    assert silent == {"sku": "1"}
    said: dict[str, Any]
    for said in ({"category": None}, {"category": {}}, {"category_id": None}, {"category": {"id": None, "name": None}}):
        ((table, cells),) = read(made(sent("product_updated", sku="1", **said)))
        assert (table, cells["category.id"]) == ("product_updated", None)


def test_a_list_that_no_template_maps_stays_in_its_row_as_json() -> None:
    text = '{"type": "sale_completed", "data": {"id": "1", "soldAt": "2026-11-18", "total": 1, "bonos": [{"n": 1.10, "x": "ñ"}, 2, null, true]}}'
    ((_, cells),) = read(made(text))
    assert cells["bonos"] == '[{"n":1.10,"x":"ñ"},2,null,true]'
    (_, (_, item)) = read(made(sale_of([{"sku": "1", "quantity": 1}], bonos=[1], nota="x")))
    assert (item["parent.nota"], "parent.bonos" in item) == ("x", False)


def test_a_list_within_a_list_has_its_parents_parent_too() -> None:
    document = parse(b'{"id": "1", "items": [{"sku": "a", "lotes": [{"n": "L1"}]}]}')
    assert isinstance(document, dict)
    rows = read(rows_of("sale", document, "id", {"sale.items", "sale.items.lotes"}))
    assert rows[2] == (
        "sale.items.lotes",
        {"n": "L1", "_position": "1", "parent.sku": "a", "parent._position": "1", "parent.parent.id": "1"},
    )


# Numbers and JSON -----------------------------------------------------------------------------------------------------


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**18), max_value=10**18, places=6))
def test_a_number_comes_out_digit_by_digit_as_it_was_sent(number: Decimal) -> None:
    document = parse(f'{{"n": {number:f}}}'.encode())
    assert isinstance(document, dict)
    assert read(rows_of("t", document, "n", ()))[0][1]["n"] == format(number, "f")


@pytest.mark.parametrize(
    ("text", "plain"),
    [("0.1", "0.1"), ("1.10", "1.10"), ("1e3", "1000"), ("12345678901234567890.12345", "12345678901234567890.12345"),
     ("5E-7", "0.0000005"), ("-0.00", "-0.00"), ("1e200", "1" + "0" * 200)],
)  # fmt: skip
def test_no_number_goes_by_way_of_a_float(text: str, plain: str) -> None:
    number = parse(text.encode())
    assert isinstance(number, Decimal)
    assert number_text(number) == plain


@pytest.mark.parametrize(
    "text", ["1e201", "1e-201", "1e999999999", "1e99999999999999999999", "9" * 5000, "1." + "0" * 201]
)
def test_a_number_that_cannot_be_one_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="more than 200 digits"):
        parse(text.encode())


@pytest.mark.parametrize(
    ("body", "why"),
    [(b"", "no JSON"), (b"{", "line 1, column 2"), (b"{}{}", "Extra data"), (b"\xff", "not UTF-8"), (b"[NaN]", "NaN is no number"),
     (b"[-Infinity]", "-Infinity is no number"), ("\ufeff{}".encode(), "no JSON")],
)  # fmt: skip
def test_what_is_no_json_is_said(body: bytes, why: str) -> None:
    with pytest.raises(NotJsonError, match=why):
        parse(body)


@pytest.mark.parametrize(
    ("body", "why"),
    [(b'{"a": 1, "total": 1, "total": 2}', "'total' stands twice"), (b'{"a": "\\ud800"}', "half of a character"),
     (b'{"\\udfff": 1}', "half of a character")],
)  # fmt: skip
def test_what_json_allows_and_no_row_can_hold_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        parse(body)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_what_is_nested_too_deep_is_refused_however_deep_it_is(opening: bytes, closing: bytes) -> None:
    assert parse(opening * MOST_DEPTH + b"1" + closing * MOST_DEPTH) is not None
    for depth in (MOST_DEPTH + 1, 200_000):
        with pytest.raises(RefusedError, match="nested deeper than 32 levels"):
            parse(opening * depth + b"1" + closing * depth)


# Refusals -------------------------------------------------------------------------------------------------------------


def test_every_field_of_every_event_that_does_not_fit_is_named_and_nothing_is_taken() -> None:
    good = sent("stock_movement", id="1", sku="1", quantity=1)
    batch = [
        good,
        sent("sale_complete", id="1"),
        sent("sale_completed", items=[{"quantity": True}, "x"], soldAt=20261118),
        {"data": {}, "timestamp": "el martes 18"},
        5,
    ]
    with pytest.raises(RefusedError) as fault:
        events_of(json.dumps(batch).encode())
    kind, *others = fault.value.message.split(", events.")
    assert kind.startswith(
        "the body does not fit: events.1.event_type: 'sale_complete' is none of sale_completed, product_"
    )
    assert kind.endswith(", did you mean 'sale_completed'?")
    assert others == [
        "2.data.soldAt: Input should be a valid string",
        "2.data.items.0.quantity: neither text nor a number",
        "2.data.items.1: no object",
        "3.event_type: it is missing",
        "3.timestamp: Input should be a valid datetime or date, invalid character in year",
        "3.data: it is empty",
        "4: no object",
    ]


def test_many_faults_are_counted_and_the_first_are_named() -> None:
    with pytest.raises(RefusedError, match=r"events\.19: .*, and 80 more") as fault:
        events_of(json.dumps([5] * 100).encode())
    assert "events.20" not in fault.value.message


def test_a_value_is_not_repeated_in_a_refusal() -> None:
    with pytest.raises(RefusedError) as fault:
        one(sent("stock_movement", id=["secreto"]))
    assert "secreto" not in str(fault.value)


def test_a_batch_has_one_to_500_events() -> None:
    event = sent("stock_movement", id="1")
    assert len(events_of(json.dumps([event] * MOST_EVENTS).encode())) == MOST_EVENTS
    with pytest.raises(RefusedError, match="501 events, 500 is the most"):
        events_of(json.dumps([event] * (MOST_EVENTS + 1)).encode())
    with pytest.raises(RefusedError, match="holds no event"):
        events_of(b'{"events": []}')


def sale_of(items: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return sent("sale_completed", id="1", soldAt="2026-11-18", total=1, items=items, **more)


def test_an_event_of_more_than_a_thousand_rows_is_refused() -> None:
    item = {"sku": "1", "quantity": 1}
    assert len(made(sale_of([item] * (MOST_ROWS - 1))).rows) == MOST_ROWS
    with pytest.raises(RefusedError, match="more than 1000 rows; send it in several events"):
        made(sale_of([item] * MOST_ROWS))


def test_a_small_body_does_not_make_a_large_record() -> None:
    item = {"sku": "1", "quantity": 1}
    with pytest.raises(RefusedError, match=f"more than {MOST_BYTES} bytes"):
        made(sale_of([item] * 900, nota="ñ" * 5000))
    wide = {f"{'n' * 60}{at}": 1 for at in range(2000)}
    with pytest.raises(RefusedError, match=f"more than {MOST_BYTES} bytes"):
        made(sale_of([{**item, f"a{at}": 1} for at in range(90)], **wide))


def test_objects_of_a_list_have_a_bounded_number_of_forms() -> None:
    items = [{"sku": "1", "quantity": 1, f"a{at}": 1} for at in range(MOST_LAYOUTS - 1)]
    assert len(made(sale_of(items)).layouts) == MOST_LAYOUTS
    with pytest.raises(RefusedError, match="more than 100 different sets of fields"):
        made(sale_of([*items, {"sku": "1", "quantity": 1, "otro": 1}]))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"a.b": 1, "a": {"b": 2}}, "two fields come out as 'a.b'"),
        ({"items": [{"sku": "1", "_position": 4}]}, "comes out as '_position', which is our name"),
        ({"items": [{"sku": "1", "parent": {"id": 4}}]}, "comes out as 'parent.id', which is our name"),
    ],
)
def test_two_fields_of_one_name_are_refused(data: dict[str, Any], why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        made(sent("sale_completed", id="1", soldAt="2026-11-18", total=1, **data))


def test_what_the_template_needs_and_the_event_lacks_is_named() -> None:
    with pytest.raises(RefusedError) as fault:
        made(sent("sale_completed", id="1", items=[{"sku": "1"}]))
    assert fault.value.message == (
        "sale_completed has no soldAt, which sale.sold_at needs, sale_completed has no total, which sale.total needs, "
        "sale_completed.items has no quantity, which movement.quantity needs, "
        "sale_completed.items has no parent.soldAt, which movement.occurred_at needs, "
        "sale_completed.items has no quantity, which sale.lines.quantity needs"
    )


def test_an_update_of_a_product_needs_no_more_than_its_key() -> None:
    assert read(made(sent("product_updated", sku="1", sellingPrice=5))) == [
        ("product_updated", {"sellingPrice": "5", "sku": "1"})
    ]
    with pytest.raises(RefusedError, match=r"product_updated has no sku, which product\.key needs"):
        made(sent("product_updated", name="Harina"))
    (block,) = TEMPLATE.product
    demanding = TEMPLATE.model_copy(update={"product": (block.model_copy(update={"name": Column(column="name")}),)})
    assert len(made(sent("product_updated", sku="1"), template=demanding).rows) == 1


def test_an_event_that_the_template_does_not_map_is_refused() -> None:
    bare = TEMPLATE.model_copy(update={"product": (), "category": (), "supplier": ()})
    with pytest.raises(RefusedError, match="maps no product_updated"):
        made(sent("product_updated", sku="1"), template=bare)


def test_the_senders_store_is_every_rows_and_no_other_may_be_named() -> None:
    receipt = Receipt(SYSTEM, 3, 0, store="1")
    for said in ({}, {"store_id": "1 "}, {"storeId": 1}, {"store_id": None}):
        found = read(made(sale_of([{"sku": "1", "quantity": 1}], **said), receipt))
        assert [row.get("storeId", row.get("parent.storeId")) for _, row in found] == ["1", "1"]
    with pytest.raises(AnotherStoreError, match="of store '2', and its sender speaks for '1'"):
        made(sale_of([], store_id="2"), receipt)


def test_a_batch_is_one_change_set_for_each_event_in_order_and_a_refusal_names_the_event() -> None:
    moves = [sent("stock_movement", id=str(at), sku="1", quantity=1, date="2026-11-18") for at in range(3)]
    found = INTAKE.change_sets(events_of(json.dumps(moves).encode()), RECEIPT)
    assert [one.rows[0].values[0] for one in found] == ["0", "1", "2"]
    moves[1]["data"].pop("sku")
    with pytest.raises(RefusedError, match=r"^events\.1: stock_movement has no sku, which .*; send these fields"):
        INTAKE.change_sets(events_of(json.dumps(moves).encode()), RECEIPT)
    moves[1]["data"] |= {"sku": "1", "storeId": "2"}
    with pytest.raises(AnotherStoreError, match=r"^events\.1: the event is of store '2'"):
        INTAKE.change_sets(events_of(json.dumps(moves).encode()), Receipt(SYSTEM, 3, 0, store="1"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(["id", "items", "sku", "parent"]), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(
    st.sampled_from(["sale_completed", "product_updated", "stock_movement"]), st.dictionaries(st.text(max_size=5), JSON)
)
def test_whatever_comes_is_a_sound_change_set_or_refused(kind: str, data: dict[str, Any]) -> None:
    body = json.dumps({"type": kind, "data": {"id": "1", "sku": "1", "soldAt": "x", "total": 1, **data}}).encode()
    try:
        (event,) = events_of(body)
        found = INTAKE.change_set(event, RECEIPT)
    except RefusedError:
        return
    assert {table for table, _ in read(found)} <= tables(TEMPLATE)
    assert all(set(layout.key) <= {column.name for column in layout.columns} for layout in found.layouts)
