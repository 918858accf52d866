"""kill -9 of each process in the middle of load: the POS database, PostgreSQL and the topic agree to the cent."""

import random
import threading
import time
from pathlib import Path

import pytest

from deploy.demo.line import Line
from deploy.demo.run import PROCESSES, Demo
from deploy.stack import Stack
from tests.e2e.conftest import SALES_PER_SECOND, demand_agreement

pytestmark = [pytest.mark.stack, pytest.mark.processes, pytest.mark.timeout(300)]

SELLING_S = 14.0
ENOUGH = SELLING_S * SALES_PER_SECOND / 2


def sell(demo: Demo, disturb: threading.Thread | None = None) -> None:
    """Keep the shops open for a while; `disturb` runs beside."""
    demo.registers.start()
    try:
        if disturb:
            disturb.start()
        time.sleep(SELLING_S)
    finally:
        demo.registers.stop()
        if disturb:
            disturb.join()


@pytest.mark.parametrize("name", PROCESSES)
def test_kill_one_process_again_and_again(demo: Demo, name: str) -> None:
    demo.start()
    demo.wait_until_ready()
    killed = []

    def kill() -> None:
        for pause in (2.0, 3.5, 3.5):
            time.sleep(pause)
            killed.append(demo.supervisor.kill(name))

    sell(demo, threading.Thread(target=kill))
    assert len([pid for pid in killed if pid]) >= 2
    demand_agreement(demo, ENOUGH)
    assert demo.supervisor.restarts(name) >= 2


def test_kill_any_process_at_random(demo: Demo) -> None:
    demo.start()
    demo.wait_until_ready()
    chance = random.Random(7)

    def kill() -> None:
        for _ in range(8):
            time.sleep(chance.uniform(0.5, 2.0))
            demo.supervisor.kill(chance.choice(PROCESSES))

    sell(demo, threading.Thread(target=kill))
    demand_agreement(demo, ENOUGH)


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
                time.sleep(2)
                line.cut()
                time.sleep(1.5)
                demo.supervisor.kill("agent")
                time.sleep(1.5)
                line.mend()

        sell(demo, threading.Thread(target=cut))
        demand_agreement(demo, ENOUGH)
    finally:
        line.close()


def test_sales_of_before_the_agent_are_stored_and_not_announced(stack: Stack, tmp_path: Path) -> None:
    run = Demo(stack, tmp_path / "demo", SALES_PER_SECOND, past_sales=40)
    try:
        run.prepare()
        run.start()
        run.wait_until_ready()
        sell(run)
        result = run.drain(within_s=25)
    finally:
        run.stop()
    assert result.postgres_sales == result.pos_sales
    assert result.sale_created == result.pos_sales - 40
