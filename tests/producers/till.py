"""An enrolled agent as a process of its own, its shop, and what the topics say of both."""

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

from fluxion.clock import SystemClock
from fluxion.schema_registry import SchemaRegistry
from producers.standing import standing_of
from schemas.codec import Decoder
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
        tenant = self.fluxion("tenant", "add", "T").stdout.split()[-1]
        place = ["--host", shop.host, "--port", str(shop.port), "--user", shop.user, "--database", shop.database]
        said = self.fluxion("system", "add", "--tenant", tenant, "--template", "systimax", "--name", "S", *place)
        self.system_id = said.stdout.split()[-1]
        self.enrol()

    def fluxion(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return fluxion(*words, environment=self.environment, check=check)

    def enrol(self) -> str:
        return self.fluxion("agent", "enrol", "--system", self.system_id, "--home", str(self.home)).stdout

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

    def status(self) -> dict[str, object]:
        said: dict[str, object] = json.loads(self.fluxion("agent", "status", "--home", str(self.home), "--json").stdout)
        return said

    def standing(self) -> dict[str, Any]:
        """As `status`, without a process for it."""
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


def seen_as_stored(till: Till, *tables: str) -> None:
    """Demand that the topic ends with exactly the rows that the shop has; without times, which are written another way."""
    found = shipped(till)
    for table in tables:
        rows = sorted(values for (name, *_), values in found.items() if name == table)
        mine = stored(till, table)
        if table == "transactions":
            assert [row[0] for row in rows] == [row[0] for row in mine]
        else:
            assert rows == mine


def statuses_of(till: Till) -> list[Status]:
    """Every status event of the agent, in order."""
    decode = Decoder("status", Status, SchemaRegistry(till.cloud.stack.registry).schema_text)
    return [decode(value) for value in values_on(till.cloud, STATUS.name, till.system_id)]


def until(holds: Callable[[], bool], what: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
