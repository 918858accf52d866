"""A demo whose processes tests disturb, and what they all demand in the end."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from control.contracts import register_contracts
from deploy.demo.run import Demo
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
        run.stop()


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


def demand_agreement(demo: Demo, at_least: float) -> None:
    """Once everything has arrived all sides agree, and it was not little."""
    result = demo.drain()
    assert result.differences == []
    assert result.agrees, result
    assert result.pos_sales >= at_least
