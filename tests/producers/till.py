"""An enrolled agent, as a process of its own or in a thread, its shop, and what the topics say of both."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from control.registry import NewSystem, add_system, add_tenant
from fluxion.clock import SystemClock
from fluxion.postgres import APP, connect
from fluxion.progress import Watchdog
from fluxion.schema_registry import SchemaRegistry
from fluxion.settings import Settings
from producers.agent import Agent
from producers.enrol import enrol
from producers.home import AgentConfig, read_config
from producers.standing import standing_of
from schemas.codec import Decoder
from schemas.mapping import load
from schemas.status import Status
from schemas.topics import STATUS
from tests.conftest import Cloud
from tests.producers.conftest import Shop
from tests.producers.shipping import records_of, values_on
from tests.support.local import ROOT, fluxion

SCHEMA = """
create table categories (category_id int primary key, category_name varchar(80));
create table items (item_id int primary key, item_code varchar(40), item_name varchar(200), category_id int,
  sale_price decimal(18,4), last_sale_date datetime, active char(1));
create table stock (item_id int, location_id int, qty_on_hand decimal(18,4), primary key (item_id, location_id));
create table transactions (trans_id bigint primary key, trans_no varchar(30), trans_date datetime(3), location_id int,
  subtotal decimal(18,4), tax_amount decimal(18,4), total_amount decimal(18,4));
create table transaction_details (detail_id bigint primary key auto_increment, trans_id bigint, item_code varchar(40),
  qty decimal(18,4), unit_price decimal(18,4));
insert into stock select seq, 1, 1000 from seq_1_to_800
"""


class Till:
    """An enrolled agent's folder, and the shop that it captures."""

    def __init__(self, cloud: Cloud, shop: Shop, home: Path) -> None:
        self.cloud, self.shop, self.home = cloud, shop, home
        self.environment = {**cloud.environment, "FLUXION_SOURCE_PASSWORD": shop.password}
        place = {"host": shop.host, "port": shop.port, "user": shop.user, "database": shop.database}
        with connect(cloud.stack.postgres, APP) as link:
            self.system_id = add_system(link, add_tenant(link, "T"), NewSystem("S", load("systimax"), place, {}))
        self.enrol()

    def fluxion(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return fluxion(*words, environment=self.environment, check=check)

    def enrol(self) -> AgentConfig:
        return enrol(self.cloud.stack.postgres, self.system_id, self.home, {})

    def settings(self, **other: str) -> Settings:
        """What a process reads from its environment; `other`: services that are reached elsewhere."""
        stack = self.cloud.stack
        places = {"database": stack.postgres, "kafka": stack.kafka, "schema_registry": stack.registry, **other}
        return Settings.model_validate({**places, "source_password": self.shop.password})

    def start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "fluxion.cli", "agent", "run", "--home", str(self.home)],
            cwd=ROOT,
            env={**os.environ, **self.environment},
        )

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        with self.start() as process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def at_work(self, settings: Settings | None = None, config: AgentConfig | None = None) -> Iterator["AtWork"]:
        """The agent in a thread: quicker than a process, and seen from inside. It is ended as by SIGTERM."""
        one = AtWork(self.home, config or read_config(self.home), settings or self.settings())
        try:
            yield one
        finally:
            one.stop()
        if one.fault is not None:
            raise one.fault

    def dumps(self) -> list[int]:
        """The connections that read the shop's log as this agent's account. One comes a moment after the snapshot is whole."""
        query = "select id from information_schema.processlist where command = 'Binlog Dump' and user = '{}'"
        until(lambda: self.shop.run(query.format(self.shop.user)) != [], "the log is read")
        return [row[0] for row in self.shop.run(query.format(self.shop.user))]

    def standing(self) -> dict[str, Any]:
        """What `agent status` says, without a process for it."""
        return standing_of(self.home, SystemClock())

    def wait_until_current(self) -> None:
        """Until the agent has read and shipped everything that the shop committed before this call."""
        ((last,),) = self.shop.run("select @@gtid_binlog_pos")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status = self.standing()
            position = json.loads(str(status["position"] or "{}"))
            reached = int(position.get("gtid", "0-1-0").split("-")[2]) >= int(last.split("-")[2])
            if status["snapshot"] == "whole" and reached and not status["unshipped"]:
                return
            time.sleep(0.05)
        raise AssertionError(self.standing())


