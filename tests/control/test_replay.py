"""`fluxion system replay`: the raw log mapped again after a mapping was mended; said first, then done, and nothing newer undone."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import TopicPartition

from control.raw_log import RawLog, look_up_of
from control.replay import Replay, Window, window
from fluxion.kafka import consumer, producer
from fluxion.postgres import STAGE, connect
from fluxion.registry import load_system
from fluxion.schema_registry import SchemaRegistry
from schemas.mapping import load, resolve
from schemas.records import End
from schemas.topics import CHANGES, RECORDS
from tests.conftest import Cloud
from tests.control.live import Pos
from tests.stream_processors import sets
from tests.stream_processors.cloud_side import set_mapping

PRICES = (
    "select external_id, selling_price::text, version from fluxion.products where pos_system_id = %(system)s"
    " order by external_id"
)
REVISIONS = "select distinct mapping_revision from fluxion.products where pos_system_id = %(system)s"


def price_from(column: str) -> str:
    data = resolve(load("systimax"))
    data["product"][0]["selling_price"] = {"column": column}
    return json.dumps(data)


def item(number: int, **changed: str | None) -> list[str | None]:
    values = {"item_id": str(number), "item_code": f"SKU-{number}", "sale_price": "120.00", "cost_price": "80.00"}
    return sets.cells(sets.ITEMS, sets.ITEM, **{**values, **changed})


def ends_of_topics(cloud: Cloud, pos: Pos) -> tuple[int, int]:
    """The ends of the system's partition in the raw topic and in that of canonical records."""
    with RawLog(cloud.stack.kafka, pos.system) as log:
        partition = log.partition
        raw = log.bounds()[1]
    reader = consumer(cloud.stack.kafka, "test")
    try:
        return raw, reader.get_watermark_offsets(TopicPartition(RECORDS.name, partition), timeout=10)[1]
    finally:
        reader.close()


def revision(cloud: Cloud, pos: Pos) -> int:
    with connect(cloud.stack.postgres, STAGE) as link:
        return load_system(link, pos.system).mapping_revision


def test_a_mended_mapping_is_previewed_field_by_field_and_then_carried_out(cloud: Cloud, pos: Pos) -> None:
    first = pos.next_version
    old = revision(cloud, pos)
    pos.send((sets.ITEMS, "c", 0, item(1)), (sets.ITEMS, "c", 1, item(2, cost_price="80.50")))
    pos.until(PRICES, [("1", "120.0000", first), ("2", "120.0000", first + 1)])
    set_mapping(cloud.stack.postgres, pos.system, price_from("cost_price"))
    before = ends_of_topics(cloud, pos)

    said = pos.run("system", "replay", pos.system, "--from", "1h", "--preview")
    assert "fluxion.products: 2 rows would change (selling_price 2)" in said
    assert "items 1: selling_price: 120.0000 → 80.00" in said
    assert "0 rows would be taken from quarantine" in said
    assert ends_of_topics(cloud, pos) == before
    assert [row[1] for row in pos.rows(PRICES)] == ["120.0000", "120.0000"]

    said = pos.run("system", "replay", pos.system, "--from", "1h", "--yes")
    assert f"1 records mapped again with mapping revision {old + 1}" in said
    pos.until(PRICES, [("1", "80.0000", first), ("2", "80.5000", first + 1)])
    assert pos.rows(REVISIONS) == [(old + 1,)]
    raw, records = ends_of_topics(cloud, pos)
    assert raw == before[0], "raw records are never produced again"
    assert records == before[1] + 1
    assert "no row would change" in pos.run("system", "replay", pos.system, "--from", "1h", "--preview")


