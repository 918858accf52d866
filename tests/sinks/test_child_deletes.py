"""Deleted lines, tenders and taxes of which the source knows the key alone: PostgreSQL knows which sale was theirs."""

from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from fluxion.postgres import SINK, connect
from schemas.identity import version_of
from schemas.records import UNKNOWN_SALE, Sale
from tests.sinks.desk import Desk

LINES = "select external_id, purged_at is not null, deleted_at is not null, sale_id is not null from fluxion.sale_items"
MINE = " where tenant_id = :tenant order by 1"


def unplaced(**parts: Any) -> Sale:
    """Deletes of one transaction that name no sale."""
    said: dict[str, Any] = {"lines": [], "txn_end": True} | parts
    return Sale(id=UNKNOWN_SALE, store_id=None, header=None, **said)


def rows(desk: Desk) -> list[tuple[Any, ...]]:
    return desk.rows(LINES + MINE)


def shown(desk: Desk) -> list[tuple[str, int]]:
    return [(kind, len(said["lines"])) for kind, said in desk.events()]


def test_a_line_that_goes_from_an_announced_sale_corrects_it_when_it_has_settled(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale(1))
    desk.sales(unplaced(lines=[mine.line(1, 2, "delete")]))
    assert rows(desk) == [("1|1", False, False, True), ("1|2", True, False, True), ("1|3", False, False, True)]
    desk.pass_time(59)
    assert shown(desk) == [("sale_created", 3)]
    desk.pass_time(2)
    assert shown(desk) == [("sale_created", 3), ("sale_corrected", 2)]
    assert desk.events()[-1][1]["totalsMatch"] is False
    assert rows(desk)[1] == ("1|2", False, True, True)
    desk.sales(unplaced(lines=[mine.line(1, 2, "delete")]))
    desk.pass_time(100)
    assert len(desk.types()) == 2


def test_lines_that_go_together_with_their_sale_are_archived_with_it(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale(1))
    desk.sales(
        unplaced(lines=[mine.line(1, place, "delete") for place in (1, 2, 3)]),
        mine.of_sale(1, header=mine.header(1, "delete")),
    )
    desk.pass_time(100)
    assert desk.types() == ["sale_created"]
    assert rows(desk) == [(f"1|{place}", True, False, True) for place in (1, 2, 3)]


@pytest.mark.parametrize("together", [False, True])
def test_a_line_that_goes_from_an_open_document_is_taken_out_at_once(desk: Desk, *, together: bool) -> None:
    mine = desk.shop
    said = [mine.sale(1, closed=False), unplaced(lines=[mine.line(1, 2, "delete")])]
    for batch in [said] if together else [[one] for one in said]:
        desk.sales(*batch)
    assert rows(desk)[1] == ("1|2", False, True, True)
    desk.sales(mine.of_sale(1, header=mine.header(1), store_id=mine.store, closed=True))
    desk.pass_time(3)
    assert shown(desk) == [("sale_created", 2)]


