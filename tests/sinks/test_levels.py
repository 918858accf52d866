"""Levels of systems whose levels are the sum of their movements."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sinks.desk import Desk

LEVELS = (
    "select product_id::text, quantity::text, deleted_at from fluxion.stock_levels where tenant_id = :tenant order by 2"
)


def levels(desk: Desk) -> dict[str, str]:
    return {product: quantity for product, quantity, _ in desk.rows(LEVELS)}


def test_the_level_is_the_sum_of_the_movements(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(stock_origin="movements")
    mine = desk.shop
    one, two = mine.id("product", 1), mine.id("product", 2)
    first = mine.record(movements=[mine.movement("a", "10"), mine.movement("b", "-12.5")])
    desk.write(first)
    assert levels(desk) == {one: "-2.5000"}
    desk.write(first)
    assert levels(desk) == {one: "-2.5000"}
    desk.write(mine.record(movements=[mine.movement("b", "-2.5", product_ref=two)]))
    assert levels(desk) == {one: "10.0000", two: "-2.5000"}
    desk.write(mine.record(movements=[mine.movement("a", None)]))
    assert levels(desk) == {one: "0.0000", two: "-2.5000"}
    desk.write(mine.record(ends=[mine.end("movement", (1 << 47) | (mine.rows + 1), "delete")]))
    assert levels(desk) == {one: "0.0000", two: "0.0000"}


def test_a_level_that_is_sent_where_levels_are_sums_is_none(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(stock_origin="movements")
    mine = desk.shop
    desk.write(mine.record(stock=[mine.stock(1, "99")], movements=[mine.movement("a", "3")]))
    assert levels(desk) == {mine.id("product", 1): "3.0000"}


def test_where_the_pos_keeps_levels_movements_change_none(desk: Desk) -> None:
    mine = desk.shop
    desk.write(mine.record(stock=[mine.stock(1, "99")], movements=[mine.movement("a", "3")]))
    assert levels(desk) == {mine.id("product", 1): "99.0000"}
    assert desk.rows("select kind, quantity::text from fluxion.stock_movements where tenant_id = :tenant") == [
        ("entrada", "3.0000")
    ]


def test_a_movement_that_names_a_sku_counts_when_the_product_is_known(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(stock_origin="movements")
    mine = desk.shop
    desk.write(mine.record(movements=[mine.movement("a", "3", product_ref=None, sku="SKU-1"), mine.movement("b", "4")]))
    assert levels(desk) == {mine.id("product", 1): "4.0000"}
    desk.write(mine.record(products=[mine.product(1)]))
    desk.link_by_sku()
    assert levels(desk) == {mine.id("product", 1): "7.0000"}
    desk.write(mine.record(movements=[mine.movement("a", "3", product_ref=None, sku="SKU-9")]))
    assert levels(desk) == {mine.id("product", 1): "4.0000"}


moves = st.lists(st.tuples(st.integers(0, 4), st.sampled_from([1, 2]), st.integers(-50, 50) | st.none()), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves, st.data())
def test_any_batching_and_repeats_of_movements_end_in_their_sum(
    open_desk: Callable[..., Desk], said: list[tuple[int, int, int | None]], data: Any
) -> None:
    desk = open_desk(stock_origin="movements")
    mine = desk.shop
    changes = [
        mine.movement(key, None if quantity is None else str(quantity), product_ref=mine.id("product", product))
        for key, product, quantity in said
    ]
    again = data.draw(st.lists(st.sampled_from(changes), max_size=4)) if changes else []
    left = [*changes, *again]
    while left:
        size = data.draw(st.integers(1, len(left)))
        batch, left = left[:size], left[size:]
        desk.write(mine.record(movements=batch))
    last = {key: (product, quantity) for key, product, quantity in said}
    sums: dict[str, int] = {}
    for product, quantity in last.values():
        if quantity is not None:
            sums[mine.id("product", product)] = sums.get(mine.id("product", product), 0) + quantity
    assert {key: float(total) for key, total in levels(desk).items() if float(total)} == {
        key: float(total) for key, total in sums.items() if total
    }
    desk.open.close()
    desk.close()
