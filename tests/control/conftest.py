"""A processor and a sink that run while a module's tests do, and points of sale for them."""

from collections.abc import Iterator

import pytest

from tests.conftest import Cloud
from tests.control.live import Pos, process


@pytest.fixture(scope="module")
def stages(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("stages")
    with process(cloud, folder, "processor", "run"), process(cloud, folder, "sink", "run"):
        yield


@pytest.fixture
def pos(cloud: Cloud, stages: None) -> Iterator[Pos]:  # noqa: ARG001 -- they run while it is there
    made = Pos(cloud)
    yield made
    made.close()
