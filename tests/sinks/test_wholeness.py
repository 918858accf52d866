"""However a sale's records are ordered, repeated and batched, the same rows and the same events come of them."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.identity import event_id, version_of
from schemas.records import Sale
from tests.sinks.desk import Desk

TABLES = ("sales", "sale_items", "sale_payments", "sale_taxes")
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def deliver(desk: Desk, said: list[Sale], data: st.DataObject) -> None:
    """Write the sales in this order, some of them together in a record, some records together in a batch."""
    left = list(said)
    while left:
        size = data.draw(st.integers(1, len(left)))
        batch, left = left[:size], left[size:]
        cut = data.draw(st.integers(0, size))
        records = [desk.shop.record(sales=part) for part in (batch[:cut], batch[cut:]) if part]
        desk.write(*records)


def rows(desk: Desk) -> dict[str, list[Any]]:
    """Return what PostgreSQL has of the sales, but for moments of its own clock."""
    own = " - 'updated_at' - 'announced_at' - 'purged_at' - 'deleted_at' - 'settle_at' - 'partition' - 'tenant_id'"
    return {
        table: desk.rows(
            f"select to_jsonb(t){own}, purged_at is null, deleted_at is null from fluxion.{table} t"
            " where tenant_id = :tenant order by id"
        )
        for table in TABLES
    }


def parts_of(desk: Desk) -> list[Sale]:
    mine = desk.shop
    whole = mine.sale(1)
    return [
        replace(whole, lines=[], txn_end=False),
        *(mine.of_sale(1, txn_end=False, lines=[line]) for line in whole.lines),
        mine.of_sale(1, txn_end=False, payments=[mine.payment(1, 1)]),
        mine.of_sale(1, txn_end=False, taxes=[mine.tax(1, 1)], lines=[mine.line(1, 4)]),
    ]


@few
@given(st.data())
def test_the_parts_of_a_sale_in_any_order_are_one_event(open_desk: Callable[..., Desk], data: Any) -> None:
    desk = open_desk()
    parts = parts_of(desk)
    again = data.draw(st.lists(st.sampled_from(parts), max_size=4))
    deliver(desk, data.draw(st.permutations([*parts, *again])), data)
    desk.pass_time(3)
    found = rows(desk)
    deliver(desk, data.draw(st.permutations(parts)), data)
    desk.pass_time(100)
    ((kind, said),) = desk.events()
    assert (kind, len(said["lines"]), len(said["tenders"]), len(said["taxes"])) == ("sale_created", 4, 1, 1)
    assert said["complete"]
    sale, version = desk.shop.id("sale", 1), version_of(1, desk.shop.rows)
    assert desk.rows("select event_id::text from pos_integration.outbox where tenant_id = :tenant") == [
        (event_id(sale, "sale_created", version, 1),)
    ]
    assert rows(desk) == found
    _end(desk)


@few
@given(st.data())
def test_a_sales_history_in_any_batches_ends_in_its_last_state(open_desk: Callable[..., Desk], data: Any) -> None:
    desk = open_desk()
    mine = desk.shop
    history = [
        mine.sale(1),
        mine.of_sale(1, lines=[mine.line(1, 2, line_total="11")]),
        replace(mine.sale(1, lines=0, total="35.8"), payments=[mine.payment(1, 1)]),
        mine.of_sale(1, header=replace(mine.header(1, "delete", deletion="void"), source_time=1_900_000_000_000_000)),
    ]
    length = data.draw(st.integers(1, len(history)))
    said = history[:length]
    # A record comes again only behind itself: a partition keeps its order.
    for _ in range(data.draw(st.integers(0, 3))):
        index = data.draw(st.integers(0, len(said) - 1))
        said.insert(data.draw(st.integers(index + 1, len(said))), said[index])
    deliver(desk, said, data)
    desk.pass_time(100)
    types = desk.types()
    assert types.count("sale_created") == 1
    assert types.count("sale_voided") == (length == len(history))
    last = desk.events()[-1][1]
    assert (last["total"], last["status"], len(last["lines"])) == (
        "34.8" if length < 3 else "35.8",
        "voided" if length == 4 else "completed",
        3,
    )
    ids = [row[0] for row in desk.rows("select event_id from pos_integration.outbox where tenant_id = :tenant")]
    assert len(set(ids)) == len(ids)
    found = rows(desk)
    deliver(desk, history[:length], data)
    desk.pass_time(100)
    assert (desk.types(), rows(desk)) == (types, found)
    _end(desk)


STANDS = "select closed, expected_lines, total::text, number from fluxion.sales where tenant_id = :tenant"


def _bare(desk: Desk, total: str) -> Sale:
    """A header whose row carries neither what tells that it is closed nor the count of its lines."""
    mine = desk.shop
    return mine.of_sale(1, store_id=mine.store, header=replace(mine.header(1, total=total), fields=["total"]))


@pytest.mark.parametrize("together", [False, True])
def test_what_a_header_does_not_say_of_its_sale_stays_as_it_is_known(desk: Desk, *, together: bool) -> None:
    known = replace(desk.shop.sale(1), expected_lines=3)
    records = [desk.shop.record(sales=[sale]) for sale in (known, _bare(desk, "35.8"))]
    for batch in [records] if together else [[record] for record in records]:
        desk.write(*batch)
    assert desk.rows(STANDS) == [(True, 3, "35.8000", "1")]
    assert [said["total"] for _, said in desk.events()] == (["35.8"] if together else ["34.8", "35.8"])


def test_a_header_that_does_not_say_that_it_is_closed_is_open_until_one_does(desk: Desk) -> None:
    desk.sales(_bare(desk, "1"))
    desk.pass_time(100)
    assert (desk.rows(STANDS), desk.types()) == ([(False, None, "1.0000", None)], [])
    desk.sales(desk.shop.sale(1))
    desk.sales(replace(desk.shop.sale(1, lines=0, closed=False), expected_lines=4))
    assert desk.rows(STANDS) == [(False, 4, "34.8000", "1")]


def _end(desk: Desk) -> None:
    desk.open.close()
    desk.close()
