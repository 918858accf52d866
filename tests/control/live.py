"""A point of sale whose raw records a real processor and a real sink carry on, and the fluxion command beside them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from control.registry import add_tenant
from fluxion.postgres import APP, SINK, connect
from schemas.records import ChangeSet, End, Layout, Op
from tests.conftest import Cloud
from tests.stream_processors import sets
from tests.stream_processors.cloud_side import Topics, new_system
from tests.support import local

ENOUGH_S = 40
Said = tuple[Layout, Op, int, Sequence[str | None]]


def new_tenant(cloud: Cloud) -> str:
    """Add a tenant as `fluxion tenant add` does, without a process of its own."""
    with connect(cloud.stack.postgres, APP) as link:
        return add_tenant(link, "Cadena Uno")


class Pos:
    """A Systimax with stores 1 and 2; its rows get versions in the order in which they are sent."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.database = cloud.stack.postgres
        self.system = new_system(cloud.stack.postgres)
        self._topics = Topics(cloud.stack.kafka, cloud.stack.registry)
        self.next_version = sets.FIRST

    def change_set(self, *rows: Said, ends: tuple[End, ...] = (), **more: Any) -> ChangeSet:
        """A change set of this system with the next versions."""
        made = sets.change_set(*rows, ends=ends, system_id=self.system, **more)
        numbered = [replace(row, version=self.next_version + number) for number, row in enumerate(made.rows)]
        self.next_version += len(numbered)
        return replace(made, rows=numbered)

    def send(self, *rows: Said, ends: tuple[End, ...] = (), **more: Any) -> None:
        """Send a raw record and wait until Kafka has it."""
        self._topics.send(self.change_set(*rows, ends=ends, **more))
        self._topics.flush()

    def send_bytes(self, data: bytes) -> None:
        self._topics.send(data, self.system)
        self._topics.flush()

    def rows(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        """What PostgreSQL holds, asked as the sink; %(system)s is this system."""
        with connect(self.database, SINK) as link:
            return link.execute(query.encode(), {"system": self.system, **values}).fetchall()

    def until(self, query: str, expected: list[tuple[Any, ...]]) -> None:
        """Wait until PostgreSQL answers so."""
        eventually(lambda: self.rows(query), expected)

    def run(self, *words: str) -> str:
        return local.fluxion(*words, environment=self._cloud.environment).stdout

    def refused(self, *words: str) -> tuple[int, str]:
        """Run a command that ends with another status than 0; returns it and what was said."""
        done = local.fluxion(*words, environment=self._cloud.environment, check=False)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    def close(self) -> None:
        self._topics.close()


def eventually(ask: Callable[[], object], expected: object) -> None:
    """Wait until `ask` answers so."""
    deadline = time.monotonic() + ENOUGH_S
    found = ask()
    while found != expected and time.monotonic() < deadline:
        time.sleep(0.1)
        found = ask()
    assert found == expected, f"it stayed {found}"


@contextmanager
def process(cloud: Cloud, folder: Path, *words: str) -> Iterator[None]:
    """Run a fluxion process for the block; it stops by SIGTERM."""
    log = folder / f"{words[0]}.log"
    with log.open("ab") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", "fluxion.cli", *words],
            cwd=local.ROOT,
            env={**os.environ, **cloud.environment, "FLUXION_WORK_DIR": str(folder / "work")},
            stdout=out,
            stderr=out,
        )
        try:
            yield
            assert running.poll() is None, log.read_text()
        finally:
            running.terminate()
            try:
                running.wait(15)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait(5)
