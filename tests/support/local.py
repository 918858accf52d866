"""What tests need of this machine: a folder that the database accounts can enter, ports that are free, the fluxion command."""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy import stack
from fluxion.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
USUAL_PORTS = (9092, 9093, 9094, 9095, 8081, 8082, 5433, 3306)
# All of them stay below 32768, where the kernel begins to lend ports to clients.
LOWEST_BASE, HIGHEST_BASE = 10_000, 23_600
TRIES = 20


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a temporary folder that mysql and postgres can enter (pytest's own tmp_path is closed to them), and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="fluxion-test-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def free_base_port() -> int:
    """Return a base port whose ports nobody holds now."""
    chance = random.SystemRandom()  # the seed that pytest-randomly sets would give two sessions the same port
    for _ in range(TRIES):
        base = chance.randrange(LOWEST_BASE, HIGHEST_BASE)
        if all(_is_free(base + port) for port in USUAL_PORTS):
            return base
    raise AssertionError(f"no free base port in {TRIES} tries")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def running_stack() -> Iterator[stack.Stack]:
    """Bring up a stack of its own in a temporary folder; end it and remove the folder afterwards, also where `up` fails."""
    with open_folder() as home:
        try:
            yield _up_somewhere(home)
        finally:
            stack.down(home)


def _up_somewhere(home: Path) -> stack.Stack:
    try:
        return stack.up(home, free_base_port())
    except ConfigurationError:  # another session took one of the ports in between
        return stack.up(home, free_base_port())


def fluxion(
    *words: str, environment: Mapping[str, str] | None = None, check: bool = True, timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run the `fluxion` command as a process of its own and return what it said; `check`: it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "fluxion.cli", *words],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout_s,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"fluxion {' '.join(words)} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done


def environment_of(services: stack.Stack) -> dict[str, str]:
    """Return the FLUXION_* variables by which a process finds a stack."""
    return {
        "FLUXION_DATABASE": services.postgres,
        "FLUXION_KAFKA": services.kafka,
        "FLUXION_SCHEMA_REGISTRY": services.registry,
    }
