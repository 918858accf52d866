"""A first snapshot of millions of rows whose agent is killed -9 twice: whether it ends equal, how fast, in what memory.

A register works all the while: rows change, go and come all over the table, in front of the chunks and behind them.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pymysql
import typer
from confluent_kafka import KafkaError, TopicPartition

from deploy import stack
from deploy.stack.mariadb import CAPTURE
from fluxion import kafka
from fluxion.clock import SystemClock
from fluxion.schema_registry import SchemaRegistry
from producers.standing import standing_of
from schemas.codec import Decoder
from schemas.records import ChangeSet
from schemas.topics import CHANGES, PARTITIONS

SCHEMA = """
create or replace table categories (category_id int primary key, category_name varchar(80));
create or replace table items (item_id int primary key, item_code varchar(40), item_name varchar(200), category_id int,
  sale_price decimal(18,4), last_sale_date datetime, active char(1));
create or replace table stock (item_id int, location_id int, qty_on_hand decimal(18,4), primary key (item_id, location_id));
create or replace table transactions (trans_id bigint primary key, trans_no varchar(30), trans_date datetime,
  location_id int, subtotal decimal(18,4), tax_amount decimal(18,4), total_amount decimal(18,4));
create or replace table transaction_details (detail_id bigint primary key, trans_id bigint, item_code varchar(40),
  qty decimal(18,4), unit_price decimal(18,4))
"""
FILL = """
insert into items select seq, concat('COD', seq), concat('Harina de maíz precocida ', seq), seq % 90, seq / 7,
  timestamp '2026-01-01 00:00:00' + interval seq second, 'Y' from seq_{first}_to_{last}
"""
FILL_ROWS = 500_000
# The server's own rendering of a row, so that nothing of ours judges itself.
CHECKSUM = """
select count(*), sum(crc32(concat_ws('|', item_id, item_code, item_name, category_id, sale_price,
  date_format(last_sale_date, '%Y-%m-%dT%H:%i:%s'), active))) from items
"""
POLL_S = 0.2
LIMIT_S = 3600.0


@dataclass(frozen=True)
class State:
    """What a table is known by: its rows, and the sum of their CRC-32."""

    rows: int
    checksum: int


class Shop:
    """A point of sale with one large table."""

    def __init__(self, services: stack.Stack) -> None:
        self.host, self.port = services.mariadb_host, services.mariadb_port
        self.database = "benchmark"
        self._done = threading.Event()
        self.run(f"create database {self.database}", database=None)

    def run(self, *statements: str, database: str | None = "") -> Any:
        """Run statements; the last one's first row."""
        name = self.database if database == "" else database
        with pymysql.connect(host=self.host, port=self.port, user="root", database=name, autocommit=True) as link:
            cursor = link.cursor()
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchone()

    def fill(self, rows: int) -> None:
        """Make the tables and fill the large one."""
        self.run(*SCHEMA.split(";"))
        for first in range(1, rows + 1, FILL_ROWS):
            self.run(FILL.format(first=first, last=min(first + FILL_ROWS - 1, rows)))

    def state(self) -> State:
        """Ask the server."""
        count, checksum = self.run(CHECKSUM)
        return State(int(count), int(checksum))

    @contextmanager
    def at_work(self, rows: int) -> Iterator[None]:
        """Change, delete and add rows all over the table meanwhile, some hundred a second."""
        thread = threading.Thread(target=self._work, args=[rows])
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _work(self, rows: int) -> None:
        number = 0
        while not self._done.wait(0.01):
            number += 1
            place = number * 7919 % rows + 1
            self.run(
                f"update items set sale_price = sale_price + 1 where item_id = {place}",  # noqa: S608 -- numbers
                f"delete from items where item_id = {place + 3}",  # noqa: S608 -- numbers
                FILL.format(first=rows + number, last=rows + number),
            )


