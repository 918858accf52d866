"""Stellar on SQL Server: agent and server end in the middle of load; POS, PostgreSQL and the topic agree to the cent."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deploy.demo.run import Demo
from deploy.demo.stellar import Stellar
from deploy.stack import Stack
from tests.e2e.conftest import SALES_PER_SECOND, demand_agreement, stop, wait_for_registry
from tests.support import sqlserver as sql_servers
from tests.support.tds.run import Standin

pytestmark = [pytest.mark.stack, pytest.mark.processes, pytest.mark.timeout(300)]

DATABASE = "fluxion_e2e_stellar"
AWAY_S, SEEN_WITHIN_S = 1.5, 30.0
# How the stand-in asks its PostgreSQL for the changes of a table, inside a poll's transaction.
POLLS = """
select count(*) from pg_stat_activity
where datname like '%%' || %s and state <> 'idle' and query ilike '%%.changes_dbo$%%'
"""


@pytest.fixture
def server(sqlserver: sql_servers.Server) -> Iterator[Standin]:
    """A SQL Server that is ours to end."""
    if not isinstance(sqlserver, Standin):
        pytest.skip(sql_servers.ONLY_THE_STANDIN)
    yield sqlserver
    if not sqlserver.is_up():
        sqlserver.start()


@pytest.fixture
def demo(stack: Stack, server: Standin, tmp_path: Path) -> Iterator[Demo]:
    """Everything prepared and nothing started."""
    pos = Stellar(server.host, server.port, server.user, server.password, DATABASE)
    run = Demo(stack, tmp_path / "demo", SALES_PER_SECOND, pos=pos)
    wait_for_registry(stack)
    try:
        run.prepare()
        yield run
    finally:
        stop(run)


def end_in_the_middle_of_a_poll(stack: Stack, server: Standin) -> None:
    """Kill the server while it holds a poll's transaction, frozen so that the poll cannot end before it does."""
    with psycopg.connect(sql_servers.superuser(stack.postgres), autocommit=True) as link:

        def polls() -> bool:
            return link.execute(POLLS, [DATABASE]).fetchone() != (0,)

        deadline = time.monotonic() + SEEN_WITHIN_S
        while time.monotonic() < deadline:
            if polls():
                server.freeze()
                time.sleep(0.02)  # what PostgreSQL was asked for is answered
                if polls():
                    server.kill()
                    return
                server.thaw()
    raise AssertionError("the agent does not poll")


def test_agent_and_server_end_again_and_again_while_the_shop_sells(demo: Demo, stack: Stack, server: Standin) -> None:
    """The shop is open before the agent comes, so the first kills meet its start and its snapshot, the others its stream."""
    chance = random.Random(11)
    killed = []

    def kill_agent(at_least: float, at_most: float) -> None:
        time.sleep(chance.uniform(at_least, at_most))
        killed.append(demo.supervisor.kill("agent"))

    demo.registers.start()
    try:
        demo.start()
        kill_agent(0.8, 1.6)
        demo.wait_until_ready()
        for _ in range(2):
            kill_agent(0.5, 2.0)
            end_in_the_middle_of_a_poll(stack, server)
            time.sleep(AWAY_S)
            server.start()
        time.sleep(2.5)
        server.kill()
        kill_agent(0.0, AWAY_S)
        server.start()
        kill_agent(3.0, 4.5)
        time.sleep(2.0)
    finally:
        if not server.is_up():
            server.start()
        demo.registers.stop()
    demand_agreement(demo, at_least=10 * SALES_PER_SECOND)
    assert len([pid for pid in killed if pid]) >= 4
    assert demo.supervisor.restarts("agent") >= 4
    log = (demo.home / "logs" / "agent.log").read_text()
    assert log.count("the source is lost, trying again") >= 2
    assert "position lost" not in log, "a restart is no restore"
