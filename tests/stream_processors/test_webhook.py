"""Webhook events through the built-in template: from a body to canonical records, and the versions that decoding gives."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from fluxion.registry import System
from producers.gateway.events import events_of
from producers.gateway.intake import Intake, Receipt
from schemas.codec import UnreadableRecordError, schema_text
from schemas.identity import Entity, entity_id, epoch_of, version_of
from schemas.mapping import check, load, restore
from schemas.records import CanonicalSet, ChangeSet, Column, Layout, Row
from stream_processors.drafts import Raw
from stream_processors.pipeline import records
from stream_processors.remap import Place, RawRemapping, Remapping
from stream_processors.steps.decode import numbered
from stream_processors.steps.map import Mapping
from tests.stream_processors.mssql import said, shop
from tests.stream_processors.sets import DECODE, ENCODE, STORE_1, STORES, SYSTEM
from tests.stream_processors.sets import system as system_of

ON = shop("webhook")
RECEIVED = 1_795_000_000_000_000  # 2026-11-18T11:06:40Z
EPOCH, OFFSET = 3, 17
SCHEMA = schema_text("change_set")

SALE: dict[str, Any] = {
    "id": "9001", "invoiceNumber": "A-17", "registerId": "caja 1", "date": "2026-11-18T06:29:58", "subtotal": "100.10",
    "tax": "16.016", "total": "1,116.1160", "customerName": "Panadería Núñez, C.A.", "customerTaxId": "j070133805",
    "items": [
        {"sku": "000123", "name": "Jamón", "quantity": "1.250", "unitPrice": "80.08", "lineTotal": "100.10", "taxRate": 16},
        {"sku": "55", "quantity": 2, "unitPrice": "0.01", "taxCategory": "exempt"},
    ],
    "payments": [{"method": "efectivo", "currency": "usd", "amount": 2, "rate": "243.1234567890", "igtf": "0.06"}],
    "taxes": [{"category": "general", "rate": 16, "base": "100.10", "amount": "16.016"}],
}  # fmt: skip


def raw(kind: str, data: dict[str, Any], on: System = ON, offset: int = OFFSET, store: str | None = None) -> Raw:
    """The record that an event becomes."""
    (event,) = events_of(json.dumps({"event_type": kind, "data": data}).encode())
    receipt = Receipt(on.id, EPOCH, RECEIVED, "msg_1", store)
    return Raw("pos.changes.v1", 4, offset, ENCODE(Intake(restore(on.mapping)).change_set(event, receipt)))


def made(kind: str, data: dict[str, Any], on: System = ON, **more: Any) -> CanonicalSet:
    """What the whole chain makes of an event, from bytes."""
    return records(DECODE, Mapping(on))(raw(kind, data, on, **more))


def sound(kind: str, data: dict[str, Any], on: System = ON, **more: Any) -> CanonicalSet:
    found = made(kind, data, on, **more)
    assert [entry.message for entry in found.quarantined] == []
    return found


def ident(entity: Entity, table: str, *key: str) -> str:
    return entity_id(SYSTEM, entity, table, key)


def moved(found: CanonicalSet) -> list[tuple[str, str | None, str | None, str | None]]:
    return [(one.op, one.sku, one.kind, one.quantity) for one in found.movements]


def test_a_sale_is_its_header_lines_tenders_and_taxes() -> None:
    (sale,) = sound("sale_completed", SALE).sales
    assert (sale.id, sale.store_id, sale.closed, sale.txn_end) == (
        ident("sale", "sale_completed", "9001"), STORE_1, True, True,
    )  # fmt: skip
    assert said(sale.header) == {
        "number": "A-17",
        "doc_type": "invoice",
        "status": "completed",
        "register_id": "caja 1",
        "sold_at": "2026-11-18T06:29:58-04:00",
        "sold_at_precision": "second",
        "business_date": "2026-11-18",
        "subtotal": "100.10",
        "tax_total": "16.016",
        "total": "1116.1160",
        "customer_name": "Panadería Núñez, C.A.",
        "customer_tax_id": "J-07013380-5",
        "currency": "VES",
        "prices_include_tax": False,
    }
    first, second = sale.lines
    assert said(first) == {
        "sku": "000123", "product_ref": ident("product", "product_updated", "000123"), "name": "Jamón",
        "quantity": "1.250", "unit_price": "80.08", "line_total": "100.10", "tax_rate": "16", "line_no": "1",
    }  # fmt: skip
    assert (first.id, first.external_id) == (ident("line", "sale_completed.items", "9001", "1"), "9001/1")
    assert (second.sku, second.quantity, second.tax_category, second.line_no) == ("55", "2", "exempt", "2")
    (tender,), (tax,) = sale.payments, sale.taxes
    assert said(tender) == {
        "method": "efectivo", "currency": "USD", "amount": "2", "rate": "243.1234567890", "igtf": "0.06",
    }  # fmt: skip
    assert said(tax) == {"category": "general", "rate": "16", "base": "100.10", "amount": "16.016"}


def test_a_sale_moves_stock_out_by_one_movement_for_each_line() -> None:
    first, second = sound("sale_completed", SALE).movements
    assert said(first) == {
        "product_ref": ident("product", "product_updated", "000123"), "sku": "000123", "store_id": STORE_1,
        "kind": "invoice", "quantity": "-1.250", "reference": "A-17", "occurred_at": "2026-11-18T06:29:58-04:00",
    }  # fmt: skip
    assert first.id == ident("movement", "sale_completed.items", "9001", "1")
    assert (second.sku, second.quantity) == ("55", "-2")


def test_a_return_moves_stock_in_and_a_note_of_money_moves_none() -> None:
    assert moved(sound("sale_completed", {**SALE, "docType": "credit_note"})) == [
        ("upsert", "000123", "credit_note", "1.250"),
        ("upsert", "55", "credit_note", "2"),
    ]
    for changed in ({"docType": "debit_note"}, {"status": "voided"}, {"status": "partial"}):
        found = sound("sale_completed", {**SALE, **changed})
        assert [one.op for one in found.movements] == ["delete", "delete"]
        assert [sale.header is not None for sale in found.sales] == [True]


def test_an_event_that_comes_again_has_the_same_ids_and_a_later_version() -> None:
    before, after = sound("sale_completed", SALE), sound("sale_completed", SALE, offset=OFFSET + 1)
    assert [one.id for one in before.movements] == [one.id for one in after.movements]
    assert max(one.version for one in before.movements) < min(one.version for one in after.movements)


def test_a_product_with_its_category_and_supplier() -> None:
    product = {
        "sku": "000123", "name": "Jamón", "barcode": 7591234567895, "category": {"id": 7, "name": "Charcutería"},
        "supplier": "Distribuidora Ñandú", "costPrice": "80", "sellingPrice": 120.50, "taxRate": 0, "isActive": False,
        "lastSaleAt": "2026-11-18T10:29:58Z",
    }  # fmt: skip
    found = sound("product_updated", product)
    (category,), (supplier,), (made_of,) = found.categories, found.suppliers, found.products
    assert (category.id, category.name) == (ident("category", "product_updated.category", "7"), "Charcutería")
    assert (supplier.external_id, supplier.name) == ("Distribuidora Ñandú", "Distribuidora Ñandú")
    assert said(made_of) == {
        "sku": "000123", "name": "Jamón", "barcode": "7591234567895", "category_ref": category.id,
        "supplier_ref": supplier.id, "cost_price": "80", "selling_price": "120.5", "tax_rate": "0", "is_active": False,
        "last_sale_at": "2026-11-18T06:29:58-04:00",
    }  # fmt: skip


def test_an_update_of_a_price_says_nothing_of_the_rest() -> None:
    (product,) = sound("product_updated", {"sku": "55", "sellingPrice": "1,250.00"}).products
    assert said(product) == {"sku": "55", "selling_price": "1250.00"}
    (cleared,) = sound("product_updated", {"sku": "55", "category": None}).products
    assert said(cleared) == {"sku": "55", "category_ref": None}


def test_a_movement_of_stock() -> None:
    data = {"id": "m-1", "sku": "000123", "type": "merma", "quantity": -0.125, "reference": 44, "date": "2026-11-18"}
    (movement,) = sound("stock_movement", data).movements
    assert said(movement) == {
        "product_ref": ident("product", "product_updated", "000123"), "sku": "000123", "store_id": STORE_1, "kind": "merma",
        "quantity": "-0.125", "reference": "44", "occurred_at": "2026-11-18T00:00:00-04:00",
    }  # fmt: skip


def test_text_with_a_comma_is_refused_until_a_template_says_how_it_reads() -> None:
    data = {"id": "m-1", "sku": "1", "quantity": "1.234,5", "date": "2026-11-18"}
    (entry,) = made("stock_movement", data).quarantined
    assert "movement.quantity: '1.234,5' is not a number written as 1,234.56" in entry.message
    own = """
