"""Bring the stack up and down, whole or one service at a time. Every call may be repeated; only what we started is ended."""

import http.client
import os
import socket
import struct
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pymysql

from deploy.stack import processes
from deploy.stack.accounts import demand_entry, demand_own, open_home
from deploy.stack.kafka import LINE_PORT, PORT, STORE_PORT, kafka
from deploy.stack.mariadb import mariadb
from deploy.stack.postgres import postgres
from deploy.stack.schema_registry import schema_registry
from deploy.stack.service import Service
from deploy.stack.state import State, locked
from fluxion.errors import ConfigurationError, DependencyDownError

DEFAULT_BASE_PORT = 20000
READY_DEADLINE_S = 120.0
HIGHEST_BASE_PORT = 65535 - LINE_PORT
# What a service that is not ready makes its client raise (struct.error: Kafka hung up, so its answer is too short).
NOT_READY = (OSError, ValueError, struct.error, http.client.HTTPException, psycopg.Error, pymysql.Error)


@dataclass(frozen=True)
class Stack:
    """Where a stack's services answer; `postgres` is the DSN of the owner of database `fluxion`.

    Kafka has a second listener for stores on `store_listener_port`; what connects there is sent to `store_line_port`, where a
    proxy must forward it: a line that can be cut.
    """

    home: Path
    kafka: str
    registry: str
    postgres: str
    mariadb_host: str
    mariadb_port: int
    store_listener_port: int
    store_line_port: int


@dataclass(frozen=True)
class ServiceStatus:
    """One row of `status`: no pid where it is down, no ready_s where it does not answer, memory in MiB."""

    name: str
    pid: int | None
    port: int
    url: str
    ready_s: float | None
    memory_mb: int | None

    @property
    def ready(self) -> bool:
        """Whether it answers its request."""
        return self.ready_s is not None


def default_home() -> Path:
    """Return $FLUXION_HOME, else a folder that also the accounts mysql and postgres can enter, unlike root's home."""
    return Path(os.environ.get("FLUXION_HOME") or f"/var/tmp/fluxion-{os.geteuid()}")  # noqa: S108  its owner is checked


def up(home: Path, base_port: int | None = None) -> Stack:
    """Start what does not run yet and wait until all four answer; seconds when the jars are there.

    `base_port` defaults to the one noted in `home`, else 20000. Raises ConfigurationError (a port or a folder that cannot be had,
    a program that is missing) before anything is started, DependencyDownError where a service ends or does not answer.
    """
    home = home.absolute()
    open_home(home)
    with locked(home):
        state = State(home)
        chosen = _choose_base_port(state, home, base_port)
        services = _services(home, chosen)
        for service in services:
            if state.alive(service.name) is None:
                _demand_startable(service)
        state.remember_base_port(chosen)  # not one that was refused
        with ThreadPoolExecutor(len(services)) as pool:
            started: dict[str, Future[None]] = {}
            for service in services:
                needs = [started[name] for name in service.after]
                started[service.name] = pool.submit(_bring_up, service, state, needs)
        for future in started.values():
            future.result()
    return _stack(home, services)


def down(home: Path) -> list[str]:
    """End what `up` started here, and return the names of what was ended; all data stay."""
    return _end(home.absolute(), None)


def stop(home: Path, name: str) -> None:
    """End one service, as `down` does for all."""
    _end(home.absolute(), name)


def start(home: Path, name: str) -> None:
    """Start one service again on the ports that it had, and wait until it answers."""
    home = home.absolute()
    with locked(home):
        state = State(home)
        chosen = _choose_base_port(state, home, None)
        service = _named(_services(home, chosen), name)
        if state.alive(name) is None:
            _demand_startable(service)
        state.remember_base_port(chosen)
        _bring_up(service, state, [])


def status(home: Path) -> list[ServiceStatus]:
    """Return what runs and answers now; empty where no stack was ever brought up."""
    home = home.absolute()
    state = State(home)
    if state.base_port is None:
        return []
    return [_status_of(service, state) for service in _services(home, state.base_port)]


def _services(home: Path, base_port: int) -> list[Service]:
    """Return the services in the order in which they are started; `after` names earlier ones only."""
    return [
        kafka(home / "kafka", base_port),
        postgres(home / "postgres", base_port),
        mariadb(home / "mariadb", base_port),
        schema_registry(home / "registry", base_port),
    ]


