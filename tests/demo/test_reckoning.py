"""The reckoning finds what it is there to find: each kind of fault, planted by hand, is counted."""

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from deploy.demo.pos import Ledger
from deploy.demo.reckoning import latencies_ms, reckon
from deploy.demo.text import bolivares
from deploy.demo.watch import SeenSale
from schemas.events import SaleEvent
from tests.support.samples import LINE, SALE

D = Decimal


def ledger() -> Ledger:
    return Ledger(
        sales={"1": ("F1", "1", D("100"), D("16"), D("116")), "2": ("F2", "2", D("50"), D("8"), D("58"))},
        lines={"10": ("1", "A", D("2"), D("50")), "20": ("2", "B", D("1"), D("50"))},
        stock={"1/1": D("5"), "1/2": D("-3")},
    )


def seen(sale: str, total: str, code: str, quantity: str, price: str) -> SeenSale:
    line = msgspec.structs.replace(LINE, sku=code, quantity=quantity, unit_price=price)
    whole = msgspec.structs.replace(SALE, sale_id=sale, external_id=sale, total=total, lines=[line])
    return SeenSale(SaleEvent(tenant_id="t", store_id="s", sale=whole), arrived=2_000, event_ids={f"e{sale}"})


def events() -> dict[str, SeenSale]:
    return {"1": seen("1", "116.0000", "A", "2.0000", "50"), "2": seen("2", "58", "B", "1", "50.0000")}


def test_equal_sides_agree() -> None:
    result = reckon(ledger(), ledger(), events())
    assert result.agrees
    assert (result.pos_sales, result.postgres_sales, result.sale_created) == (2, 2, 2)
    assert result.pos_total == D("174")


@pytest.mark.parametrize("missing", ["1", "2"])
def test_a_sale_that_postgres_lacks_is_lost(missing: str) -> None:
    there = ledger()
    del there.sales[missing]
    result = reckon(ledger(), there, events())
    assert (result.lost, result.agrees) == (1, False)


def test_a_line_that_postgres_lacks_is_a_lost_sale() -> None:
    there = ledger()
    del there.lines["20"]
    assert reckon(ledger(), there, events()).lost == 1


def test_a_sale_without_event_is_lost() -> None:
    assert reckon(ledger(), ledger(), {"1": events()["1"]}).lost == 1


def test_a_sale_or_line_too_many_is_doubled() -> None:
    there = ledger()
    there.sales["3"] = there.sales["1"]
    there.lines["11"] = there.lines["10"]
    assert reckon(ledger(), there, events()).duplicated == 2


def test_a_second_event_of_one_sale_is_doubled_and_a_repeat_is_not() -> None:
    told = events()
    told["1"].repeats += 1
    assert reckon(ledger(), ledger(), told).agrees
    told["1"].event_ids.add("another")
    result = reckon(ledger(), ledger(), told)
    assert (result.duplicated, result.sale_created, result.agrees) == (1, 3, False)


def test_a_cent_is_a_difference() -> None:
    there = ledger()
    there.sales["1"] = ("F1", "1", D("100"), D("16"), D("116.01"))
    result = reckon(ledger(), there, events())
    assert (result.wrong, result.agrees) == (1, False)


def test_an_event_with_another_line_is_a_difference() -> None:
    told = events()
    sale = told["1"].event.sale
    lines = [msgspec.structs.replace(sale.lines[0], quantity="3")]
    told["1"].event = msgspec.structs.replace(told["1"].event, sale=msgspec.structs.replace(sale, lines=lines))
    assert reckon(ledger(), ledger(), told).wrong == 1


def test_stock_levels_are_compared_both_ways() -> None:
    there = replace(ledger(), stock={"1/1": D("5"), "2/1": D("1")})
    assert reckon(ledger(), there, events()).stock_differences == 2


def test_latency_is_from_commit_to_arrival() -> None:
    assert latencies_ms({"1": 0, "2": 1_000, "9": 0}, events()) == {"p50": 2.0, "p95": 2.0, "max": 2.0}


def test_amounts_read_as_in_venezuela() -> None:
    assert bolivares(D("1234567.5"), "es") == "1.234.567,50"
    assert bolivares(D("1234567.5"), "en") == "1,234,567.50"