movement:
  - {from: stock_movement, key: id, sku: sku, kind: {value: ajuste}, occurred_at: occurredAt,
     quantity: {column: quantity, format: "1.234,56"}}
"""
    assert moved(sound("stock_movement", data, shop("webhook", own))) == [("upsert", "1", "ajuste", "1234.5")]


def test_a_template_may_map_fields_of_any_name() -> None:
    own = "sale: {number: factura.numero, total: {column: monto, format: '1.234,56'}, sold_at: {column: cuando, format: '%d/%m/%Y'}}"
    own += "\nmovement: [{from: stock_movement, key: id, sku: sku, kind: {value: x}, quantity: quantity, occurred_at: occurredAt}]"
    data = {"id": "1", "factura": {"numero": 17}, "monto": "Bs. 1.116,50", "cuando": "18/11/2026"}
    (sale,) = sound("sale_completed", data, shop("webhook", own)).sales
    assert sale.header is not None
    assert (sale.header.number, sale.header.total, sale.header.sold_at_precision) == ("17", "1116.50", "date")


def test_an_event_belongs_to_the_store_that_it_or_its_sender_names() -> None:
    both = system_of(ON.mapping, STORES)
    check(load("webhook"), stores=2)
    found = sound("sale_completed", {**SALE, "storeId": "2"}, both)
    assert {found.sales[0].store_id, *(one.store_id for one in found.movements)} == {STORES[1].id}
    assert sound("sale_completed", SALE, both, store="1").sales[0].store_id == STORE_1
    refused = made("sale_completed", {**SALE, "storeId": "3"}, both)
    assert {entry.code for entry in refused.quarantined} == {"UNKNOWN_STORE"}


# Versions -------------------------------------------------------------------------------------------------------------


def plain(count: int, version: int | None = None, **more: Any) -> ChangeSet:
    """Rows of a gateway's record."""
    rows = [Row(0, "u", 0, version, None, [str(at)]) for at in range(count)]
    layout = Layout("stock_movement", ["id"], [Column("id", "text")])
    given: dict[str, Any] = {"producer": "gateway", "epoch": EPOCH, **more}
    return ChangeSet(
        system_id=SYSTEM, journal_id="", sequence=0, captured_at=RECEIVED, position="", part=0, last_part=True,
        layouts=[layout], rows=rows, ends=[], **given,
    )  # fmt: skip


