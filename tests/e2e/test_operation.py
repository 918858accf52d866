"""Every process as an operator sees it: metrics, health, a clean end by SIGTERM, and logs without a secret."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from deploy import stack as services
from deploy.demo.run import PROCESSES, Demo
from deploy.stack import Stack
from tests.e2e.conftest import stop
from tests.support import local

pytestmark = [pytest.mark.stack, pytest.mark.processes, pytest.mark.timeout(240)]

STOP_S = 10.0
POS_PASSWORD, DATABASE_PASSWORD = "Clave-de-la-caja-7", "Clave-de-la-nube-9"
ADDRESS = re.compile(r'"address": "http://127\.0\.0\.1:(\d+)"')


@dataclass(frozen=True)
class Running:
    """The four processes of a demo; their logs are JSON lines, each on a metrics port that the system chose."""

    demo: Demo
    after_work: dict[str, str] = field(default_factory=dict)
    """/metrics of each, when a few seconds' sales had arrived and none had been started again."""

    def log(self, name: str) -> str:
        return (self.demo.home / "logs" / f"{name}.log").read_text()

    def get(self, name: str, path: str) -> tuple[int, str]:
        """Ask the process that was started last; one that is just being started again is waited for."""
        deadline = time.monotonic() + 30
        while True:
            ports = ADDRESS.findall(self.log(name))
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{ports[-1]}{path}", timeout=15) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as refused:
                with refused:
                    return refused.code, refused.read().decode()
            except (OSError, IndexError):
                assert time.monotonic() < deadline, f"{name} does not answer"
                time.sleep(0.2)

    def json(self, name: str, path: str) -> tuple[int, Any]:
        status, body = self.get(name, path)
        return status, json.loads(body)

    def waits_for(self, name: str) -> set[str]:
        _, said = self.json(name, "/healthz")
        return {work["waits_for"]["dependency"] for work in said["work"].values() if work["waits_for"]}


