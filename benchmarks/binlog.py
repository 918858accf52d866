"""How fast a shop's backlog is read: mysql-replication's own events, our stream, and a whole agent into Kafka.

The log is a point of sale's: one row an event, one sale a transaction (header, lines, a stock update for each line).
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pymysql
import typer
from pydantic import SecretStr
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from deploy import stack
from deploy.demo.pos import ITEMS
from deploy.demo.run import DATABASE, Demo
from deploy.demo.systimax import Systimax
from deploy.stack.mariadb import CAPTURE
from fluxion.clock import SystemClock
from fluxion.errors import DependencyDownError, FluxionError
from fluxion.settings import Settings
from producers.home import read_config
from producers.sources.choice import open_source
from producers.standing import standing_of

WANTED_RATIO = 3.0
WAIT_S = 300.0


@dataclass(frozen=True)
class Leg:
    """One reader's figures."""

    name: str
    rows: int
    seconds: float
    peak_mb: int | None = None

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds


def main(
    rows: Annotated[int, typer.Option(help="changed rows in the log, about")] = 200_000,
    base_port: Annotated[int, typer.Option(help="the stack's ports stand above it")] = 21_000,
) -> None:
    """Fill a log, read it three times, print the rates side by side."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the stack is taken down then, too
    with _stack(base_port) as (services, home):
        pos = Systimax(services.mariadb_host, services.mariadb_port, "app", "app", DATABASE)
        demo = Demo(services, home / "run", sales_per_second=1, past_sales=10, pos=pos)
        demo.prepare()
        agent = demo.home / "agent"
        with _agent(agent, demo.environment):
            _until(lambda: _is_current(agent, pos), "the first snapshot")
        position = str(standing_of(agent, SystemClock())["position"])
        written = _sell(pos, rows)
        legs = [
            _library(pos, agent, json.loads(position)["gtid"], written),
            _stream(agent, position, written),
            _whole(agent, demo, pos, written),
        ]
    base = legs[0].rate
    for leg in legs:
        memory = f"{leg.peak_mb:5d} MB peak" if leg.peak_mb else ""
        typer.echo(
            f"{leg.name:42} {leg.rows:8,d} rows {leg.seconds:7.1f} s {leg.rate:9,.0f} rows/s {leg.rate / base:5.1f} times {memory}"
        )
    raise typer.Exit(0 if legs[-1].rate >= WANTED_RATIO * base else 1)


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


def _sell(pos: Systimax, wanted: int) -> int:
    """Ring up sales until `wanted` rows are changed; return how many were."""
    chance = random.Random(7)  # noqa: S311 -- made-up sales
    written = sale = 0
    with pos.connect() as link, link.cursor() as cursor:
        cursor.execute("set global sync_binlog = 0, global innodb_flush_log_at_trx_commit = 0")  # to fill it soon
        while written < wanted:
            sale += 1
            cursor.execute("begin")
            cursor.execute(
                "insert into transactions (trans_no, trans_date, location_id, subtotal, tax_amount, total_amount, payment_type)"
                " values (%s, now(), %s, 100.5, 16.08, 116.58, 'EFECTIVO')",
                [f"B{sale:07d}", sale % 2 + 1],
            )
            header = cursor.lastrowid
            lines = sorted(chance.sample(range(1, ITEMS + 1), chance.randint(1, 5)))
            for item in lines:
                cursor.execute(
                    "insert into transaction_details (trans_id, item_code, qty, unit_price) values (%s, %s, 1, %s)",
                    [header, f"SKU{item:05d}", chance.randint(1, 99_999) / 100],
                )
                cursor.execute(
                    "update stock set qty_on_hand = qty_on_hand - 1 where item_id = %s and location_id = 1", [item]
                )
            cursor.execute("commit")
            written += 1 + 2 * len(lines)
        cursor.execute("set global sync_binlog = 1, global innodb_flush_log_at_trx_commit = 1")
    return written


# The three readers ---------------------------------------------------------------------------------------------------


def _library(pos: Systimax, agent: Path, gtid: str, wanted: int) -> Leg:
    config = read_config(agent).source

    def connect(**settings: Any) -> "pymysql.Connection[Any]":
        cursors = settings.get("cursorclass", pymysql.cursors.Cursor)
        return pymysql.connect(host=pos.host, port=pos.port, user=pos.user, password=pos.password, cursorclass=cursors)

    reader = BinLogStreamReader(
        connection_settings={},
        pymysql_wrapper=connect,
        server_id=989,
        is_mariadb=True,
        auto_position=gtid,
        only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent],
        only_schemas=[pos.database],
        only_tables=list(config.tables),
        enable_logging=False,
        # (not to its end: it asks for that with a byte too many, and the server then resets the line under a slow reader)
        blocking=True,
    )
    begun, read = time.monotonic(), 0
    with closing(reader):
        for event in reader:
            read += len(event.rows)
            if read >= wanted:
                break
    return Leg("mysql-replication, its own events", read, time.monotonic() - begun)


def _stream(agent: Path, position: str, wanted: int) -> Leg:
    clock = SystemClock()
    source = open_source(read_config(agent).place(Settings(source_password=SecretStr(CAPTURE))), clock)
    begun, read = time.monotonic(), 0
    with closing(source):
        for capture in source.stream(position):
            read += len(capture.rows)
            if read >= wanted:
                break
    return Leg("our stream alone", read, time.monotonic() - begun)


def _whole(agent: Path, demo: Demo, pos: Systimax, wanted: int) -> Leg:
    before = _rows(agent)
    with _agent(agent, demo.environment) as process:
        # Its start, about a second, is not what is measured, nor are the rows that came in it.
        _until(lambda: _rows(agent) > before, "the first rows")
        begun, first = time.monotonic(), _rows(agent)
        _until(lambda: _is_current(agent, pos), "all rows to be in Kafka")
        seconds, peak = time.monotonic() - begun, _peak_mb(process.pid)
    last = _rows(agent)
    assert last - before == wanted, (last - before, wanted)  # noqa: S101 -- a benchmark that reads less measures nothing
    return Leg("agent: binlog → journal → Kafka", last - first, seconds, peak)


def _rows(agent: Path) -> int:
    return int(standing_of(agent, SystemClock())["rows"])


# The agent as a process ----------------------------------------------------------------------------------------------


@contextmanager
def _agent(agent: Path, environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "fluxion.cli", "agent", "run", "--home", str(agent)]
    with subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL) as process:  # noqa: S603 -- our own command
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def _is_current(agent: Path, pos: Systimax) -> bool:
    """Whether everything that is committed now is in Kafka."""
    standing = standing_of(agent, SystemClock())
    if standing["snapshot"] != "whole" or standing["unshipped"]:
        return False
    with pos.connect() as link, link.cursor() as cursor:
        cursor.execute("select @@gtid_binlog_pos")
        (last,) = cursor.fetchone()
    return bool(json.loads(standing["position"])["gtid"] == last)


def _peak_mb(pid: int) -> int:
    """Return the most memory that a process ever held (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        if time.monotonic() > deadline:
            raise DependencyDownError(
                f"{what} did not come within {WAIT_S:.0f} s", "run the agent by hand and read its log"
            )
        time.sleep(0.1)


if __name__ == "__main__":
    try:
        typer.run(main)
    except FluxionError as fault:
        sys.exit(f"benchmarks.binlog: {fault}")
