"""Quarantine as the sink keeps it, rows of an older agent, and the cache of ids."""

from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from fluxion.postgres import APP, connect
from schemas.records import Quarantined
from sinks.refused import NOBODY
from tests.sinks.desk import Desk

REFUSED = (
    "select code, mapping_revision, source_offset, version is not null, resolution, change"
    " from pos_integration.quarantine where tenant_id = :tenant order by id"
)


def refused_by_processor(**fields: Any) -> Quarantined:
    said: dict[str, Any] = {
        "topic": "pos.changes.v1", "partition": 1, "offset": 5, "external_table": "ventas", "external_id": "9",
        "version": 3, "code": "INVALID_VALUE", "error_class": "DATA_VALIDATION_ERROR", "message": "no number",
        "raw": '{"total": "x"}', "change": '{"rows": []}',
    }  # fmt: skip
    return Quarantined(**said | fields)


def resolve(desk: Desk, resolution: str) -> None:
    with connect(desk.open.dsn, APP) as link:
        link.execute("select set_config('fluxion.tenant_id', %s, true)", [desk.shop.tenant])
        link.execute(
            "update pos_integration.quarantine set resolved_at = now(), resolution = %s, resolved_by = 'ana'",
            [resolution],
        )


def test_what_a_processor_refused_keeps_what_a_retry_needs(desk: Desk) -> None:
    mine = desk.shop
    desk.write(mine.record(quarantined=[refused_by_processor()]))
    assert desk.rows(REFUSED) == [("INVALID_VALUE", 1, 5, True, None, '{"rows": []}')]


def test_a_whole_record_that_did_not_come_in_base64_is_kept_as_it_came(desk: Desk) -> None:
    whole = refused_by_processor(external_table=None, external_id=None, version=None, raw="no base64!")
    desk.write(desk.shop.record(quarantined=[whole]))
    assert desk.rows("select raw from pos_integration.quarantine where tenant_id = :tenant") == [(b"no base64!",)]


def test_a_record_under_a_key_that_is_no_id_is_nobodys(desk: Desk) -> None:
    mine = desk.shop
    key = f"no id {mine.tenant}"
    desk.write(replace(mine.record(), system_id=key), mine.record(products=[mine.product(1)]))
    said = "select code, pos_system_id::text from pos_integration.quarantine where message like"
    assert desk.rows(f"{said} '%{key}%' and tenant_id = '{NOBODY}'") == [("UNKNOWN_SYSTEM", NOBODY)]
    assert desk.rows("select external_id from fluxion.products where tenant_id = :tenant") == [("1",)]


def test_a_record_that_is_refused_although_no_row_of_it_is_goes_to_quarantine_whole(desk: Desk) -> None:
    mine = desk.shop
    bad = mine.record(products=[mine.product(1)], ends=[mine.end("sale", 1, "purge", since="some day")])
    desk.write(mine.record(products=[mine.product(2)]), bad, mine.record(products=[mine.product(3)]))
    found = desk.rows("select code, external_table, message from pos_integration.quarantine where tenant_id = :tenant")
    assert [(code, table, "some day" in message) for code, table, message in found] == [("ROW_REFUSED", None, True)]
    assert desk.rows("select external_id from fluxion.products where tenant_id = :tenant order by 1") == [
        ("2",),
        ("3",),
    ]


@pytest.mark.parametrize(
    ("resolution", "replayed", "left"),
    [("retried", True, None), ("retried", False, "retried"), ("discarded", True, "discarded")],
)
def test_a_row_that_was_retried_in_vain_is_open_again(
    desk: Desk, resolution: str, *, replayed: bool, left: str | None
) -> None:
    mine = desk.shop
    desk.write(mine.record(quarantined=[refused_by_processor()]))
    resolve(desk, resolution)
    desk.write(mine.record(quarantined=[refused_by_processor(code="STILL_BAD")], replayed=replayed))
    code = "STILL_BAD" if left is None else "INVALID_VALUE"
    assert desk.rows(REFUSED) == [(code, 1, 5, True, left, '{"rows": []}')]


