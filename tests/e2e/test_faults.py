"""A service is away, or processes come and go, while the shops sell: in the end all sides agree to the cent."""

import random
import time
from collections.abc import Callable
from decimal import Decimal

import pytest

from deploy import stack as services
from deploy.demo.run import Demo
from deploy.stack import Stack
from fluxion.postgres import APP, connect
from tests.e2e.conftest import demand_agreement, sales

pytestmark = [pytest.mark.stack, pytest.mark.processes, pytest.mark.timeout(300)]

# What one busy shop sells in ten minutes that it is offline.
SALES_OFFLINE = 1_500


def sell_while(demo: Demo, happens: Callable[[], None], *, after_s: float = 2.0, then_s: float = 4.0) -> None:
    """Keep the shops open before, while and after something happens."""
    demo.registers.start()
    try:
        time.sleep(after_s)
        happens()
        time.sleep(then_s)
    finally:
        demo.registers.stop()


def prices(demo: Demo) -> dict[str, tuple[Decimal, Decimal]]:
    """Return cost and price of the first two items, as PostgreSQL has them."""
    with connect(demo.stack.postgres, APP) as link:
        link.execute("select set_config('fluxion.tenant_id', %s, true)", [demo.tenant_id])
        rows = link.execute(
            "select external_id, cost_price, selling_price from fluxion.products where external_id in ('1', '2')"
        ).fetchall()
    return {row[0]: (row[1], row[2]) for row in rows}


def away(stack: Stack, name: str, seconds: float) -> None:
    services.stop(stack.home, name)
    time.sleep(seconds)
    services.start(stack.home, name)


# Kafka is away longer than sessions and requests last, which is 10 s.
@pytest.mark.parametrize(("name", "seconds"), [("kafka", 12.0), ("postgres", 3.0), ("mariadb", 3.0)])
def test_a_service_is_away_for_a_while(at_work: Demo, stack: Stack, name: str, seconds: float) -> None:
    before = sales(at_work)
    sell_while(at_work, lambda: away(stack, name, seconds))
    demand_agreement(at_work, before + 100)


def test_an_agent_that_was_offline_catches_up_with_ten_minutes_of_sales(at_work: Demo) -> None:
    demo, before = at_work, sales(at_work)
    demo.supervisor.end("agent")
    chance = random.Random(3)
    with demo.pos.connect() as link:
        for number in range(SALES_OFFLINE):
            demo.pos.ring_up(link, chance, 1 + number % 2, f"B{number:07d}")
    demo.supervisor.start("agent", ["agent", "run", "--home", str(demo.home / "agent")])
    demand_agreement(demo, before + SALES_OFFLINE)


def test_an_agent_that_was_offline_over_a_reordering_never_swaps_two_columns(at_work: Demo) -> None:
    """Cost and price are of one type: a column taken by its place would be the other."""
    demo, before = at_work, sales(at_work)
    demo.supervisor.end("agent")
    chance = random.Random(4)
    with demo.pos.connect() as link, link.cursor() as cursor:
        demo.pos.ring_up(link, chance, 1, "C1")
        cursor.execute("update items set sale_price = 111.11, cost_price = 99.99 where item_id = 1")
        cursor.execute("alter table items modify cost_price decimal(18,4) after sale_price")
        cursor.execute("alter table transactions modify tax_amount decimal(18,2) first")
        cursor.execute("update items set sale_price = 222.22, cost_price = 88.88 where item_id = 2")
        demo.pos.ring_up(link, chance, 2, "C2")
    demo.supervisor.start("agent", ["agent", "run", "--home", str(demo.home / "agent")])
    demand_agreement(demo, before + 2)
    assert prices(demo) == {"1": (Decimal("99.99"), Decimal("111.11")), "2": (Decimal("88.88"), Decimal("222.22"))}


def test_processors_and_sinks_join_and_leave(at_work: Demo) -> None:
    demo, before = at_work, sales(at_work)

    def join_and_leave() -> None:
        for name in ("processor", "sink"):
            demo.supervisor.start(f"{name}-2", [name, "run"], {"FLUXION_WORK_DIR": str(demo.home / f"work-{name}")})
        time.sleep(4)
        demo.supervisor.kill("processor-2")
        demo.supervisor.end("sink-2")
        time.sleep(4)
        demo.supervisor.end("processor-2")
        time.sleep(2)

    sell_while(demo, join_and_leave)
    demand_agreement(demo, before + 200)
