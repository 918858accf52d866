"""Demos whose processes tests disturb, and what they all demand in the end."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from control.contracts import register_contracts
from deploy.demo.registers import Registers
from deploy.demo.run import PROCESSES, Demo
from deploy.demo.supervisor import STOP_TIMEOUT_S, Supervisor
from deploy.stack import Stack
from fluxion.errors import DependencyDownError

SALES_PER_SECOND = 25.0
REGISTRY_S = 30.0


@pytest.fixture
def demo(stack: Stack, tmp_path: Path) -> Iterator[Demo]:
    """Everything prepared and nothing started."""
    run = Demo(stack, tmp_path / "demo", SALES_PER_SECOND)
    wait_for_registry(stack)
    try:
        run.prepare()
        yield run
    finally:
        stop(run)


class Kept:
    """The demo that the tests of a module hand on: each begins where all sides agreed behind the one before."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack, self._folder, self._runs = stack, folder, 0
        self._run: Demo | None = None

    def take(self) -> Demo:
        """Return it at work, its shops closed; made anew where the test before left it in disorder."""
        if self._run is not None and not self._in_order(self._run):
            self.drop()
        if self._run is None:
            self._runs += 1
            wait_for_registry(self._stack)
            self._run = Demo(self._stack, self._folder / f"demo-{self._runs}", SALES_PER_SECOND)
            self._run.prepare()
            self._run.start()
            self._run.wait_until_ready()
        self._run.registers = Registers(self._run.pos, SALES_PER_SECOND)
        return self._run

    def drop(self) -> None:
        """End it, where there is one."""
        if self._run is not None:
            stop(self._run)
        self._run = None

    def _in_order(self, run: Demo) -> bool:
        return set(run.supervisor.children) == set(PROCESSES) and run.reckon().agrees


@pytest.fixture(scope="module")
def kept(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Only for modules whose tests all take it: a second demo would make its database anew and share its groups."""
    keeper = Kept(stack, tmp_path_factory.mktemp("kept"))
    try:
        yield keeper
    finally:
        keeper.drop()


@pytest.fixture
def at_work(kept: Kept) -> Demo:
    """A demo at work, its shops closed; sales of earlier tests are in it."""
    return kept.take()


def stop(run: Demo) -> None:
    """End everything that a demo started."""
    end_together(run.supervisor)
    run.stop()


def end_together(supervisor: Supervisor) -> None:
    """End all processes at the same moment: `Supervisor.stop` would wait for one after the other."""
    supervisor._stopping.set()  # so that none is started again
    processes = [child.process for child in supervisor.children.values() if child.process is not None]
    for process in processes:
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
    supervisor.stop()  # which kills what is left


def wait_for_registry(stack: Stack) -> None:
    """Until the registry has noticed that an earlier test restarted its PostgreSQL: its pool finds out by requests that fail."""
    deadline = time.monotonic() + REGISTRY_S
    while True:
        try:
            register_contracts(stack.registry)
        except DependencyDownError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def sell(demo: Demo, seconds: float, disturb: threading.Thread | None = None) -> None:
    """Keep the shops open for a while; `disturb` runs beside."""
    demo.registers.start()
    try:
        if disturb:
            disturb.start()
        time.sleep(seconds)
    finally:
        demo.registers.stop()
        if disturb:
            disturb.join()


def sales(demo: Demo) -> int:
    """How many the point of sale holds."""
    return len(demo.pos.read().sales)


def demand_agreement(demo: Demo, at_least: float) -> None:
    """Once everything has arrived all sides agree, and it was not little."""
    result = demo.drain()
    assert result.differences == []
    assert result.agrees, result
    assert result.pos_sales >= at_least