def value(page: str, metric: str) -> float | None:
    """The value of a metric; over all of its labels together."""
    found = re.findall(rf"^{metric}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE)
    return sum(map(float, found)) if found else None


def answers(running: Running, name: str, status: int) -> bool:
    return running.json(name, "/readyz")[0] == status


def waits_for_postgres(running: Running, name: str) -> bool:
    return "PostgreSQL" in running.waits_for(name)


def until(true: Callable[[], bool], what: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@pytest.fixture(scope="module")
def running(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    demo = Demo(stack, tmp_path_factory.mktemp("operation") / "demo", 20.0)
    try:
        demo.prepare()
        with_passwords_of_their_own(demo, stack)
        demo.environment.update(FLUXION_LOG_FORMAT="json", FLUXION_METRICS_PORT="0")
        demo.start()
        demo.wait_until_ready()
        demo.registers.start()
        time.sleep(3)
        demo.registers.stop()
        assert demo.drain().agrees
        made = Running(demo)
        made.after_work.update({name: made.get(name, "/metrics")[1] for name in PROCESSES})
        yield made
    finally:
        stop(demo)


def with_passwords_of_their_own(demo: Demo, stack: Stack) -> None:
    """The stack's passwords are also its users' names, so a log could not be searched for them."""
    with pymysql.connect(host=stack.mariadb_host, port=stack.mariadb_port, user="root", autocommit=True) as link:
        cursor = link.cursor()
        cursor.execute(f"create or replace user caja@'%' identified by '{POS_PASSWORD}'")
        cursor.execute("show grants for cdc@'%'")
        for (grant,) in cursor.fetchall():
            cursor.execute(re.sub(r" IDENTIFIED BY .*", "", str(grant)).replace("`cdc`@`%`", "caja@'%'"))
    with psycopg.connect(stack.postgres) as owner:
        if owner.execute("select from pg_roles where rolname = 'nube'").fetchone() is None:
            owner.execute(f"create role nube login noinherit password '{DATABASE_PASSWORD}'")
            owner.execute("grant fluxion_app, fluxion_stage, fluxion_sink to nube")
    config = demo.home / "agent" / "agent.toml"
    config.write_text(config.read_text().replace('user = "cdc"', 'user = "caja"'))
    demo.environment["FLUXION_SOURCE_PASSWORD"] = POS_PASSWORD
    demo.environment["FLUXION_DATABASE"] = re.sub(r"//[^@]*@", f"//nube:{DATABASE_PASSWORD}@", stack.postgres)


def test_metrics_tell_what_each_process_did(running: Running) -> None:
    expected = {
        "agent": ("fluxion_records_total", "fluxion_journal_bytes"),  # the watchdog has looked by then: every 5 s
        "processor": ("fluxion_records_total", "fluxion_batch_records_count"),
        "sink": ("fluxion_records_total", "fluxion_batch_records_count", "fluxion_end_to_end_seconds_count"),
        "relay": ("fluxion_records_total", "fluxion_batch_records_count"),
    }
    for name, metrics in expected.items():
        for metric in metrics:
            assert (value(running.after_work[name], metric) or 0) > 0, (name, metric)
    # All of it has arrived, so nothing waits: the watchdog looks every 5 s.
    still = {
        "agent": "fluxion_journal_unshipped_captures",
        "processor": "fluxion_lag_records",
        "sink": "fluxion_lag_records",
        "relay": "fluxion_outbox_unpublished_events",
    }
    for name, metric in still.items():
        shows(running, name, metric, 0.0)


def shows(running: Running, name: str, metric: str, wanted: float) -> None:
    deadline = time.monotonic() + 20
    while (found := value(running.get(name, "/metrics")[1], metric)) != wanted:
        assert time.monotonic() < deadline, (name, metric, found, running.get(name, "/healthz"))
        time.sleep(0.5)


def test_labels_of_metrics_hold_no_system_and_no_address(running: Running) -> None:
    for name in PROCESSES:
        lines = [line for line in running.get(name, "/metrics")[1].splitlines() if line.startswith("fluxion_")]
        assert lines
        assert running.demo.system_id not in "\n".join(lines)
        assert "127.0.0.1" not in "\n".join(lines)


def test_a_dependency_that_is_away_is_named_and_the_processes_are_healthy_while_they_wait(
    running: Running, stack: Stack
) -> None:
    for name in PROCESSES:
        assert running.json(name, "/healthz")[0] == 200
        until(partial(answers, running, name, 200), f"{name} is ready")
    services.stop(stack.home, "postgres")
    try:
        for name in PROCESSES:
            until(partial(answers, running, name, 503), f"{name} is not ready")
            said = running.json(name, "/readyz")[1]["dependencies"]
            assert not said["PostgreSQL"]["answers"]
            assert said["Kafka"]["answers"]
        for name in ("sink", "relay"):
            until(partial(waits_for_postgres, running, name), f"{name} says what it waits for")
            assert running.json(name, "/healthz")[0] == 200
    finally:
        services.start(stack.home, "postgres")
        services.up(stack.home)
    for name in PROCESSES:
        until(partial(answers, running, name, 200), f"{name} is ready again")
    until(lambda: not running.waits_for("sink") | running.waits_for("relay"), "nothing is waited for")


def test_no_log_and_no_page_holds_a_password(running: Running) -> None:
    until(lambda: all(running.log(name) for name in PROCESSES), "logs are there")
    said = [running.log(name) for name in PROCESSES]
    said += [running.get(name, path)[1] for name in PROCESSES for path in ("/metrics", "/healthz", "/readyz")]
    for text in said:
        assert POS_PASSWORD not in text
        assert DATABASE_PASSWORD not in text


def test_every_line_of_a_log_is_json_and_names_its_process(running: Running) -> None:
    for name in PROCESSES:
        lines = [json.loads(line) for line in running.log(name).splitlines()]
        assert lines
        assert {line["process"] for line in lines} == {name}


@pytest.mark.parametrize("away", [None, "kafka", "postgres"])
def test_sigterm_ends_each_process_within_ten_seconds_with_0(running: Running, stack: Stack, away: str | None) -> None:
    for name in PROCESSES:  # each is at work, so that it has its own handler
        until(partial(answers, running, name, 200), f"{name} is ready")
    try:
        if away:
            services.stop(stack.home, away)
            time.sleep(3)
        for name, status in ended_by_sigterm(running).items():
            assert status == 0, (name, running.log(name)[-2000:])
    finally:
        services.up(stack.home)


def ended_by_sigterm(running: Running) -> dict[str, int | None]:
    """The status with which each ended, all told at the same moment; the demo's supervisor then starts them again."""
    children = running.demo.supervisor.children
    processes = {name: process for name in PROCESSES if (process := children[name].process) is not None}
    assert len(processes) == len(PROCESSES)
    for process in processes.values():
        process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    while any(process.poll() is None for process in processes.values()) and time.monotonic() - began < STOP_S:
        time.sleep(0.05)
    return {name: process.returncode for name, process in processes.items()}


@pytest.mark.parametrize("name", ["processor", "sink", "relay"])
def test_sigterm_ends_a_process_that_found_nothing_at_its_start(name: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = probe.getsockname()[1]
    environment = {
        "FLUXION_DATABASE": f"postgresql://a:b@127.0.0.1:{nobody}/fluxion",
        "FLUXION_KAFKA": f"127.0.0.1:{nobody}",
        "FLUXION_SCHEMA_REGISTRY": f"http://127.0.0.1:{nobody}",
        "FLUXION_WORK_DIR": str(tmp_path),
    }
    said = tmp_path / "log"
    with said.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fluxion.cli", name, "run"],
            cwd=local.ROOT,
            env={**os.environ, **environment},
            stderr=log,
        )
        try:
            until(lambda: "waiting" in said.read_text(), "it says what it waits for")
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_S) == 0, said.read_text()
        finally:
            process.kill()
            process.wait()
