"""How a run begins: sales of before it, sales while it begins, a registry that is not there, a line that is cut early."""

import threading
import time
from pathlib import Path

import pytest

from deploy import stack as services
from deploy.demo.line import Line
from deploy.demo.run import Demo
from deploy.stack import Stack
from tests.e2e.conftest import SALES_PER_SECOND, demand_agreement, sell, stop, wait_for_registry

pytestmark = [pytest.mark.stack, pytest.mark.processes, pytest.mark.timeout(300)]

SELLING_S = 10.0
ENOUGH = SELLING_S * SALES_PER_SECOND / 2
PAST_SALES = 40
ARRIVE_S = 60.0


def test_sales_during_the_first_snapshot_are_neither_lost_nor_doubled(demo: Demo) -> None:
    """The shops are open before the agent comes: the snapshot and the stream overlap."""
    demo.registers.start()
    try:
        time.sleep(1.0)
        demo.start()
        time.sleep(SELLING_S - 1)
    finally:
        demo.registers.stop()
    demand_agreement(demo, ENOUGH)


def test_the_line_is_cut_and_the_agent_killed_while_it_is(demo: Demo, stack: Stack) -> None:
    """What the agent has in hand for a broker that it cannot reach must still be in the journal."""
    line = Line(stack.store_line_port, stack.store_listener_port)
    line.open()
    try:
        demo.start(kafka_for_agent=f"127.0.0.1:{stack.store_line_port}")
        demo.wait_until_ready()

        def cut() -> None:
            for _ in range(2):
                time.sleep(1.5)
                line.cut()
                time.sleep(1.5)
                demo.supervisor.kill("agent")
                time.sleep(1.5)
                line.mend()

        sell(demo, SELLING_S, threading.Thread(target=cut))
        demand_agreement(demo, ENOUGH)
    finally:
        line.close()


def test_sales_of_before_the_agent_are_stored_and_not_announced(stack: Stack, tmp_path: Path) -> None:
    run = Demo(stack, tmp_path / "demo", SALES_PER_SECOND, past_sales=PAST_SALES)
    wait_for_registry(stack)
    try:
        run.prepare()
        run.start()
        run.wait_until_ready()
        sell(run, 3.0)
        deadline = time.monotonic() + ARRIVE_S
        while run.reckon().sale_created < len(run.registers.committed) and time.monotonic() < deadline:
            time.sleep(0.2)
        result = run.drain(within_s=3)  # one that is announced all the same would come late
    finally:
        stop(run)
    assert result.postgres_sales == result.pos_sales
    assert result.sale_created == result.pos_sales - PAST_SALES


def test_the_schema_registry_is_down_when_everything_starts(demo: Demo, stack: Stack) -> None:
    services.stop(stack.home, "registry")
    try:
        demo.start()
        sell(demo, 8.0)
    finally:
        services.start(stack.home, "registry")
    demand_agreement(demo, at_least=100)