class AtWork:
    """An agent that runs in a thread of this process; `fault` is what ended it by itself."""

    def __init__(self, home: Path, config: AgentConfig, settings: Settings) -> None:
        self.fault: BaseException | None = None
        self._watchdog = Watchdog(SystemClock())
        self._agent = Agent(home, config, settings, SystemClock(), self._watchdog)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._agent.run()
        except BaseException as fault:  # noqa: BLE001 -- the test looks at it
            self.fault = fault

    @property
    def runs(self) -> bool:
        return self._thread.is_alive()

    @property
    def waits_for(self) -> set[str]:
        """The services and things that its page says it waits for."""
        return {standing.wait.dependency for standing in self._watchdog.standings() if standing.wait}

    def stop(self) -> None:
        self._agent.stop()
        self._thread.join(20)
        assert not self.runs, "it does not end"

    def wait_for_its_end(self) -> BaseException | None:
        """What ended it; it counts as expected then."""
        self._thread.join(20)
        assert not self.runs, "it goes on"
        fault, self.fault = self.fault, None
        return fault


def shipped(till: Till) -> dict[tuple[str, ...], tuple[str | None, ...]]:
    """What the topic says of the shop in the end: the highest version of each key wins, an end forgets what it did not see."""
    found: dict[tuple[str, ...], tuple[int, str, tuple[str | None, ...]]] = {}
    for record in records_of(till.cloud, till.system_id):
        for row in record.rows:
            layout = record.layouts[row.layout]
            values = dict(zip([column.name for column in layout.columns], row.values, strict=True))
            key = (layout.table, *(str(values[name]) for name in layout.key))
            assert row.version is not None
            if key not in found or found[key][0] < row.version:
                found[key] = (row.version, row.op, tuple(row.values))
        for end in record.ends:
            for key, (version, _, values_) in list(found.items()):
                if key[0] == end.table and version < end.first_version:
                    found[key] = (version, "d", values_)
    return {key: values for key, (_, op, values) in found.items() if op != "d"}


def stored(till: Till, table: str) -> list[tuple[str, ...]]:
    return sorted(tuple(map(str, row)) for row in till.shop.run(f"select * from {table}"))


def sell(shop: Shop, numbers: Iterator[int], done: threading.Event) -> None:
    with shop.link() as link, link.cursor() as cursor:
        for number in numbers:
            if done.is_set():
                return
            cursor.execute("begin")
            cursor.execute(f"insert into transactions values ({number}, 'F{number}', now(3), 1, 10, 1.6, 11.6)")
            cursor.execute(
                f"insert into transaction_details (trans_id, item_code, qty, unit_price) values ({number}, 'A', 1, 10)"
            )
            cursor.execute(f"update stock set qty_on_hand = qty_on_hand - 1 where item_id = {number % 800 + 1}")
            cursor.execute(f"delete from transaction_details where trans_id = {number - 50}")
            cursor.execute("commit")


def seen_as_stored(till: Till, *tables: str) -> dict[tuple[str, ...], tuple[str | None, ...]]:
    """Demand that the topic ends with exactly the rows that the shop has, and return all that it ends with.

    Without times, which are written another way.
    """
    found = shipped(till)
    for table in tables:
        rows = sorted(values for (name, *_), values in found.items() if name == table)
        mine = stored(till, table)
        if table == "transactions":
            assert [row[0] for row in rows] == [row[0] for row in mine]
        else:
            assert rows == mine
    return found


def statuses_of(till: Till) -> list[Status]:
    """Every status event of the agent, in order."""
    decode = Decoder("status", Status, SchemaRegistry(till.cloud.stack.registry).schema_text)
    return [decode(value) for value in values_on(till.cloud, STATUS.name, till.system_id)]


def until(holds: Callable[[], bool], what: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
