"""kill -9 of each process in the middle of load: the POS database, PostgreSQL and the topic agree to the cent."""

import random
import threading
import time

import pytest

from deploy.demo.run import PROCESSES, Demo
from tests.e2e.conftest import SALES_PER_SECOND, demand_agreement, sales, sell

pytestmark = [pytest.mark.stack, pytest.mark.processes, pytest.mark.timeout(300)]

# Two seconds longer than it takes to kill.
SELLING_S = 10.0
ENOUGH = SELLING_S * SALES_PER_SECOND / 2


@pytest.mark.parametrize("name", PROCESSES)
def test_kill_one_process_again_and_again(at_work: Demo, name: str) -> None:
    before, restarts = sales(at_work), at_work.supervisor.restarts(name)
    killed = []

    def kill() -> None:
        for pause in (1.0, 3.5, 3.5):
            time.sleep(pause)
            killed.append(at_work.supervisor.kill(name))

    sell(at_work, SELLING_S, threading.Thread(target=kill))
    assert len([pid for pid in killed if pid]) >= 2
    demand_agreement(at_work, before + ENOUGH)
    assert at_work.supervisor.restarts(name) - restarts >= 2


def test_kill_any_process_at_random(at_work: Demo) -> None:
    before, chance = sales(at_work), random.Random(7)

    def kill() -> None:
        for _ in range(8):
            time.sleep(chance.uniform(0.5, 2.0))
            at_work.supervisor.kill(chance.choice(PROCESSES))

    sell(at_work, SELLING_S, threading.Thread(target=kill))
    demand_agreement(at_work, before + ENOUGH)