def _named(services: list[Service], name: str) -> Service:
    for service in services:
        if service.name == name:
            return service
    raise ConfigurationError(f"the stack has no service {name}", "name one of " + ", ".join(s.name for s in services))


def _choose_base_port(state: State, home: Path, wanted: int | None) -> int:
    chosen = wanted if wanted is not None else state.base_port or DEFAULT_BASE_PORT
    if not 0 < chosen <= HIGHEST_BASE_PORT:
        raise ConfigurationError(f"base port {chosen} is out of range", f"choose one up to {HIGHEST_BASE_PORT}")
    if chosen != state.base_port:
        running = [s.name for s in _services(home, state.base_port) if state.alive(s.name)] if state.base_port else []
        if running:
            raise ConfigurationError(
                f"{', '.join(running)} of this folder run on base port {state.base_port}, not {chosen}",
                f"run `fluxion stack down --home {home}` first, or choose another folder",
            )
    return chosen


def _demand_startable(service: Service) -> None:
    """Refuse what can be foreseen before anything is started: an account that cannot enter, a port that is taken."""
    if service.user:
        demand_entry(service.home, service.user)
    for port in (service.port, *service.more_ports):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that its last user left is free
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as fault:
                raise ConfigurationError(
                    f"{service.name}: something else answers on port {port} ({fault.strerror})",
                    "end it, or choose another --base-port",
                ) from None


def _bring_up(service: Service, state: State, needs: list[Future[None]]) -> None:
    for need in needs:
        need.result()
    # One found alive may not be ready yet (an interrupted `up`), or may just be ending (a kill): then it is started anew.
    if state.alive(service.name) is None or not _becomes_ready(service, state):
        service.prepare()
        state.started(service.name, processes.launch(service))
        if not _becomes_ready(service, state):
            said = " ".join((service.home / "log").read_text(errors="replace")[-1000:].split())
            raise DependencyDownError(
                f"{service.name} ended before it was ready ({said})", f"see {service.home / 'log'}"
            )
    service.when_ready()


def _becomes_ready(service: Service, state: State) -> bool:
    """Wait until the service answers; False where its process ends first."""
    begun = time.monotonic()
    while not _answers(service):
        if state.alive(service.name) is None:
            return False
        if time.monotonic() - begun > READY_DEADLINE_S:
            raise DependencyDownError(
                f"{service.name} did not answer within {READY_DEADLINE_S:.0f} s", f"see {service.home / 'log'}"
            )
        time.sleep(processes.POLL_S)
    state.ready(service.name, time.monotonic() - begun)
    return True


def _answers(service: Service) -> bool:
    try:
        return service.ready()
    except NOT_READY:
        return False


def _end(home: Path, name: str | None) -> list[str]:
    """End one service or all, in the reverse of the order of their starts."""
    if not (home / "state.json").exists():
        return []
    demand_own(home)
    ended = []
    with locked(home):
        state = State(home)
        services = _services(home, state.base_port or DEFAULT_BASE_PORT)
        for service in reversed(services if name is None else [_named(services, name)]):
            entry = state.alive(service.name)
            if entry is not None:
                processes.end(service.name, entry.pid, entry.born, service.stop)
                ended.append(service.name)
            state.ended(service.name)
    return ended


def _status_of(service: Service, state: State) -> ServiceStatus:
    entry = state.alive(service.name)
    where: dict[str, Any] = {"name": service.name, "port": service.port, "url": service.url}
    if entry is None:
        return ServiceStatus(**where, pid=None, ready_s=None, memory_mb=None)
    ready_s = (entry.ready_s or 0.0) if _answers(service) else None
    return ServiceStatus(**where, pid=entry.pid, ready_s=ready_s, memory_mb=processes.memory_mib(entry.pid))


def _stack(home: Path, services: list[Service]) -> Stack:
    by_name = {service.name: service for service in services}
    return Stack(
        home=home,
        kafka=by_name["kafka"].url,
        registry=by_name["registry"].url,
        postgres=by_name["postgres"].url,
        mariadb_host="127.0.0.1",
        mariadb_port=by_name["mariadb"].port,
        store_listener_port=by_name["kafka"].port - PORT + STORE_PORT,
        store_line_port=by_name["kafka"].port - PORT + LINE_PORT,
    )