def test_a_version_is_epoch_offset_and_row() -> None:
    found = sound("sale_completed", SALE)
    assert found.sales[0].header is not None
    assert found.sales[0].header.version == 3 << 47 | 17 << 10
    assert [line.version for line in found.sales[0].lines] == [3 << 47 | 17 << 10 | 1, 3 << 47 | 17 << 10 | 2]
    assert [one.version for one in found.movements] == [line.version for line in found.sales[0].lines]
    assert epoch_of(found.movements[0].version) == 3


def test_rows_of_one_record_lie_between_those_of_its_neighbours() -> None:
    records = [numbered(plain(1024), offset).rows for offset in (0, 1, 2**37 - 1)]
    versions = [row.version for rows in records for row in rows]
    assert None not in versions
    assert versions == sorted(set(versions), key=lambda version: version or 0)
    assert (versions[0], versions[-1]) == (version_of(EPOCH, 0), version_of(EPOCH, 2**47 - 1))


@pytest.mark.parametrize(
    ("change_set", "offset", "why"),
    [
        (plain(1025), 0, "1025 rows, 1024 is the most"),
        (plain(1), 2**37, "epoch 3 or offset 137438953472 is out of range"),
        (plain(1, epoch=0), 0, "epoch 0 or offset 0"),
        (plain(1, producer="agent"), 0, "a row has no version"),
        (plain(1, producer="bridge"), 0, "a row has no version"),
    ],
)
def test_a_row_that_can_have_no_version_is_unreadable(change_set: ChangeSet, offset: int, why: str) -> None:
    with pytest.raises(UnreadableRecordError, match=why):
        DECODE(Raw("pos.changes.v1", 4, offset, ENCODE(change_set)))


def test_a_version_that_is_there_stays() -> None:
    for one in (plain(2, 7), plain(2, 7, producer="agent")):
        assert DECODE(Raw("pos.changes.v1", 4, OFFSET, ENCODE(one))).change_set == one
    one = plain(2, 7)
    mixed = replace(one, rows=[one.rows[0], replace(one.rows[1], version=None)])
    assert [row.version for row in numbered(mixed, OFFSET).rows] == [7, 3 << 47 | 17 << 10 | 1]


def test_a_record_or_a_row_that_is_mapped_again_keeps_its_versions() -> None:
    sent = raw("sale_completed", {**SALE, "taxes": [{"category": "lujo"}]})
    first = records(DECODE, Mapping(ON))(sent)
    again = RawRemapping(ON, lambda _: SCHEMA).record(sent)
    assert replace(again, replayed=False) == first
    (entry,) = first.quarantined
    assert (entry.version, entry.external_id) == (3 << 47 | 17 << 10 | 4, "9001/1")
    assert entry.change is not None
    row = Remapping(ON).row(entry.change, Place(entry.topic, entry.partition, entry.offset))
    assert [one.version for one in row.quarantined] == [entry.version]