class Agent:
    """The real agent, as a process."""

    def __init__(self, services: stack.Stack, shop: Shop, home: Path) -> None:
        self.home = home
        self._environment = {
            **os.environ,
            "FLUXION_DATABASE": services.postgres,
            "FLUXION_KAFKA": services.kafka,
            "FLUXION_SCHEMA_REGISTRY": services.registry,
            "FLUXION_SOURCE_PASSWORD": CAPTURE,
        }
        for words in (["db", "migrate"], ["topics", "create"], ["schemas", "register"]):
            self.fluxion(*words)
        tenant = self.fluxion("tenant", "add", "Benchmark")
        place = ["--host", shop.host, "--port", str(shop.port), "--user", CAPTURE, "--database", shop.database]
        self.system_id = self.fluxion(
            "system", "add", "--tenant", tenant, "--template", "systimax", "--name", "Benchmark", *place
        )
        self.fluxion("agent", "enrol", "--system", self.system_id, "--home", str(home))
        self.peak_kib = 0

    def fluxion(self, *words: str) -> str:
        """Run a command; the last word that it says."""
        command = [sys.executable, "-m", "fluxion.cli", *words]
        done = subprocess.run(command, env=self._environment, text=True, capture_output=True, check=True)  # noqa: S603 -- our own
        return (done.stdout.split() or [""])[-1]

    def run_until(self, rows: int | None) -> float:
        """Run until so many rows are journaled, then kill -9; None: until all is read and shipped. Returns the seconds."""
        command = [sys.executable, "-m", "fluxion.cli", "agent", "run", "--home", str(self.home)]
        began = time.monotonic()
        with subprocess.Popen(command, env=self._environment) as process:  # noqa: S603 -- our own
            try:
                while not self._reached(rows):
                    self._measure(process.pid)
                    if process.poll() is not None or time.monotonic() - began > LIMIT_S:
                        message = f"the agent did not get there (exit {process.poll()})"
                        raise RuntimeError(message)
                    time.sleep(POLL_S)
            finally:
                process.kill()
        return time.monotonic() - began

    def _reached(self, rows: int | None) -> bool:
        now = standing_of(self.home, SystemClock())
        if rows is not None:
            return int(now["rows"]) >= rows
        return str(now["snapshot"]) == "whole"

    def wait_until_shipped(self, shop: Shop) -> float:
        """Run until everything that the shop committed is in Kafka. Returns the seconds."""
        ((last),) = shop.run("select @@gtid_binlog_pos")
        began = time.monotonic()
        command = [sys.executable, "-m", "fluxion.cli", "agent", "run", "--home", str(self.home)]
        with subprocess.Popen(command, env=self._environment) as process:  # noqa: S603 -- our own
            try:
                while True:
                    now = standing_of(self.home, SystemClock())
                    if f'"{last}"' in str(now["position"]) and not now["unshipped"]:
                        return time.monotonic() - began
                    self._measure(process.pid)
                    if process.poll() is not None or time.monotonic() - began > LIMIT_S:
                        message = f"the agent did not get there (exit {process.poll()})"
                        raise RuntimeError(message)
                    time.sleep(POLL_S)
            finally:
                process.kill()

    def _measure(self, pid: int) -> None:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM"):
                self.peak_kib = max(self.peak_kib, int(line.split()[1]))


def shipped(services: stack.Stack, system_id: str, ids: int) -> State:
    """Return what the topic says in the end: the last value of each key."""
    decode = Decoder("change_set", ChangeSet, SchemaRegistry(services.registry).schema_text)
    consumer = kafka.consumer(services.kafka, str(uuid.uuid4()), **{"enable.partition.eof": True})
    consumer.assign([TopicPartition(CHANGES.name, partition, 0) for partition in range(PARTITIONS)])
    last = array("q", [-1]) * (ids + 1)  # the CRC-32 of each row's last image; -1: there is none
    ended = 0
    while ended < PARTITIONS:
        message = consumer.poll(30)
        if message is None:
            raise RuntimeError("Kafka does not answer")
        fault = message.error()
        if fault is not None and fault.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 -- its name
            ended += 1
        elif message.key() == system_id.encode():
            _note(decode(message.value() or b""), last)
    consumer.close()
    return State(sum(1 for checksum in last if checksum >= 0), sum(checksum for checksum in last if checksum >= 0))


def _note(record: ChangeSet, last: "array[int]") -> None:
    for row in record.rows:
        if record.layouts[row.layout].table == "items":
            text = "|".join(value for value in row.values if value is not None)
            last[int(row.values[0] or 0)] = -1 if row.op == "d" else zlib.crc32(text.encode())


def main(
    rows: Annotated[int, typer.Option(help="of the large table")] = 5_000_000,
    base_port: Annotated[int, typer.Option(help="the stack's ports stand above it")] = 22_000,
) -> None:
    """Fill a table, read it, compare; ends with 1 where the topic and the table differ."""
    with _stack(base_port) as (services, home):
        shop = Shop(services)
        shop.fill(rows)
        typer.echo(f"{rows:,d} rows are in the table")
        agent = Agent(services, shop, home / "agent")
        read = 0.0
        with shop.at_work(rows):
            for kill_at in (rows // 3, 2 * rows // 3, None):
                seconds = agent.run_until(kill_at)
                read += seconds
                stored = standing_of(agent.home, SystemClock())["rows"]
                typer.echo(f"killed -9 after {seconds:.0f} s with {stored:,d} rows journaled")
        snapshot_peak, agent.peak_kib = agent.peak_kib, 0
        rest = agent.wait_until_shipped(shop)
        told, there = shipped(services, agent.system_id, 2 * rows), shop.state()
    typer.echo(f"the table: {there}\nthe topic: {told}")
    typer.echo(
        f"journaled at {rows / read:,.0f} rows/s, in Kafka at {rows / (read + rest):,.0f} rows/s, with the restarts"
    )
    typer.echo(
        f"peak memory {snapshot_peak / 1024:.0f} MiB in the snapshot, {agent.peak_kib / 1024:.0f} MiB in the stream behind it"
    )
    raise typer.Exit(0 if told == there else 1)


@contextmanager
def _stack(base_port: int) -> Iterator[tuple[stack.Stack, Path]]:
    # Not under /tmp's private folders: the database accounts must be able to enter.
    with tempfile.TemporaryDirectory(prefix="fluxion-benchmark-", dir="/var/tmp") as name:
        home = Path(name)
        home.chmod(0o755)
        try:
            yield stack.up(home, base_port), home
        finally:
            stack.down(home)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
