"""What a webhook's events do in PostgreSQL: the sale, a movement for each of its lines, and one sale_created."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fluxion.registry import Store
from producers.gateway.events import events_of
from producers.gateway.intake import Intake, Receipt
from schemas.codec import Encoder, schema_text
from schemas.identity import entity_id
from schemas.mapping import load
from schemas.records import CanonicalSet, ChangeSet
from stream_processors.drafts import Raw
from stream_processors.pipeline import Chain, records
from stream_processors.steps.decode import decoding
from stream_processors.steps.map import Mapping
from tests.sinks.desk import Desk
from tests.stream_processors.mssql import shop

SALE: dict[str, Any] = {
    "id": "9001", "invoiceNumber": "A-17", "date": "2030-05-01T12:00:00", "subtotal": "30.00", "tax": "4.80",
    "total": "34.80", "payment_method": "efectivo",
    "items": [
        {"sku": "000123", "quantity": "1.250", "unitPrice": "16", "lineTotal": "20.00"},
        {"sku": "55", "quantity": 2, "unitPrice": 5, "lineTotal": 10},
    ],
}  # fmt: skip
INTAKE = Intake(load("webhook"))
ENCODE: Encoder[ChangeSet] = Encoder("change_set", 1)


class Sender:
    """A webhook-fed system: its events go through the gateway's and the processor's pure parts, then to PostgreSQL."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._offset = 0
        mine = desk.shop
        store = Store(mine.store, None, "Chacao", "America/Caracas", "00:00:00")
        self._chain: Chain = records(
            decoding(lambda _: schema_text("change_set")),
            Mapping(
                replace(shop("webhook"), id=mine.system, tenant_id=mine.tenant, stores=(store,), mapping_revision=1)
            ),
        )

    def send(self, kind: str, *data: dict[str, Any]) -> None:
        """Send a batch; each event is a record with the next offset."""
        body = json.dumps([{"event_type": kind, "data": one} for one in data]).encode()
        receipt = Receipt(self._desk.shop.system, 1, 1_900_000_000_000_000)
        self._desk.write(*map(self._made, INTAKE.change_sets(events_of(body), receipt)))

    def _made(self, change_set: ChangeSet) -> CanonicalSet:
        self._offset += 1
        found = self._chain(Raw("pos.changes.v1", 0, self._offset, ENCODE(change_set)))
        assert [entry.message for entry in found.quarantined] == []
        return found

    def levels(self) -> dict[str, str]:
        """SKU → level."""
        mine = self._desk.shop
        names = {entity_id(mine.system, "product", "product_updated", [sku]): sku for sku in ("000123", "55")}
        query = "select product_id::text, quantity::text from fluxion.stock_levels where tenant_id = :tenant"
        return {names[product]: quantity for product, quantity in self._desk.rows(query)}


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk(stock_origin="movements")


def test_a_sale_is_stored_moves_stock_and_is_announced_once_however_often_it_comes(desk: Desk) -> None:
    sender = Sender(desk)
    sender.send("stock_movement", {"id": "m1", "sku": "000123", "kind": "compra", "quantity": 10, "date": "2030-04-30"})
    sender.send("sale_completed", SALE)
    sender.send("sale_completed", SALE, SALE)
    assert sender.levels() == {"000123": "8.7500", "55": "-2.0000"}
    ((kind, sale),) = desk.events()
    assert kind == "sale_created"
    assert (sale["number"], sale["total"], sale["currency"], sale["complete"]) == ("A-17", "34.8", "VES", True)
    assert [(line["sku"], line["quantity"]) for line in sale["lines"]] == [("000123", "1.25"), ("55", "2")]
    assert desk.rows("select method, amount::text from fluxion.sale_payments where tenant_id = :tenant") == [
        ("efectivo", "34.8000")
    ]
    data = "select data->>'tenantId', data->>'storeId' from pos_integration.outbox where tenant_id = :tenant"
    assert desk.rows(data) == [(desk.shop.tenant, desk.shop.store)]


def test_a_sale_that_is_void_later_gives_its_stock_back(desk: Desk) -> None:
    sender = Sender(desk)
    sender.send("sale_completed", SALE)
    sender.send("sale_completed", {**SALE, "status": "voided"})
    assert sender.levels() == {"000123": "0.0000", "55": "0.0000"}
    assert desk.types() == ["sale_created", "sale_voided"]


def test_events_of_a_batch_take_effect_in_its_order(desk: Desk) -> None:
    sender = Sender(desk)
    sender.send("product_updated", *({"sku": "55", "name": f"Pan {at}", "sellingPrice": at} for at in range(1, 30)))
    sender.send("product_updated", {"sku": "55", "sellingPrice": "1.50"})
    found = "select name, selling_price::text from fluxion.products where tenant_id = :tenant"
    assert desk.rows(found) == [("Pan 29", "1.5000")]


def test_a_return_brings_stock_in(desk: Desk) -> None:
    sender = Sender(desk)
    sender.send("sale_completed", SALE, {**SALE, "id": "9002", "docType": "credit_note", "originalId": "9001"})
    assert sender.levels() == {"000123": "0.0000", "55": "0.0000"}
    assert sorted(sale["docType"] for _, sale in desk.events()) == ["credit_note", "invoice"]
