"""docs/events: every field of the contract and none besides, and samples that are what a consumer reads."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from schemas.codec import Decoder, Encoder, schema_text
from schemas.events import SaleEvent
from schemas.identity import event_id
from schemas.topics import SALE_EVENTS
from sinks.customer import customer, masked
from tests.docs.test_asyncapi import PAGE
from tests.support.local import ROOT

FOLDER = ROOT / "docs" / "events"
SAMPLES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("samples/*.json"))}
SCHEMA = json.loads(schema_text("sale_event"))


def said_type(kind: Any) -> str:
    """A field's type as the page writes it."""
    if isinstance(kind, str):
        return kind
    if isinstance(kind, list):
        return " or ".join([*(said_type(one) for one in kind if one != "null"), "null"])
    return f"list of {said_type(kind['items'])}" if kind["type"] == "array" else str(kind["name"])


def records(kind: Any) -> Iterator[dict[str, Any]]:
    if isinstance(kind, list):
        for one in kind:
            yield from records(one)
    elif isinstance(kind, dict) and kind["type"] == "record":
        yield kind
        for field in kind["fields"]:
            yield from records(field["type"])
    elif isinstance(kind, dict):
        yield from records(kind["items"])


def test_the_page_of_fields_has_every_field_of_the_contract_with_its_type_and_no_other() -> None:
    page = (FOLDER / "fields.md").read_text(encoding="utf-8")
    said = {
        name: re.findall(r"^\| `(\w+)` \| ([^|]+?) \| \S", text, re.MULTILINE)
        for name, text in re.findall(r"^## (\w+):.*?\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    }
    assert said == {
        record["name"]: [(field["name"], said_type(field["type"])) for field in record["fields"]]
        for record in records(SCHEMA)
    }


def test_the_headers_are_those_of_asyncapi() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8").partition("## Headers")[2]
    assert (
        re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE) == PAGE["components"]["schemas"]["cloudEvent"]["required"]
    )


def test_every_event_has_its_page_and_every_sample_stands_on_the_page_of_its_event() -> None:
    types = {
        message["headers"]["allOf"][1]["properties"]["ce_type"]["const"]
        for message in PAGE["components"]["messages"].values()
        if "headers" in message
    }
    pages = {name: (FOLDER / f"{name}.md").read_text(encoding="utf-8") for name in types}
    rows = {name: re.findall(r"^\| \[\w+\]\(samples/(\w+)\.json\)", page, re.MULTILINE) for name, page in pages.items()}
    held: dict[str, list[str]] = {name: [] for name in types}
    for sample, record in SAMPLES.items():
        held[record["headers"]["ce_type"]].append(sample)
    assert {name: sorted(found) for name, found in rows.items()} == held
    assert all(held.values())


def test_every_link_leads_somewhere() -> None:
    for page in FOLDER.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (FOLDER / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_what_a_consumer_reads_from_the_bytes(name: str) -> None:
    value = SAMPLES[name]["value"]
    encode: Encoder[SaleEvent] = Encoder("sale_event", 1)
    decode: Decoder[SaleEvent] = Decoder("sale_event", SaleEvent, lambda _: schema_text("sale_event"))
    read = decode(encode(msgspec.convert(value, SaleEvent, strict=True)))
    assert json.dumps(msgspec.to_builtins(read)) == json.dumps(value)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_s_headers_belong_to_its_sale(name: str) -> None:
    sample = SAMPLES[name]
    event = msgspec.convert(sample["value"], SaleEvent)
    headers = sample["headers"]
    assert sample["topic"] == SALE_EVENTS.name
    assert sample["key"] == event.store_id
    assert list(headers) == PAGE["components"]["schemas"]["cloudEvent"]["required"]
    assert headers["ce_id"] == event_id(event.sale.sale_id, headers["ce_type"], event.sale.version, 1)
    assert headers["ce_source"] == f"/tenants/{event.tenant_id}/stores/{event.store_id}"
    assert headers["ce_subject"] == event.sale.sale_id


def total(amounts: list[str | None]) -> Decimal:
    return sum((Decimal(amount) for amount in amounts if amount is not None), Decimal(0))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_adds_up(name: str) -> None:
    sale = msgspec.convert(SAMPLES[name]["value"], SaleEvent).sale
    assert total([line.line_total for line in sale.lines]) == total([sale.subtotal])
    assert total([sale.subtotal, sale.tax_total]) == total([sale.total])
    assert total([tax.amount for tax in sale.taxes]) == total([sale.tax_total])
    assert total([tax.base for tax in sale.taxes]) == total([sale.subtotal])
    assert total([tender.amount_base for tender in sale.tenders]) == total([sale.total])
    assert total([tender.igtf for tender in sale.tenders]) == total([sale.igtf_total])
    for line in sale.lines:
        assert total([line.line_total, line.discount]) == total([line.quantity]) * total([line.unit_price])


def test_the_samples_show_what_shops_print() -> None:
    sales = {name: msgspec.convert(sample["value"], SaleEvent).sale for name, sample in SAMPLES.items()}
    assert sales["return"].doc_type == "credit_note"
    assert sales["return"].original_sale_id == sales["cash_sale"].sale_id
    assert sales["return"].original_number == sales["cash_sale"].number
    assert sales["voided"].status == "voided"
    assert sales["voided"].sale_id == sales["mixed_tender"].sale_id
    assert sales["corrected"].sale_id == sales["cash_sale"].sale_id
    assert sales["corrected"].version > sales["cash_sale"].version
    assert {line.tax_category for line in sales["exempt_items"].lines} >= {
        "exempt",
        "not_subject",
        "general",
        "reduced",
    }
    assert any("." in (line.quantity or "") for line in sales["weighed_lines"].lines)
    assert len({tender.method for tender in sales["mixed_tender"].tenders}) == 3
    assert sales["mixed_tender"].customer == customer(SAMPLES["mixed_tender"]["value"]["tenantId"], "J-07013380-5")
    references = [tender.reference for sale in sales.values() for tender in sale.tenders if tender.reference]
    assert references
    assert references == [masked(reference) for reference in references]
    assert sales["mixed_tender"].igtf_total is not None