def test_what_came_later_is_not_undone(cloud: Cloud, pos: Pos) -> None:
    pos.send((sets.ITEMS, "c", 0, item(1)))
    time.sleep(0.05)  # a moment tells two records apart only where it is not the same millisecond
    pos.send((sets.ITEMS, "u", 0, item(1, sale_price="150.00", cost_price="99.00")))
    last = pos.next_version - 1
    pos.until(PRICES, [("1", "150.0000", last)])
    set_mapping(cloud.stack.postgres, pos.system, price_from("cost_price"))
    with RawLog(cloud.stack.kafka, pos.system) as log:
        (one, two) = (raw.offset for raw in log.read(*log.bounds()))
        until = log.moment_of(two)
    assert one < two
    assert until is not None
    # The first record alone: PostgreSQL has a newer row, whatever the mapping.
    bounds = ("--from", "1h", "--to", until.isoformat())
    assert "no row would change" in pos.run("system", "replay", pos.system, *bounds, "--preview")
    said = pos.run("system", "replay", pos.system, *bounds, "--yes")
    assert "1 records mapped again" in said
    pos.send((sets.CATEGORIES, "c", 0, ["7", "Víveres"]))
    pos.until("select name from fluxion.categories where pos_system_id = %(system)s", [("Víveres",)])
    assert pos.rows(PRICES) == [("1", "150.0000", last)]


def test_rows_leave_quarantine_and_others_are_refused_as_the_preview_said(cloud: Cloud, pos: Pos) -> None:
    pos.send((sets.ITEMS, "c", 0, item(1, item_code=None)), (sets.ITEMS, "c", 1, item(2, item_name=None)))
    waiting = (
        "select version, resolution from pos_integration.quarantine where pos_system_id = %(system)s order by version"
    )
    pos.until(waiting, [(sets.FIRST, None)])
    pos.until("select sku from fluxion.products where pos_system_id = %(system)s", [("SKU-2",)])
    data = resolve(load("systimax"))
    data["product"][0]["sku"] = {"column": "item_name"}
    set_mapping(cloud.stack.postgres, pos.system, json.dumps(data))
    said = pos.run("system", "replay", pos.system, "--from", "1h", "--preview")
    assert "1 would be new" in said
    assert "1 rows would be taken from quarantine" in said
    assert "1 rows would now be refused" in said
    assert pos.rows(waiting) == [(sets.FIRST, None)]
    said = pos.run("system", "replay", pos.system, "--from", "1h", "--yes")
    assert "1 rows taken from quarantine, 1 refused" in said
    pos.until(waiting, [(sets.FIRST, "retried"), (sets.FIRST + 1, None)])


def test_it_asks_before_it_does_anything(cloud: Cloud, pos: Pos) -> None:
    pos.send((sets.ITEMS, "c", 0, item(1)))
    pos.until("select sku from fluxion.products where pos_system_id = %(system)s", [("SKU-1",)])
    before = ends_of_topics(cloud, pos)
    status, said = pos.refused("system", "replay", pos.system, "--from", "1h")
    assert status == 1
    assert "--preview" in said
    assert ends_of_topics(cloud, pos) == before


def test_a_time_that_holds_nothing_is_said(pos: Pos) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    status, said = pos.refused("system", "replay", pos.system, "--from", later, "--yes")
    assert status == 1
    assert "choose an earlier --from" in said


@pytest.fixture
def raw_pos(cloud: Cloud) -> Iterator[Pos]:
    """A point of sale without processor and sink."""
    made = Pos(cloud)
    yield made
    made.close()


def replay_of(cloud: Cloud, pos: Pos, log: RawLog) -> Replay:
    with connect(cloud.stack.postgres, STAGE) as link:
        system = load_system(link, pos.system)
    return Replay(system, look_up_of(SchemaRegistry(cloud.stack.registry)), log)


def test_the_end_of_a_snapshot_is_repeated_only_where_the_whole_snapshot_is_in_the_window(
    cloud: Cloud, raw_pos: Pos
) -> None:
    pos = raw_pos
    pos.send((sets.ITEMS, "c", 0, item(1)))
    began = pos.next_version
    pos.send((sets.ITEMS, "r", 0, item(1)))
    pos.send((sets.ITEMS, "r", 0, item(2)), ends=(End("items", began),))
    with RawLog(cloud.stack.kafka, pos.system) as log:
        offsets = [raw.offset for raw in log.read(*log.bounds())]
        end = log.bounds()[1]
        assert len(offsets) == 3
        whole = replay_of(cloud, pos, log)
        from_first = [[e.first_version for e in record.ends] for record in whole.records(Window(offsets[1], end, None))]
        assert from_first == [[], [began]]
        assert whole.passed.ends_left_out == set()
        part = replay_of(cloud, pos, log)
        assert [record.ends for record in part.records(Window(offsets[2], end, None))] == [[]]
        assert part.passed.ends_left_out == {"items"}
        assert part.passed.records == 1


