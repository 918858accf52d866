"""kill -9 of the sink's and the relay's processes in the middle of load."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from fluxion.postgres import SINK
from schemas.records import CanonicalSet, Sale
from tests.conftest import Cloud
from tests.sinks.events import EventReader
from tests.sinks.shop import OpenShop
from tests.support.local import ROOT

SALES = 3000
KILLS = 4
ENOUGH_S = 90


class Process:
    """A process of the project that is started again whenever it was killed."""

    def __init__(self, name: str, environment: Mapping[str, str], log: Path) -> None:
        self._command = [sys.executable, "-m", "fluxion.cli", name, "run"]
        self._environment = {**os.environ, **environment}
        self._log = log
        self.running = self._start()

    def kill(self) -> None:
        self.running.kill()
        assert self.running.wait(10) == -signal.SIGKILL, self._log.read_text()
        self.running = self._start()

    def end(self) -> None:
        self.running.terminate()
        assert self.running.wait(20) == 0, self._log.read_text()

    def discard(self) -> None:
        if self.running.poll() is None:
            self.running.kill()
            self.running.wait(10)

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)


@contextmanager
def processes(cloud: Cloud, folder: Path) -> Iterator[dict[str, Process]]:
    with ExitStack() as ends:
        started = {}
        for name in ("sink", "relay"):
            started[name] = Process(name, cloud.environment, folder / f"{name}.log")
            ends.callback(started[name].discard)
        yield started


def _is_settled(shop: OpenShop) -> bool:
    left = shop.one("select count(*) from pos_integration.outbox where tenant_id = :tenant and published_at is null")
    return not left and shop.one("select count(*) from pos_integration.outbox where tenant_id = :tenant") >= SALES


@pytest.mark.processes
@pytest.mark.timeout(240)
@pytest.mark.parametrize("victim", ["sink", "relay"])
def test_kill_9_in_the_middle_of_load_loses_and_doubles_nothing(
    cloud: Cloud, shop: OpenShop, tmp_path: Path, victim: str
) -> None:
    mine = shop.shop
    chance = random.Random(7)
    with processes(cloud, tmp_path) as started:
        for burst in range(KILLS + 1):
            numbers = range(burst * SALES // (KILLS + 1), (burst + 1) * SALES // (KILLS + 1))
            shop.send(*[record for number in numbers for record in _in_parts(shop, number, chance)])
            if burst < KILLS:
                _wait_for_work(shop, victim)
                started[victim].kill()
        deadline = time.monotonic() + ENOUGH_S
        while not _is_settled(shop):
            assert time.monotonic() < deadline, f"{_lost(shop)} of {SALES} sales were not announced"
            time.sleep(0.2)
        for process in started.values():
            process.end()
    told = EventReader(shop).read()
    assert len({event.id for event in told}) == len({event.value.sale.sale_id for event in told}) == SALES
    assert {event.value.sale.sale_id for event in told} == {mine.id("sale", number) for number in range(SALES)}
    assert all(event.value.sale.complete and len(event.value.sale.lines) == 3 for event in told)
    assert shop.rows("select count(*), sum(total)::text from fluxion.sales where tenant_id = :tenant") == [
        (SALES, f"{sum(range(SALES)):d}.0000")
    ]
    assert shop.one("select count(*) from fluxion.sale_items where tenant_id = :tenant") == 3 * SALES
    assert shop.one("select count(*) from pos_integration.outbox where tenant_id = :tenant") == SALES
    assert shop.rows("select code from pos_integration.quarantine where tenant_id = :tenant") == []


def _in_parts(shop: OpenShop, number: int, chance: random.Random) -> list[CanonicalSet]:
    """A sale in one record, or its header and lines in two, as a transaction that was split."""
    mine = shop.shop
    sale = mine.sale(number, lines=3, total=str(number))
    if chance.random() < 0.5:
        return [mine.record(sales=[sale])]
    first = Sale(id=sale.id, store_id=sale.store_id, header=sale.header, lines=sale.lines[:1], closed=True)
    rest = Sale(id=sale.id, store_id=None, header=None, lines=sale.lines[1:], txn_end=True)
    return [mine.record(sales=[first]), mine.record(sales=[rest])]


def _wait_for_work(shop: OpenShop, victim: str) -> None:
    """Return when the victim stands in the middle of something: a sink between its rows, a relay with events to note."""
    at_work = {
        "sink": "select 1 from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()"
        " and backend_xid is not null and query ~ '^(copy|insert into fluxion)'",
        "relay": "select 1 from pos_integration.outbox where published_at is null limit 1",
    }
    deadline = time.monotonic() + 60
    # A session's query is shown to its login only, which takes no role for that; the outbox's rows to the sink's role only.
    with psycopg.connect(shop.dsn, autocommit=True) as link:
        if victim == "relay":
            link.execute(f"set role {SINK}".encode())
        while link.execute(at_work[victim].encode()).fetchone() is None:
            assert time.monotonic() < deadline, "it never came to work"
            time.sleep(0.001)


def _lost(shop: OpenShop) -> int:
    return SALES - int(shop.one("select count(*) from pos_integration.outbox where tenant_id = :tenant"))
