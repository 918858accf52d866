"""The local stack, with the real services: what it promises to those who stand on it."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pymysql
import pytest

from deploy import stack as local_stack
from deploy.stack import Stack, kafka, lifecycle, processes
from deploy.stack.service import Service
from deploy.stack.state import State
from fluxion.errors import ConfigurationError, DependencyDownError
from tests.support import local

NAMES = ["kafka", "postgres", "mariadb", "registry"]


@pytest.fixture
def folder() -> Iterator[Path]:
    with local.open_folder() as made:
        yield made


def pids(stack: Stack) -> dict[str, int | None]:
    return {one.name: one.pid for one in local_stack.status(stack.home)}


def mariadb(stack: Stack) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    return pymysql.connect(
        host=stack.mariadb_host, port=stack.mariadb_port, user="app", password="app", autocommit=True
    )


def test_up_again_leaves_what_runs_alone(stack: Stack) -> None:
    before = pids(stack)
    again = local_stack.up(stack.home)
    assert again == stack
    assert pids(stack) == before
    assert None not in before.values()


def test_status_tells_where_everything_is(stack: Stack) -> None:
    said = local.fluxion("stack", "status", "--home", str(stack.home), "--json")
    services = {one["name"]: one for one in json.loads(said.stdout)["services"]}
    assert sorted(services) == sorted(NAMES)
    for one in services.values():
        assert set(one) == {"name", "pid", "port", "url", "ready_s", "memory_mb"}
        assert one["memory_mb"] > 0
        assert one["ready_s"] >= 0
    assert services["postgres"]["url"] == stack.postgres
    assert services["kafka"]["url"] == stack.kafka
    assert services["registry"]["url"] == stack.registry
    assert services["mariadb"]["port"] == stack.mariadb_port


def test_status_fails_where_nothing_was_brought_up(folder: Path) -> None:
    said = local.fluxion("stack", "status", "--home", str(folder), "--json", check=False)
    assert (said.returncode, json.loads(said.stdout)) == (1, {"services": []})


def test_down_where_nothing_runs_ends_nothing(folder: Path) -> None:
    assert local_stack.down(folder) == []


def test_a_reused_process_id_is_not_ours(folder: Path) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        state = State(folder)
        state.remember_base_port(local.free_base_port())
        state.started("kafka", other.pid)
        noted = folder / "state.json"
        content = json.loads(noted.read_text())
        content["services"]["kafka"]["born"] = "an earlier process"
        noted.write_text(json.dumps(content))
        assert local_stack.down(folder) == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_port_in_use_is_refused_by_name_before_anything_starts(stack: Stack, folder: Path) -> None:
    base = local.free_base_port()
    with socket.create_server(("127.0.0.1", base + 3306)):
        with pytest.raises(
            ConfigurationError, match=rf"mariadb: something else answers on port {base + 3306}.*--base-port"
        ):
            local_stack.up(folder, base)
        assert local_stack.status(folder) == []
    assert None not in pids(stack).values()


def test_a_base_port_that_was_refused_is_not_remembered(folder: Path) -> None:
    kept, refused = local.free_base_port(), local.free_base_port()
    State(folder).remember_base_port(kept)
    with (
        socket.create_server(("127.0.0.1", refused + 3306)),
        pytest.raises(ConfigurationError, match="answers on port"),
    ):
        local_stack.up(folder, refused)
    assert State(folder).base_port == kept


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("begun", "seconds"), [("postgres/data.part*", 0.0), ("kafka/tmp", 0.6)])
def test_the_very_first_up_can_be_killed_and_the_next_one_starts_anew(folder: Path, begun: str, seconds: float) -> None:
    base = local.free_base_port()
    command = [sys.executable, "-m", "fluxion.cli", "stack", "up", "--home", str(folder), "--base-port", str(base)]
    first = subprocess.Popen(command, cwd=local.ROOT)
    deadline = time.monotonic() + 30
    while not list(folder.glob(begun)) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(seconds)
    first.kill()
    first.wait()
    try:
        local_stack.up(folder, base)  # from here, so that it meets what the killed one left at work
        assert None not in [one.ready_s for one in local_stack.status(folder)]
        local_stack.down(folder)
        local_stack.up(folder, base)  # what a program that outlived the killed one was still writing goes now
    finally:
        local_stack.down(folder)
    assert list(folder.glob("*/*.part*")) == []


def test_another_base_port_is_refused_while_services_run(stack: Stack) -> None:
    with pytest.raises(ConfigurationError, match="stack down"):
        local_stack.up(stack.home, local.free_base_port())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the databases under other accounts")
def test_a_home_that_an_account_cannot_enter_is_refused_with_the_mend(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    said = local.fluxion("stack", "up", "--home", str(closed), "--base-port", str(local.free_base_port()), check=False)
    assert said.returncode == ConfigurationError.exit_code
    assert f"chmod o+x {closed}" in said.stderr
    assert "Traceback" not in said.stderr
    assert local_stack.status(closed) == []


@pytest.mark.parametrize("name", ["a b", "a,b"])
def test_a_home_whose_name_a_service_would_take_apart_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="--home"):
        local_stack.up(folder / name, local.free_base_port())
    assert not (folder / name).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_down_refuses_the_home_of_another_user(folder: Path) -> None:
    State(folder).remember_base_port(local.free_base_port())
    os.chown(folder, 65534, 65534)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        local_stack.down(folder)


def test_base_port_zero_is_not_taken_for_the_default(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="out of range"):
        local_stack.up(folder, 0)


def test_a_broker_that_hangs_up_is_not_ready(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            link, _ = listener.accept()
            with link:
                link.recv(100)

        accepting = threading.Thread(target=hang_up)
        accepting.start()
        broker = kafka.kafka(folder, listener.getsockname()[1] - kafka.PORT)
        assert lifecycle._answers(broker) is False
        accepting.join()


def test_an_unknown_service_is_refused(stack: Stack) -> None:
    with pytest.raises(ConfigurationError, match="name one of"):
        local_stack.stop(stack.home, "oracle")


def test_the_projects_database_demands_its_password(stack: Stack) -> None:
    with psycopg.connect(stack.postgres) as link:
        row = link.execute(
            "select rolsuper, rolcreaterole, current_database() from pg_roles where rolname = current_user"
        ).fetchone()
    assert row == (False, True, "fluxion")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(stack.postgres, password="wrong")


def test_the_capturing_account_cannot_write(stack: Stack) -> None:
    link = pymysql.connect(host=stack.mariadb_host, port=stack.mariadb_port, user="cdc", password="cdc")
    with link, link.cursor() as cursor, pytest.raises(pymysql.err.OperationalError, match="denied"):
        cursor.execute("create database not_allowed")


def test_data_and_gtid_survive_a_restart(stack: Stack) -> None:
    name = f"restart_{os.getpid()}"
    with mariadb(stack) as link, link.cursor() as cursor:
        cursor.execute(f"create database {name}")
        cursor.execute(f"create table {name}.t (id int primary key)")
        cursor.execute(f"insert into {name}.t values (7)")
        cursor.execute("select @@gtid_binlog_pos")
        before = cursor.fetchone()
    with psycopg.connect(stack.postgres) as database:
        database.execute(f"create schema {name} create table t (id int)")
        database.execute(f"insert into {name}.t values (7)")
    for service in ("mariadb", "postgres"):
        local_stack.stop(stack.home, service)
        assert pids(stack)[service] is None
        local_stack.start(stack.home, service)
    local_stack.up(stack.home)  # waits for the schema registry too, which must find its database again
    with mariadb(stack) as link, link.cursor() as cursor:
        cursor.execute(f"select id from {name}.t")
        assert cursor.fetchone() == (7,)
        cursor.execute("select @@gtid_binlog_pos")
        assert cursor.fetchone() == before  # the start itself wrote nothing that capture would see
        cursor.execute(f"drop database {name}")
    with psycopg.connect(stack.postgres) as database:
        assert database.execute(f"select id from {name}.t").fetchone() == (7,)
        database.execute(f"drop schema {name} cascade")


def test_a_service_that_was_killed_comes_back(stack: Stack) -> None:
    killed = pids(stack)["mariadb"]
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    assert local_stack.up(stack.home) == stack
    assert pids(stack)["mariadb"] not in {None, killed}


def test_a_service_that_ends_at_once_says_why(folder: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no disk left')"]
    broken = Service(
        name="broken", port=1, url="", home=folder, command=command, prepare=lambda: None, ready=lambda: False
    )
    state = State(folder)
    with pytest.raises(DependencyDownError, match=r"broken ended before it was ready \(no disk left\)"):
        lifecycle._bring_up(broken, state, [])
    assert state.alive("broken") is None


def test_memory_of_a_process_that_is_gone_is_nothing() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert processes.memory_mib(gone.pid) == 0
    assert processes.birth(gone.pid) is None


def test_a_stack_is_a_value(stack: Stack) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        stack.kafka = "elsewhere"  # type: ignore[misc]  # frozen: that is what is tried