def test_what_the_sink_refuses_says_from_where_it_can_be_mapped_again(desk: Desk) -> None:
    mine = desk.shop
    bad = mine.product(1, selling_price="about ten")
    stray = replace(mine.movement("a", "1"), store_id=NOBODY)
    desk.write(replace(mine.record(products=[bad, mine.product(2)], movements=[stray]), source_offset=77))
    found = [(code, offset, version) for code, _, offset, version, _, _ in desk.rows(REFUSED)]
    assert sorted(found) == [("ROW_REFUSED", 77, True), ("UNKNOWN_STORE", 77, True)]
    assert desk.rows("select external_id from fluxion.products where tenant_id = :tenant") == [("2",)]
    assert desk.rows("select 1 from fluxion.stock_movements where tenant_id = :tenant") == []


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("sales", "doc_type", "factura"), ("sales", "status", "anulada"), ("sale_items", "tax_category", "E")],
)
def test_a_word_that_is_in_no_list_is_refused_with_its_row_only(
    desk: Desk, table: str, column: str, value: str
) -> None:
    mine = desk.shop
    said: dict[str, Any] = {column: value}
    bad = mine.sale(1, lines=0, **said) if table == "sales" else mine.of_sale(1, lines=[mine.line(1, 1, **said)])
    desk.sales(bad, mine.sale(2))
    assert [row[0] for row in desk.rows(REFUSED)] == ["ROW_REFUSED"]
    assert desk.types() == ["sale_created"]


def test_rows_of_an_older_agent_are_not_applied_counted_and_said(desk: Desk) -> None:
    mine = desk.shop
    newer = replace(mine.product(1, name="newer"), version=(2 << 47) | 1)
    backlog = mine.product(2, name="an older epoch alone is ordinary")
    with desk._link.transaction():
        desk._link.execute("set local role fluxion_stage")
        desk._link.execute("update pos_integration.pos_systems set epoch = 2 where id = %s", [mine.system])
    desk.refresh()
    desk.write(mine.record(products=[newer]))
    with capture_logs() as lines:
        desk.write(mine.record(products=[mine.product(1, name="older"), backlog]))
        desk.write(mine.record(products=[mine.product(1, name="older")]))
    said = [(line["code"], line["system"], line["rows"]) for line in lines if line["log_level"] == "warning"]
    assert said == [("STALE_EPOCH", mine.system, 1)]
    assert desk.rows("select name from fluxion.products where tenant_id = :tenant order by 1") == [
        ("an older epoch alone is ordinary",), ("newer",)
    ]  # fmt: skip


def test_ids_of_products_categories_and_suppliers_are_kept_for_people(desk: Desk) -> None:
    mine = desk.shop
    record = mine.record(
        products=[mine.product(1, category_ref=mine.id("category", 1), supplier_ref=mine.id("supplier", 1))],
        categories=[mine.category(1, parent_ref=mine.id("category", 0))],
        suppliers=[mine.supplier(1)],
    )
    desk.write(record)
    cached = (
        "select fluxion_entity, external_table, external_id, fluxion_id::text from pos_integration.mapping_cache"
        " where tenant_id = :tenant order by 1"
    )
    expected = [
        ("category", "categorias", "1", mine.id("category", 1)),
        ("product", "productos", "1", mine.id("product", 1)),
        ("supplier", "proveedores", "1", mine.id("supplier", 1)),
    ]
    assert desk.rows(cached) == expected
    desk.write(record, mine.record(products=[mine.product(1, name="again")]))
    assert desk.rows(cached) == expected
    assert desk.rows("select category_id::text, supplier_id::text from fluxion.products where tenant_id = :tenant") == [
        (mine.id("category", 1), mine.id("supplier", 1))
    ]
    assert desk.rows("select tax_id from fluxion.suppliers where tenant_id = :tenant") == [("J-07013380-5",)]
    assert desk.rows("select parent_id::text from fluxion.categories where tenant_id = :tenant") == [
        (mine.id("category", 0),)
    ]
