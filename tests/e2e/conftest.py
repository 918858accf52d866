"""A demo whose processes tests disturb, and what they all demand in the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.run import Demo
from deploy.stack import Stack

SALES_PER_SECOND = 25.0


@pytest.fixture
def demo(stack: Stack, tmp_path: Path) -> Iterator[Demo]:
    """Everything prepared and nothing started."""
    run = Demo(stack, tmp_path / "demo", SALES_PER_SECOND)
    try:
        run.prepare()
        yield run
    finally:
        run.stop()


def demand_agreement(demo: Demo, at_least: float) -> None:
    """Once everything has arrived all sides agree, and it was not little."""
    result = demo.drain()
    assert result.differences == []
    assert result.agrees, result
    assert result.pos_sales >= at_least