def test_tenders_and_taxes_go_alike(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(
        replace(mine.sale(1), payments=[mine.payment(1, 1), mine.payment(1, 2)], taxes=[mine.tax(1, 1), mine.tax(1, 2)])
    )
    desk.sales(unplaced(payments=[mine.payment(1, 2, "delete")]), unplaced(taxes=[mine.tax(1, 1, "delete")]))
    desk.pass_time(61)
    assert [(kind, len(said["tenders"]), len(said["taxes"])) for kind, said in desk.events()] == [
        ("sale_created", 2, 2),
        ("sale_corrected", 1, 1),
    ]


@pytest.mark.parametrize("together", [False, True])
def test_an_older_row_of_a_line_that_was_deleted_before_it_was_seen_stays_out(desk: Desk, *, together: bool) -> None:
    mine = desk.shop
    late = mine.line(1, 2)
    said = [
        unplaced(lines=[mine.line(1, 2, "delete")]),
        mine.sale(1, lines=1),
        mine.of_sale(1, lines=[late]),
    ]
    for batch in [said] if together else [[one] for one in said]:
        desk.sales(*batch)
    desk.pass_time(100)
    assert shown(desk) == [("sale_created", 1)]
    assert [(key, purged or deleted) for key, purged, deleted, _ in rows(desk)] == [("1|1", False), ("1|2", True)]


def test_a_newer_row_revives_what_a_delete_without_a_sale_took(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(unplaced(lines=[mine.line(1, 1, "delete")]))
    assert rows(desk) == [("1|1", True, True, False)]
    desk.sales(mine.sale(1, lines=2))
    assert (rows(desk), shown(desk)) == (
        [("1|1", False, False, True), ("1|2", False, False, True)],
        [("sale_created", 2)],
    )


def test_an_older_delete_never_takes_a_newer_row(desk: Desk) -> None:
    mine = desk.shop
    old = mine.line(1, 1, "delete")
    desk.sales(mine.sale(1))
    found = rows(desk)
    desk.sales(unplaced(lines=[old]))
    desk.pass_time(100)
    assert (rows(desk), shown(desk)) == (found, [("sale_created", 3)])


def test_a_line_that_is_deleted_and_comes_back_in_one_batch_elsewhere_leaves_its_old_sale(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale(1), mine.sale(2, lines=1))
    gone, back = mine.line(1, 2, "delete"), mine.line(1, 2)
    desk.sales(unplaced(lines=[gone]), mine.of_sale(2, lines=[back]))
    desk.pass_time(3)
    assert sorted((said["saleId"], kind, len(said["lines"])) for kind, said in desk.events()) == sorted(
        [
            (mine.id("sale", 1), "sale_created", 3),
            (mine.id("sale", 2), "sale_created", 1),
            (mine.id("sale", 1), "sale_corrected", 2),
            (mine.id("sale", 2), "sale_corrected", 2),
        ]
    )


def test_half_a_transaction_of_deletes_waits_for_the_other_half(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(replace(mine.sale(1), txn_end=False), unplaced(lines=[mine.line(1, 2, "delete")], txn_end=False))
    assert desk.types() == []
    desk.pass_time(3)
    assert shown(desk) == [("sale_created", 2)]


def test_a_row_that_is_refused_beside_such_a_delete_leaves_it_its_effect(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale(1))
    desk.sales(unplaced(lines=[mine.line(1, 2, "delete")]), mine.of_sale(1, lines=[mine.line(1, 4, quantity="x")]))
    desk.pass_time(61)
    assert shown(desk)[-1] == ("sale_corrected", 2)
    assert desk.rows("select external_id from pos_integration.quarantine where tenant_id = :tenant") == [("1|4",)]


def test_a_line_that_is_there_always_belongs_to_a_sale(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(unplaced(lines=[mine.line(1, 1)]))
    assert rows(desk) == []
    assert desk.rows("select code from pos_integration.quarantine where tenant_id = :tenant") != []
    desk.sales(unplaced(lines=[mine.line(1, 1, "delete")]))
    with connect(desk.open.dsn, SINK) as link, pytest.raises(psycopg.errors.CheckViolation):
        link.execute(
            "update fluxion.sale_items set purged_at = null, deleted_at = null where tenant_id = %s", [mine.tenant]
        )


def test_what_comes_again_changes_nothing(desk: Desk) -> None:
    mine = desk.shop
    said = [mine.sale(1), unplaced(lines=[mine.line(1, 2, "delete"), mine.line(9, 9, "delete")])]
    desk.sales(*said)
    desk.pass_time(61)
    found, events = rows(desk), desk.events()
    for one in said:
        desk.sales(one)
    desk.write(mine.record(sales=said, replayed=True))
    desk.pass_time(100)
    assert (rows(desk), desk.events()) == (found, events)
    assert desk.rows("select max(version) from fluxion.sale_items where tenant_id = :tenant") == [
        (version_of(1, mine.rows),)
    ]


@pytest.mark.parametrize("cuts", range(8))
def test_however_deletes_and_moves_are_batched_the_sales_end_with_the_same_lines(desk: Desk, cuts: int) -> None:
    mine = desk.shop
    one = mine.sale(1)
    said = [
        [one, mine.sale(2, lines=1)],
        [unplaced(lines=[mine.line(1, 2, "delete")])],
        [mine.of_sale(2, lines=[replace(one.lines[2], version=mine.version())])],
        [unplaced(lines=[replace(mine.line(1, 3, "delete"), version=mine.version())])],
    ]
    batch: list[Sale] = []
    for number, sales in enumerate(said):
        batch += sales
        if number == len(said) - 1 or cuts >> number & 1:
            desk.sales(*batch)
            batch = []
    desk.pass_time(61)
    last = {shown["number"]: [line["sku"] for line in shown["lines"]] for _, shown in desk.events()}
    assert last == {"1": ["SKU-1"], "2": ["SKU-1"]}
    assert [row[:3] for row in rows(desk)] == [
        ("1|1", False, False),
        ("1|2", False, True),
        ("1|3", False, True),
        ("2|1", False, False),
    ]
