"""The end of a table's snapshot: what it did not find is gone, unless that is too much to believe."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from schemas.identity import Entity
from schemas.records import Quarantined
from sinks import snapshot_ends
from tests.sinks.desk import Desk

GONE = "select external_id, deleted_at is not null from fluxion.products where tenant_id = :tenant order by 1"
PENDING = (
    "select external_table, row_count, of_rows, confirmed_at is not null, done_at is not null"
    " from pos_integration.pending_deletes where tenant_id = :tenant order by id"
)
NOW = 1 << 47


def next_version(desk: Desk) -> int:
    return NOW | (desk.shop.rows + 1)


def products(desk: Desk, numbers: range) -> None:
    desk.write(desk.shop.record(products=[desk.shop.product(f"{number:03}") for number in numbers]))


def gone(desk: Desk) -> list[str]:
    return [key for key, deleted in desk.rows(GONE) if deleted]


@pytest.mark.parametrize("kind", ["delete", None])
def test_what_a_snapshot_did_not_find_is_gone(desk: Desk, monkeypatch: pytest.MonkeyPatch, kind: str | None) -> None:
    monkeypatch.setattr(snapshot_ends, "PAGE", 2)
    mine = desk.shop
    products(desk, range(10))
    desk.write(mine.record(categories=[mine.category(1)]))
    first = next_version(desk)
    products(desk, range(5, 10))
    desk.write(mine.record(ends=[mine.end("product", first, "delete" if kind else None)]))
    assert gone(desk) == [f"{number:03}" for number in range(5)]
    assert desk.rows(
        "select distinct version from fluxion.products where tenant_id = :tenant and deleted_at is not null"
    ) == [(first,)]
    assert desk.rows("select deleted_at from fluxion.categories where tenant_id = :tenant") == [(None,)]
    # Older rows stay gone, newer ones revive.
    old = [replace(mine.product("000"), version=NOW | 1)]
    desk.write(mine.record(products=old), mine.record(products=[mine.product("001")]))
    assert gone(desk) == ["000", "002", "003", "004"]


def test_another_systems_table_of_that_name_is_left_alone(open_desk: Callable[..., Desk]) -> None:
    one, other = open_desk(), open_desk()
    products(one, range(3))
    products(other, range(3))
    one.write(one.shop.record(ends=[one.shop.end("product", next_version(one), "delete")]))
    assert (len(gone(one)), len(gone(other))) == (3, 0)


def test_too_many_wait_for_a_person_and_a_newer_end_takes_their_place(desk: Desk) -> None:
    mine = desk.shop
    products(desk, range(100))
    desk.write(mine.record(ends=[mine.end("product", next_version(desk), "delete")]))
    assert (gone(desk), desk.rows(PENDING)) == ([], [("productos", 100, 100, False, False)])
    first = next_version(desk)
    products(desk, range(60))
    desk.write(mine.record(ends=[mine.end("product", first, "delete")]))
    assert (gone(desk), desk.rows(PENDING)) == ([], [("productos", 40, 100, False, False)])
    products(desk, range(90, 91))  # it comes back before somebody looks
    desk.confirm()
    assert desk.rows(PENDING) == [("productos", 40, 100, True, True)]
    assert gone(desk) == [f"{number:03}" for number in range(60, 100) if number != 90]


def test_every_page_that_an_end_or_a_person_deletes_is_progress(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_ends, "PAGE", 2)
    mine = desk.shop
    products(desk, range(10))
    desk.write(mine.record(ends=[mine.end("product", next_version(desk), "delete")]))
    assert (len(gone(desk)), desk.progress.count) == (10, 6)
    products(desk, range(100, 140))
    desk.write(mine.record(ends=[mine.end("product", next_version(desk), "delete")]))
    assert (len(gone(desk)), desk.progress.count) == (10, 6)
    desk.confirm()
    assert (len(gone(desk)), desk.progress.count) == (50, 6 + 21)


def test_an_end_that_finds_everything_takes_away_what_was_pending(desk: Desk) -> None:
    mine = desk.shop
    products(desk, range(30))
    desk.write(mine.record(ends=[mine.end("product", next_version(desk), "delete")]))
    assert len(desk.rows(PENDING)) == 1
    first = next_version(desk)
    products(desk, range(30))
    desk.write(mine.record(ends=[mine.end("product", first, "delete")]))
    assert (desk.rows(PENDING), gone(desk)) == ([], [])


def test_the_share_that_is_too_much_is_a_setting(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(pending_percent=50)
    mine = desk.shop
    products(desk, range(100))
    first = next_version(desk)
    products(desk, range(50))
    desk.write(mine.record(ends=[mine.end("product", first, "delete")]))
    assert (desk.rows(PENDING), len(gone(desk))) == ([], 50)


def test_a_row_that_was_read_and_could_not_be_taken_is_not_gone(desk: Desk) -> None:
    mine = desk.shop
    products(desk, range(3))
    first = next_version(desk)
    refused = Quarantined(
        topic="pos.changes.v1", partition=1, offset=5, external_table="productos", external_id="001", version=first,
        code="INVALID_VALUE", error_class="DATA_VALIDATION_ERROR", message="no number", raw="{}",
    )  # fmt: skip
    desk.write(mine.record(quarantined=[refused]))
    desk.write(mine.record(ends=[mine.end("product", first, "delete")]))
    assert gone(desk) == ["000", "002"]


SINCE = "2025-01-01T00:00:00Z"


@pytest.mark.parametrize("since", [SINCE, None])
def test_sales_older_than_what_was_read_are_left_alone(desk: Desk, since: str | None) -> None:
    mine = desk.shop
    desk.sales(
        replace(mine.sale("new"), payments=[mine.payment("new", 1)], taxes=[mine.tax("new", 1)]),
        replace(mine.sale("old", sold_at="2020-01-01T00:00:00Z"), payments=[mine.payment("old", 1)]),
        mine.of_sale("orphan", lines=[mine.line("orphan", 1)]),
    )
    first = next_version(desk)
    entities: tuple[Entity, ...] = ("sale", "line", "payment", "tax")
    desk.write(mine.record(ends=[mine.end(entity, first, "purge", since) for entity in entities]))
    purged = {"new"} if since else {"new", "old", "orphan"}
    for table in ("sales", "sale_items", "sale_payments", "sale_taxes"):
        found = desk.rows(f"select external_id, purged_at is not null from fluxion.{table} where tenant_id = :tenant")
        assert found
        assert {key.partition("|")[0]: was for key, was in found} == {
            key.partition("|")[0]: key.partition("|")[0] in purged for key, _ in found
        }, table
    desk.pass_time(100)
    assert desk.types() == ["sale_created"] * 2  # archived: no event


def test_a_line_that_went_unseen_from_a_sale_that_stands_is_a_correction(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale(1), mine.sale(2))
    first = next_version(desk)
    kept = [
        mine.line(number, place, snapshot=True) for number in (1, 2) for place in (1, 2, 3) if (number, place) != (2, 3)
    ]
    desk.sales(
        *(
            mine.of_sale(n, txn_end=False, lines=[line for line in kept if line.external_id[0] == str(n)])
            for n in (1, 2)
        )
    )
    desk.write(mine.record(ends=[mine.end("line", first, "purge")]))
    desk.pass_time(50)
    assert desk.types() == ["sale_created"] * 2
    desk.pass_time(11)
    assert desk.types() == ["sale_created", "sale_created", "sale_corrected"]
    assert (desk.events()[2][1]["externalId"], len(desk.events()[2][1]["lines"])) == ("2", 2)


def test_documents_that_went_unseen_are_void_where_the_template_says_so(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale(1))
    desk.write(mine.record(ends=[mine.end("sale", next_version(desk), "void")]))
    desk.pass_time(1)
    assert desk.types() == ["sale_created", "sale_voided"]
    assert desk.rows(
        "select status, voided_at is not null, purged_at from fluxion.sales where tenant_id = :tenant"
    ) == [("voided", True, None)]


def test_confirmed_deletes_of_sales_leave_old_ones_and_newer_rows_alone(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(*(mine.sale(number, lines=1) for number in range(30)))
    desk.sales(*(mine.sale(f"old {number}", lines=1, sold_at="2020-01-01T00:00:00Z") for number in range(3)))
    desk.write(mine.record(ends=[mine.end("sale", next_version(desk), "purge", SINCE)]))
    assert desk.rows(PENDING) == [("ventas", 30, 30, False, False)]
    desk.confirm()
    found = desk.rows(
        "select external_id from fluxion.sales where tenant_id = :tenant and purged_at is null order by 1"
    )
    assert found == [("old 0",), ("old 1",), ("old 2",)]
