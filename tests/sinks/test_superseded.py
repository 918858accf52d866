"""A row that comes again settles what it left in quarantine: at most one entry a row is open, none once it was taken."""

from typing import Any

import pytest

from fluxion.postgres import APP, connect
from schemas.records import CanonicalSet, Quarantined
from tests.sinks.desk import Desk
from tests.sinks.shop import TABLES

ENTRIES = (
    "select version & 4294967295, resolution, resolved_by, notes from pos_integration.quarantine"
    " where tenant_id = :tenant order by id"
)
BY_REFUSED = ("superseded", "fluxion", "the row came again")
BY_TAKEN = ("superseded", "fluxion", "the row came again and was taken")
OPEN = (None, None, None)


def refused(desk: Desk, key: object = 1, raw: str = '{"codigo": null}', **fields: Any) -> CanonicalSet:
    """A record with a product that a processor refused, under the next version."""
    mine = desk.shop
    version = mine.version()
    said: dict[str, Any] = {
        "topic": "pos.changes.v1", "partition": 1, "offset": version & 0xFFFF, "external_table": TABLES["product"],
        "external_id": str(key), "version": version, "code": "REQUIRED_MISSING", "error_class": "DATA_VALIDATION_ERROR",
        "message": "no code", "raw": raw, "record_id": mine.id("product", key),
    }  # fmt: skip
    return mine.record(quarantined=[Quarantined(**said | fields)])


def discard(desk: Desk) -> None:
    with connect(desk.open.dsn, APP) as link:
        link.execute("select set_config('fluxion.tenant_id', %s, true)", [desk.shop.tenant])
        link.execute(
            "update pos_integration.quarantine set resolved_at = now(), resolution = 'discarded', resolved_by = 'ana',"
            " notes = 'a test item' where resolved_at is null"
        )


def taken(desk: Desk, key: object = 1) -> CanonicalSet:
    return desk.shop.record(products=[desk.shop.product(key)])


def test_of_a_row_that_is_refused_again_and_again_only_the_newest_entry_is_open(desk: Desk) -> None:
    for _ in range(3):
        desk.write(refused(desk))
    desk.write(refused(desk), refused(desk, key=2))
    assert desk.rows(ENTRIES) == [(1, *BY_REFUSED), (2, *BY_REFUSED), (3, *BY_REFUSED), (4, *OPEN), (5, *OPEN)]


@pytest.mark.parametrize("together", [False, True])
def test_a_row_that_was_mended_in_the_point_of_sale_settles_its_entry(desk: Desk, *, together: bool) -> None:
    said = [refused(desk), refused(desk, key=2), taken(desk)]
    for batch in [said] if together else [[one] for one in said]:
        desk.write(*batch)
    assert desk.rows(ENTRIES) == [(1, *BY_TAKEN), (2, *OPEN)]


def test_a_sink_that_begins_anew_finds_the_entries_of_the_one_before(desk: Desk) -> None:
    desk.write(refused(desk))
    desk.close()
    desk.connect()
    desk.write(taken(desk))
    assert desk.rows(ENTRIES) == [(1, *BY_TAKEN)]


def test_a_row_that_went_settles_its_entry_too(desk: Desk) -> None:
    desk.write(refused(desk))
    desk.write(desk.shop.record(products=[desk.shop.product(1, "delete")]))
    assert desk.rows(ENTRIES) == [(1, *BY_TAKEN)]


def test_what_the_sink_itself_refused_is_settled_alike(desk: Desk) -> None:
    mine = desk.shop
    desk.write(mine.record(products=[mine.product(1, selling_price="about ten")]))
    desk.write(mine.record(products=[mine.product(1, selling_price="ten"), mine.product(2)]))
    assert [row[1] for row in desk.rows(ENTRIES)] == ["superseded", None]
    desk.write(taken(desk))
    assert [row[1:] for row in desk.rows(ENTRIES)] == [BY_REFUSED, BY_TAKEN]


@pytest.mark.parametrize("together", [False, True])
def test_an_older_row_settles_no_newer_entry(desk: Desk, *, together: bool) -> None:
    old, older = taken(desk), refused(desk)
    said = [refused(desk), old, older]
    for batch in [said] if together else [[one] for one in said]:
        desk.write(*batch)
    assert desk.rows(ENTRIES) == [(3, *OPEN), (2, *BY_REFUSED)]


def test_another_record_of_the_same_row_settles_nothing(desk: Desk) -> None:
    mine = desk.shop
    bad = refused(desk)
    desk.write(bad)
    # The category has the product's key, and comes from a row of the same table.
    desk.write(mine.record(categories=[mine.category(1)], stock=[mine.stock(1, "5")]))
    assert desk.rows(ENTRIES) == [(1, *OPEN)]


def test_a_row_of_which_nobody_can_say_what_it_is_is_told_by_its_table_and_key(desk: Desk) -> None:
    nameless: dict[str, Any] = {"external_table": "nueva", "record_id": None}
    desk.write(refused(desk, **nameless), refused(desk, **nameless), refused(desk, key=2, **nameless))
    desk.write(refused(desk, **nameless | {"external_id": None}), refused(desk, **nameless | {"external_id": None}))
    assert [row[1] for row in desk.rows(ENTRIES)] == ["superseded", None, None, None, None]


def test_what_was_settled_by_a_newer_row_is_not_opened_by_a_replay(desk: Desk) -> None:
    bad = refused(desk)
    desk.write(bad, taken(desk))
    again = CanonicalSet(
        system_id=bad.system_id,
        mapping_revision=2,
        source_offset=0,
        captured_at=0,
        quarantined=bad.quarantined,
        replayed=True,
    )
    desk.write(again)
    assert desk.rows(ENTRIES) == [(1, *BY_TAKEN)]


def test_a_row_that_was_discarded_stays_so_until_it_is_another(desk: Desk) -> None:
    desk.write(refused(desk))
    discard(desk)
    desk.write(refused(desk))
    discarded = ("discarded", "ana", "a test item")
    assert desk.rows(ENTRIES) == [(1, *discarded), (2, *discarded)]
    desk.write(refused(desk, raw='{"codigo": " "}'), refused(desk, key=2))
    assert desk.rows(ENTRIES)[2:] == [(3, *OPEN), (4, *OPEN)]


def test_a_sale_that_the_sink_refused_stays_discarded_when_a_snapshot_reads_it_again(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale(1, lines=0, status="anulada"))
    discard(desk)
    desk.sales(mine.sale(1, lines=0, status="anulada", snapshot=True, txn_end=False))
    assert [row[1] for row in desk.rows(ENTRIES)] == ["discarded", "discarded"]


def test_a_row_that_is_refused_beside_the_end_of_its_snapshot_is_not_gone(desk: Desk) -> None:
    mine = desk.shop
    desk.write(taken(desk), taken(desk, 2))
    first = mine.version()
    desk.write(refused(desk), mine.record(products=[mine.product(2)], ends=[mine.end("product", first)]))
    assert desk.rows("select external_id, deleted_at is null from fluxion.products where tenant_id = :tenant order by 1") == [
        ("1", True), ("2", True)
    ]  # fmt: skip


def test_a_system_without_an_open_entry_costs_no_question(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("sinks.superseded._BY_TAKEN", asked)  # psycopg would refuse it
    desk.write(taken(desk))
    assert desk.rows(ENTRIES) == []
    desk.write(refused(desk, key=7))
    with pytest.raises(TypeError):
        desk.write(taken(desk))
