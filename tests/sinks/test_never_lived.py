"""Deletes of lines, tenders and taxes that nobody ever saw: they keep older rows out, and are in no event."""

from typing import Any

import pytest
from msgspec.structs import replace

from schemas.records import Sale
from tests.sinks.desk import Desk

MARKS = "select external_id, purged_at is not null, deleted_at is not null from fluxion.sale_payments"
MINE = " where tenant_id = :tenant order by 1"


def archived(desk: Desk, number: int = 1, *, lines: int = 1, payments: int = 2) -> Sale:
    """The document goes, and with its row every tender that its template names, also those that it did not have."""
    mine = desk.shop
    return mine.of_sale(
        number,
        header=mine.header(number, "delete"),
        lines=[mine.line(number, place, "delete") for place in range(1, lines + 1)],
        payments=[mine.payment(number, place, "delete") for place in range(1, payments + 1)],
        taxes=[mine.tax(number, 1, "delete")],
    )


def shown(desk: Desk) -> list[tuple[str, int, list[Any], list[Any]]]:
    return [(kind, len(said["lines"]), said["tenders"], said["taxes"]) for kind, said in desk.events()]


@pytest.mark.parametrize("together", [False, True])
def test_a_ticket_that_was_archived_before_it_was_announced_shows_only_the_tenders_that_it_had(
    desk: Desk, *, together: bool
) -> None:
    mine = desk.shop
    came = replace(mine.sale(1, lines=1, txn_end=False), payments=[mine.payment(1, 1, amount="30")])
    said = [came, archived(desk)]
    for batch in [said] if together else [[one] for one in said]:
        desk.sales(*batch)
    desk.pass_time(100)
    ((kind, lines, tenders, taxes),) = shown(desk)
    assert (kind, lines, [(one["method"], one["amount"]) for one in tenders], taxes) == (
        "sale_created", 1, [("cash", "30")], []
    )  # fmt: skip
    assert desk.rows(MARKS + MINE) == [("1|1", True, False), ("1|2", True, True)]


def test_a_document_of_total_zero_is_announced_when_its_transaction_ends(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale(1, lines=1, total="0", subtotal="0"))
    assert [(kind, said["total"], said["complete"]) for kind, said in desk.events()] == [("sale_created", "0", True)]
    desk.sales(archived(desk, payments=1))
    desk.pass_time(100)
    assert desk.types() == ["sale_created"]


def test_the_delete_of_a_part_that_never_was_corrects_nothing_and_holds_nothing_up(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale(1))
    desk.sales(
        mine.of_sale(
            1,
            lines=[mine.line(1, 9, "delete")],
            payments=[mine.payment(1, 1, "delete")],
            taxes=[mine.tax(1, 1, "delete")],
        )
    )
    desk.sales(mine.of_sale(1, header=mine.header(1, total="35"), store_id=mine.store))
    assert [(kind, said["total"]) for kind, said in desk.events()] == [
        ("sale_created", "34.8"),
        ("sale_corrected", "35"),
    ]
    desk.pass_time(100)
    assert len(desk.types()) == 2


def test_a_line_that_never_was_is_none_of_the_lines_that_a_document_waits_for(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(replace(mine.sale(1, lines=1, txn_end=False), expected_lines=2))
    desk.sales(replace(mine.of_sale(1, lines=[mine.line(1, 9, "delete")]), txn_end=False))
    assert desk.types() == []
    desk.sales(replace(mine.of_sale(1, lines=[mine.line(1, 2)]), txn_end=False))
    assert [(kind, lines) for kind, lines, _, _ in shown(desk)] == [("sale_created", 2)]


def test_an_older_row_of_a_part_that_never_was_stays_out_and_a_newer_one_comes_in(desk: Desk) -> None:
    mine = desk.shop
    late = mine.payment(1, 1, amount="1")
    desk.sales(mine.of_sale(1, payments=[mine.payment(1, 1, "delete")]))
    desk.sales(mine.of_sale(1, payments=[late]))
    assert desk.rows(MARKS + MINE) == [("1|1", True, True)]
    desk.sales(replace(mine.sale(1), payments=[mine.payment(1, 1, amount="2")]))
    assert desk.rows(MARKS + MINE) == [("1|1", False, False)]
    assert [one["amount"] for one in shown(desk)[0][2]] == ["2"]


def test_what_lived_and_went_with_its_void_document_is_still_shown(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(replace(mine.sale(1), payments=[mine.payment(1, 1)]))
    void = mine.of_sale(
        1,
        header=mine.header(1, "delete", deletion="void"),
        payments=[replace(mine.payment(1, place, "delete"), deletion="void") for place in (1, 2)],
    )
    desk.sales(void)
    desk.pass_time(100)
    assert [(kind, len(tenders)) for kind, _, tenders, _ in shown(desk)] == [("sale_created", 1), ("sale_voided", 1)]


def test_a_line_that_never_was_does_not_free_a_document_of_a_first_snapshot(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.of_sale(1, lines=[mine.line(1, 9, "delete")]))
    first = mine.version()
    desk.sales(mine.sale(1, lines=0, snapshot=True, txn_end=False, sold_at="2099-01-01T00:00:00Z"))
    desk.write(mine.record(ends=[mine.end("sale", first, "purge")]))
    desk.pass_time(100)
    assert desk.types() == []
    desk.sales(
        mine.of_sale(1, lines=[mine.line(1, 1, snapshot=True)], txn_end=False),
        ends=[mine.end("line", first, "purge")],
    )
    desk.pass_time(1)
    assert [(kind, lines) for kind, lines, _, _ in shown(desk)] == [("sale_created", 1)]