def test_ends_behind_the_window_come_too_where_they_speak_of_its_rows(cloud: Cloud, raw_pos: Pos) -> None:
    pos = raw_pos
    pos.send((sets.ITEMS, "c", 0, item(1)))
    began = pos.next_version
    pos.send((sets.ITEMS, "r", 0, item(2)), ends=(End("items", began), End("stock", began)))
    with RawLog(cloud.stack.kafka, pos.system) as log:
        first, second = (raw.offset for raw in log.read(*log.bounds()))
        row, end = replay_of(cloud, pos, log).records(Window(first, second, None))
        assert [product.external_id for product in row.products] == ["1"]
        assert (end.products, [(one.table, one.first_version) for one in end.ends]) == ([], [("items", began)])


def test_what_cannot_be_mapped_at_all_is_told_and_left_as_it_is(cloud: Cloud, raw_pos: Pos) -> None:
    raw_pos.send_bytes(b"foreign")
    raw_pos.send((sets.ITEMS, "c", 0, item(1)))
    with RawLog(cloud.stack.kafka, raw_pos.system) as log:
        again = replay_of(cloud, raw_pos, log)
        (made,) = again.records(Window(*log.bounds(), None))
        assert made.replayed
        assert [product.sku for product in made.products] == ["SKU-1"]
        assert len(again.passed.unmapped) == 1


def test_a_window_begins_with_the_first_record_of_its_time_and_ends_where_the_log_ended(
    cloud: Cloud, raw_pos: Pos
) -> None:
    raw_pos.send((sets.ITEMS, "c", 0, item(1)))
    time.sleep(0.05)
    between = datetime.now(UTC)
    time.sleep(0.05)
    raw_pos.send((sets.ITEMS, "c", 0, item(2)))
    with RawLog(cloud.stack.kafka, raw_pos.system) as log:
        chosen = window(log, between, None)
        assert chosen.lost_until is None
        raw_pos.send((sets.ITEMS, "c", 0, item(3)))
        assert len(list(log.read(chosen.start, chosen.end))) == 1
        before = window(log, between - timedelta(minutes=5), between)
        assert len(list(log.read(before.start, before.end))) == 1


def test_records_of_other_systems_in_the_same_partition_are_not_read(cloud: Cloud, raw_pos: Pos) -> None:
    raw_pos.send((sets.ITEMS, "c", 0, item(1)))
    with RawLog(cloud.stack.kafka, raw_pos.system) as log:
        partition = log.partition
        raw = next(iter(log.read(*log.bounds())))
        assert log.at(partition, raw.offset) == raw

    out = producer(cloud.stack.kafka)
    out.produce(CHANGES.name, b"other", b"another system", partition=partition)
    assert out.flush(10) == 0
    with RawLog(cloud.stack.kafka, raw_pos.system) as log:
        end = log.bounds()[1]
        assert list(log.read(end - 1, end)) == []
        assert log.at(partition, end - 1) is None
        assert log.at(partition, 10**12) is None


def test_deletes_that_wait_are_listed_and_confirmed_with_who_did_it(raw_pos: Pos) -> None:
    pos = raw_pos
    assert "no deletes wait" in pos.run("system", "confirm-deletes", pos.system)
    rows = pos.rows(
        "insert into pos_integration.pending_deletes (tenant_id, pos_system_id, external_table, first_version, deletions,"
        " row_count, of_rows, partition) select tenant_id, id, 'items', 1, '[]', 30, 100, 0"
        " from pos_integration.pos_systems where id = %(system)s returning id"
    )
    assert len(rows) == 1
    assert "30" in pos.run("system", "confirm-deletes", pos.system)
    status, said = pos.refused("system", "confirm-deletes", pos.system, "stock")
    assert status == 1
    assert "what waits: items" in said
    assert "up to 30 rows" in pos.run("system", "confirm-deletes", pos.system, "items", "--by", "ana")
    query = "select confirmed_by, confirmed_at is not null from pos_integration.pending_deletes where pos_system_id = %(system)s"
    assert pos.rows(query) == [("ana", True)]
    assert "no deletes wait" in pos.run("system", "confirm-deletes", pos.system)
