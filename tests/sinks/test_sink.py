"""The sink against real Kafka and PostgreSQL, in the test's own process."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from fluxion.errors import FencedError, TopicReplacedError
from fluxion.postgres import SINK, connect
from schemas.records import End, Quarantined, Sale
from sinks import sweeps
from sinks.refused import NOBODY
from tests.sinks.conftest import SinkHere
from tests.sinks.shop import OpenShop

SALES = "select external_id, total::text, purged_at is not null from fluxion.sales where tenant_id = :tenant order by 1"
LINES = "select external_id, sku, purged_at is not null from fluxion.sale_items where tenant_id = :tenant order by 1"
EVENTS = "select data from pos_integration.outbox where tenant_id = :tenant order by id"
OURS = "topic = 'fluxion.records.v1'"
REFUSED = "select code, external_id, raw from pos_integration.quarantine where tenant_id = :tenant order by id"


def events(shop: OpenShop) -> list[dict[str, Any]]:
    return [row[0]["sale"] for row in shop.rows(EVENTS)]


def state(shop: OpenShop) -> dict[str, Any]:
    tables = ("categories", "products", "sales", "sale_items", "sale_payments", "sale_taxes")
    return {
        table: shop.rows(f"select * from fluxion.{table} where tenant_id = :tenant order by id") for table in tables
    }


def test_a_sale_becomes_rows_and_one_event(shop: OpenShop, sink: SinkHere) -> None:
    mine = shop.shop
    shop.send(mine.record(products=[mine.product(1)], stock=[mine.stock(1, "-4.5")]), mine.record(sales=[mine.sale(7)]))
    sink.to_the_end(shop)
    assert shop.rows(SALES) == [("7", "34.8000", False)]
    assert [row[0] for row in shop.rows(LINES)] == ["7|1", "7|2", "7|3"]
    assert shop.rows(
        "select quantity::text from fluxion.stock_levels where tenant_id = :tenant and external_id = '1'"
    ) == [("-4.5000",)]
    (event,) = events(shop)
    assert (event["complete"], event["totalsMatch"], event["soldAt"]) == (True, True, "2030-05-01T08:00:00-04:00")
    assert [(line["lineNo"], line["name"]) for line in event["lines"]] == [(1, "Product 1"), (2, None), (3, None)]
    assert shop.one("select last_sync_at is not null from pos_integration.pos_systems where tenant_id = :tenant")


def test_reading_the_same_records_again_changes_nothing(shop: OpenShop, sink: SinkHere) -> None:
    mine = shop.shop
    records = [
        mine.record(products=[mine.product(11), mine.product(12)]),
        mine.record(sales=[mine.sale(1), mine.sale(2, lines=0, txn_end=False)]),
        mine.record(
            sales=[
                Sale(id=mine.id("sale", 1), store_id=None, header=None, lines=[mine.line(1, 2, "delete")], txn_end=True)
            ]
        ),
        mine.record(products=[mine.product(12, "delete"), mine.product(11, name="New")]),
    ]
    shop.send(*records)
    sink.to_the_end(shop)
    before = state(shop)
    shop.send(*records, *records)
    sink.to_the_end(shop)
    after = state(shop)
    for table in before:
        assert _but_times(after[table]) == _but_times(before[table]), table
    assert len(events(shop)) == 1


def _but_times(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    """An unannounced sale that is met again settles later; nothing else may move."""
    return [[value for value in row if not hasattr(value, "hour")] for row in rows]


def test_an_older_version_never_overwrites_a_newer_one(shop: OpenShop, sink: SinkHere) -> None:
    mine = shop.shop
    older, newer = mine.product(1, name="older"), mine.product(1, name="newer")
    shop.send(mine.record(products=[newer]))
    sink.to_the_end(shop)
    shop.send(mine.record(products=[older]))
    sink.to_the_end(shop)
    names = "select name from fluxion.products where tenant_id = :tenant"
    assert shop.rows(names) == [("newer",)]
    shop.send(mine.record(revision=2, products=[msgspec.structs.replace(newer, name="mapped anew")]))
    sink.to_the_end(shop)
    assert shop.rows(names) == [("mapped anew",)]


def test_a_field_that_was_not_sent_keeps_its_value(shop: OpenShop, sink: SinkHere) -> None:
    mine = shop.shop
    shop.send(mine.record(products=[mine.product(1)]))
    sink.to_the_end(shop)
    partial = msgspec.structs.replace(mine.product(1, name="New"), fields=["name", "barcode"])
    shop.send(mine.record(products=[partial]))
    sink.to_the_end(shop)
    query = "select name, barcode, sku, selling_price::text from fluxion.products where tenant_id = :tenant"
    assert shop.rows(query) == [("New", None, "SKU-1", "10.0000")]


def test_bad_rows_amid_good_ones_go_to_quarantine_alone(shop: OpenShop, sink: SinkHere) -> None:
    mine = shop.shop
    bad = {
        "nul": mine.product("nul", name="a\0b"),
        "range": mine.product("range", selling_price="123456789012345678"),
        "text": mine.product("text", selling_price="about ten"),
        "nan": mine.product("nan", selling_price="NaN"),
        "year": mine.product("year", last_sale_at="12000-01-01T00:00:00Z"),
    }
    for place, row in enumerate(bad.values()):
        good = [mine.product(f"before {place}"), mine.product(f"after {place}")]
        shop.send(mine.record(products=[good[0], row, good[1]]), mine.record(sales=[mine.sale(place)]))
    sink.to_the_end(shop)
    assert shop.one("select count(*) from fluxion.products where tenant_id = :tenant") == 2 * len(bad)
    assert {(code, key) for code, key, _ in shop.rows(REFUSED)} == {("ROW_REFUSED", key) for key in bad}
    assert len(events(shop)) == len(bad)
    raw = {key: raw for _, key, raw in shop.rows(REFUSED)}
    assert msgspec.json.decode(raw["nul"])["name"] == "a\0b"


def test_what_cannot_be_read_or_has_no_owner_is_set_aside_whole(shop: OpenShop, sink: SinkHere) -> None:
    mine = shop.shop
    shop.send_raw(b"\0\0\0\0\1 not Avro")
    stray = replace(mine, system=f"{mine.system[:-4]}{'0000' if mine.system[-4:] != '0000' else '1111'}")
    foreign = msgspec.structs.replace(mine.record(sales=[mine.sale(1)]), system_id=stray.system)
    other_store = msgspec.structs.replace(mine.sale(2), store_id=NOBODY)
    shop.send(foreign, mine.record(sales=[other_store, mine.sale(3)]))
    sink.to_the_end(shop)
    found = shop.rows(REFUSED)
    assert [(code, key) for code, key, _ in found] == [("UNREADABLE_RECORD", None), ("UNKNOWN_STORE", "2")]
    assert found[0][2] == b"\0\0\0\0\1 not Avro"
    nobodys = shop.rows(
        f"select code from pos_integration.quarantine where tenant_id = '{NOBODY}' and pos_system_id = '{stray.system}'"
    )
    assert nobodys == [("UNKNOWN_SYSTEM",)]
    assert [event["externalId"] for event in events(shop)] == ["3"]


def test_what_a_processor_refused_is_kept_once(shop: OpenShop, sink: SinkHere) -> None:
    mine = shop.shop
    refused = Quarantined(
        topic="pos.changes.v1", partition=1, offset=5, external_table="ventas", external_id="9", version=3,
        code="INVALID_VALUE", error_class="DATA_VALIDATION_ERROR", message="no number", raw='{"total": "x"}',
    )  # fmt: skip
    whole = msgspec.structs.replace(refused, external_table=None, external_id=None, version=None, raw="AAEC")
    shop.send(*[mine.record(quarantined=[refused, whole])] * 2)
    sink.to_the_end(shop)
    assert shop.rows(REFUSED) == [("INVALID_VALUE", "9", b'{"total": "x"}'), ("INVALID_VALUE", None, b"\0\1\2")]


def test_a_purged_sale_is_kept_and_sends_nothing(shop: OpenShop, sink: SinkHere) -> None:
    mine = shop.shop
    shop.send(mine.record(sales=[mine.sale(1, lines=1)]))
    sink.to_the_end(shop)
    gone = Sale(
        id=mine.id("sale", 1),
        store_id=None,
        header=mine.header(1, "delete"),
        lines=[mine.line(1, 1, "delete")],
        txn_end=True,
    )
    unknown = Sale(id=mine.id("sale", 2), store_id=None, header=mine.header(2, "delete"), lines=[], txn_end=True)
    late = mine.sale(2)
    shop.send(mine.record(sales=[gone, unknown]))
    sink.to_the_end(shop)
    assert shop.rows(SALES) == [("1", "34.8000", True), ("2", None, True)]
    assert shop.rows(LINES) == [("1|1", "SKU-1", True)]
    assert len(events(shop)) == 1
    # A tombstone holds against what is older, and a newer upsert revives.
    old = msgspec.structs.replace(late.header, version=1) if late.header else None
    shop.send(mine.record(sales=[msgspec.structs.replace(late, header=old, lines=[])]))
    sink.to_the_end(shop)
    assert shop.rows(SALES)[1] == ("2", None, True)
    shop.send(mine.record(sales=[mine.sale(2)]))
    sink.to_the_end(shop)
    assert shop.rows(SALES)[1] == ("2", "34.8000", False)
    assert [event["externalId"] for event in events(shop)] == ["1", "2"]


def test_a_sale_that_nothing_marks_as_whole_settles(open_shop: Callable[..., OpenShop], sink: SinkHere) -> None:
    shop = open_shop(settle_seconds=3)
    mine = shop.shop
    quiet, bare, running = (
        mine.sale("quiet", txn_end=False), mine.sale("bare", lines=0), mine.sale("open", closed=False)
    )  # fmt: skip
    shop.send(mine.record(sales=[quiet, bare, running]))
    sink.until(lambda: len(events(shop)) == 2)
    assert [(event["externalId"], event["complete"]) for event in events(shop)] == [("quiet", True), ("bare", False)]
    shop.send(mine.record(sales=[mine.of_sale("bare", txn_end=False, lines=[mine.line("bare", 1)])]))
    sink.until(lambda: len(events(shop)) == 3)
    assert (events(shop)[2]["externalId"], len(events(shop)[2]["lines"]), events(shop)[2]["complete"]) == (
        "bare",
        1,
        True,
    )
    assert shop.one("select count(*) from fluxion.sales where tenant_id = :tenant and settle_at is not null") == 0


def test_a_header_and_its_lines_in_different_records_are_one_event(shop: OpenShop, sink: SinkHere) -> None:
    mine = shop.shop
    lines = Sale(id=mine.id("sale", 1), store_id=None, header=None, lines=[mine.line(1, 1), mine.line(1, 2)])
    shop.send(mine.record(sales=[lines]))
    sink.to_the_end(shop)
    assert events(shop) == []
    shop.send(mine.record(sales=[mine.sale(1, lines=0)]))
    sink.to_the_end(shop)
    assert [len(event["lines"]) for event in events(shop)] == [2]


def test_a_snapshot_is_judged_at_its_end(shop: OpenShop, sink: SinkHere) -> None:
    mine = shop.shop
    old = mine.sale("old", lines=0, snapshot=True, txn_end=False, sold_at="2020-01-01T00:00:00Z")
    new = mine.sale("new", lines=0, snapshot=True, txn_end=False)
    shop.send(mine.record(sales=[old, new], ends=[End(table="ventas", first_version=1)]))
    lines = [
        Sale(id=mine.id("sale", key), store_id=None, header=None, lines=[mine.line(key, 1, snapshot=True)])
        for key in ("old", "new")
    ]
    shop.send(mine.record(sales=lines))
    sink.to_the_end(shop)
    assert events(shop) == []
    shop.send(mine.record(ends=[End(table="detalle", first_version=1)]))
    announced = "select count(*) from fluxion.sales where tenant_id = :tenant and announced_hash is not null"
    sink.until(lambda: shop.one(announced) == 2)
    assert [(event["externalId"], event["isSnapshot"], len(event["lines"])) for event in events(shop)] == [
        ("new", True, 1)
    ]


def test_lines_are_linked_with_products_by_sku(shop: OpenShop, sink: SinkHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "LINK_EVERY_S", 0.2)
    mine = shop.shop
    shop.send(mine.record(sales=[mine.sale(1, lines=2)]), mine.record(products=[mine.product(1)]))
    linked = "select sku, product_id::text from fluxion.sale_items where tenant_id = :tenant and product_id is not null"
    sink.until(lambda: bool(shop.rows(linked)))
    assert shop.rows(linked) == [("SKU-1", mine.id("product", 1))]
    moved = Sale(id=mine.id("sale", 1), store_id=None, header=None, lines=[mine.line(1, 1, sku="SKU-9")])
    shop.send(mine.record(sales=[moved]))
    sink.until(lambda: ("1|1", "SKU-9", False) in shop.rows(LINES))
    assert shop.rows(linked) == []


def test_a_zombie_is_fenced(shop: OpenShop, sink: SinkHere) -> None:
    mine = shop.shop
    moved = False

    def overtake() -> bool:
        """Another sink reads past us, which it could only do after our partitions were given to it."""
        nonlocal moved
        if not moved and zombie._places:
            moved = True
            with connect(shop.dsn, SINK) as link:
                link.execute(f"update pos_integration.stream_offsets set next = next + 1 where {OURS}".encode())
            shop.send(mine.record(sales=[mine.sale(1)]))
        return False

    zombie = sink.make()
    try:
        with pytest.raises(FencedError):
            sink.until(overtake, zombie)
    finally:
        shop.link.execute(f"update pos_integration.stream_offsets set next = next - 1 where {OURS}".encode())
    assert shop.rows(SALES) == []
    sink.to_the_end(shop)
    assert [row[0] for row in shop.rows(SALES)] == ["1"]


@pytest.mark.parametrize(
    "change", ["topic_id = 'another' || partition", "next = next + 1000000"], ids=["recreated", "shorter"]
)
def test_another_topic_under_the_same_name_stops_the_sink(shop: OpenShop, sink: SinkHere, change: str) -> None:
    sink.to_the_end(shop)
    before = shop.rows(f"select topic_id, partition, next from pos_integration.stream_offsets where {OURS}")
    shop.link.execute(f"update pos_integration.stream_offsets set {change} where {OURS}".encode())
    try:
        with pytest.raises(TopicReplacedError):
            sink.until(lambda: False)
    finally:
        for topic_id, partition, place in before:
            shop.link.execute(
                f"update pos_integration.stream_offsets set topic_id = %s, next = %s where partition = %s and {OURS}".encode(),
                [topic_id, place, partition],
            )


def test_a_broken_connection_is_waited_for_and_nothing_is_quarantined(shop: OpenShop, sink: SinkHere) -> None:
    mine = shop.shop
    worker = sink.make()
    cut = False

    def enough() -> bool:
        nonlocal cut
        if not cut and worker._session is not None and worker._places:
            cut = True
            worker._session.link.close()
            shop.send(*[mine.record(sales=[mine.sale(number)]) for number in range(50)])
        time.sleep(0)
        return len(events(shop)) == 50

    sink.until(enough, worker)
    assert cut
    assert shop.rows(REFUSED) == []
