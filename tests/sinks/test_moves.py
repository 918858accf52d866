"""A line, tender or tax that moves from one sale to another: both are told."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.records import Sale, SaleLine
from tests.sinks.desk import Desk


def moved(desk: Desk, line: SaleLine, number: int, **more: Any) -> Sale:
    """The line is one of that sale now."""
    said: dict[str, Any] = {"lines": [replace(line, version=desk.shop.version())]} | more
    return desk.shop.of_sale(number, **said)


def told(desk: Desk) -> list[tuple[str, str, int]]:
    """Return (sale, type, lines) of every event; those of one transaction are in no order."""
    return [(said["number"], kind, len(said["lines"])) for kind, said in desk.events()]


def two_sales(desk: Desk) -> SaleLine:
    """Announce sales 1, with two lines, and 2, with one; return the second line of 1."""
    one = desk.shop.sale(1, lines=2)
    desk.sales(one, desk.shop.sale(2, lines=1))
    assert sorted(told(desk)) == [("1", "sale_created", 2), ("2", "sale_created", 1)]
    return one.lines[1]


def test_a_line_that_moves_between_announced_sales_corrects_both_at_once(desk: Desk) -> None:
    line = two_sales(desk)
    desk.sales(moved(desk, line, 2))
    assert sorted(told(desk)[2:]) == [("1", "sale_corrected", 1), ("2", "sale_corrected", 2)]
    assert {said["number"]: said["totalsMatch"] for _, said in desk.events()[2:]} == {"1": False, "2": False}
    desk.pass_time(100)
    assert len(desk.types()) == 4


def test_totals_of_the_sale_that_it_left_are_compared_anew(desk: Desk) -> None:
    mine = desk.shop
    one = mine.sale(1, lines=4)
    desk.sales(one, mine.sale(2, lines=2))
    assert {said["number"]: said["totalsMatch"] for _, said in desk.events()} == {"1": False, "2": False}
    desk.sales(moved(desk, one.lines[3], 2))
    assert {said["number"]: said["totalsMatch"] for _, said in desk.events()[2:]} == {"1": True, "2": True}


def test_tenders_and_taxes_that_move_correct_both(desk: Desk) -> None:
    mine = desk.shop
    payment, tax = mine.payment(1, 1), mine.tax(1, 1)
    desk.sales(replace(mine.sale(1), payments=[payment], taxes=[tax]), mine.sale(2))
    desk.sales(mine.of_sale(2, payments=[replace(payment, version=mine.version())]))
    desk.sales(mine.of_sale(2, taxes=[replace(tax, version=mine.version())]))
    assert sorted((said["number"], len(said["tenders"]), len(said["taxes"])) for _, said in desk.events()[2:]) == [
        ("1", 0, 0),
        ("1", 0, 1),
        ("2", 1, 0),
        ("2", 1, 1),
    ]


def test_each_time_that_a_line_moves_away_is_an_event_of_its_own(desk: Desk) -> None:
    line = two_sales(desk)
    for number in (2, 1, 2):
        desk.sales(moved(desk, line, number))
    assert [found[1:] for found in told(desk) if found[0] == "1"] == [
        ("sale_created", 2),
        ("sale_corrected", 1),
        ("sale_corrected", 2),
        ("sale_corrected", 1),
    ]
    ids = desk.rows("select event_id from pos_integration.outbox where tenant_id = :tenant")
    assert len(set(ids)) == len(ids) == 8
    versions = [said["version"] for _, said in desk.events() if said["number"] == "1"]
    assert versions == sorted(set(versions))


def test_a_move_in_the_middle_of_a_transaction_is_told_when_it_ends(desk: Desk) -> None:
    line = two_sales(desk)
    desk.sales(moved(desk, line, 2, txn_end=False))
    assert len(told(desk)) == 2
    desk.pass_time(3)
    assert sorted(told(desk)[2:]) == [("1", "sale_corrected", 1), ("2", "sale_corrected", 2)]


def test_a_line_that_moves_on_in_one_batch_corrects_where_it_was_first(desk: Desk) -> None:
    line = two_sales(desk)
    desk.sales(desk.shop.sale(3, lines=1))
    desk.sales(moved(desk, line, 2), moved(desk, line, 3))
    assert sorted(told(desk)[3:]) == [("1", "sale_corrected", 1), ("3", "sale_corrected", 2)]


def test_a_line_that_moves_away_from_an_archived_sale_says_nothing_of_it(desk: Desk) -> None:
    line = two_sales(desk)
    desk.sales(desk.shop.of_sale(1, header=desk.shop.header(1, "delete")))
    desk.sales(moved(desk, line, 2))
    desk.pass_time(100)
    assert told(desk)[2:] == [("2", "sale_corrected", 2)]


def test_an_older_row_that_names_another_sale_moves_nothing(desk: Desk) -> None:
    line = two_sales(desk)
    desk.sales(desk.shop.of_sale(2, lines=[replace(line, version=1)]))
    desk.pass_time(100)
    assert len(told(desk)) == 2


def test_a_line_that_a_snapshot_finds_in_another_sale_is_told_of_both_at_its_end(desk: Desk) -> None:
    mine = desk.shop
    one, two = mine.sale(1, lines=1), mine.sale(2, lines=1)
    desk.sales(one, two)
    first = (1 << 47) | (mine.rows + 1)
    read = [replace(one.lines[0], snapshot=True), replace(two.lines[0], snapshot=True)]
    desk.sales(*(moved(desk, line, 2, txn_end=False) for line in read))
    desk.pass_time(1000)
    assert len(told(desk)) == 2
    desk.write(mine.record(ends=[mine.end("line", first, "purge")]))
    desk.pass_time(1)
    assert sorted(told(desk)[2:]) == [("1", "sale_corrected", 0), ("2", "sale_corrected", 2)]


@pytest.mark.parametrize("closed", [True, False])
def test_a_line_that_leaves_a_sale_that_was_not_announced_is_none_of_it(
    open_desk: Callable[..., Desk], *, closed: bool
) -> None:
    desk = open_desk()
    mine = desk.shop
    one = mine.sale(1, lines=2, closed=closed, txn_end=False)
    desk.sales(one, mine.sale(2, lines=1))
    desk.sales(moved(desk, one.lines[1], 2))
    desk.sales(mine.of_sale(1, store_id=mine.store, header=mine.header(1), closed=True, txn_end=False))
    desk.pass_time(3)
    assert [found[1:] for found in told(desk) if found[0] == "1"] == [("sale_created", 1)]
