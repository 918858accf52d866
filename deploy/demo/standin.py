"""SQL Server for the demo: the tests' stand-in, run as a program of its own from the checkout. A real one cannot be had everywhere."""

import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from deploy.demo.stellar import Stellar
from deploy.stack import Stack
from fluxion.errors import ConfigurationError, DependencyDownError

CHECKOUT = Path(__file__).resolve().parents[2]
USER, PASSWORD = "sa", "Standin!2019"
READY_S, STOP_S = 30.0, 10.0
_READY = re.compile(r"ready on .*:(\d+)")


@contextmanager
def stellar_on_standin(stack: Stack, database: str, log: Path) -> Iterator[Stellar]:
    """Run the stand-in on the stack's PostgreSQL for the block, and yield a Stellar POS on it; its database is still to be made.

    Raises ConfigurationError where this is no checkout: an installed package has no tests.
    """
    if not (CHECKOUT / "tests" / "support" / "tds" / "__main__.py").exists():
        message = "the stand-in for SQL Server is a tool of the tests, which are not here"
        raise ConfigurationError(message, "run the demo from a checkout of the sources")
    superuser = psycopg.conninfo.make_conninfo(stack.postgres, user="postgres", password=None, dbname="postgres")
    words = ["--listen", "127.0.0.1:0", "--pg", superuser, "--prefix", "demo_"]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out, subprocess.Popen(
        [sys.executable, "-m", "tests.support.tds", *words],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=out,
        text=True,
    ) as process:  # fmt: skip
        try:
            yield Stellar("127.0.0.1", _port(process, log), USER, PASSWORD, database)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _port(process: "subprocess.Popen[str]", log: Path) -> int:
    assert process.stdout is not None  # noqa: S101 -- it is a pipe
    heard = select.select([process.stdout], [], [], READY_S)[0]
    found = _READY.match(process.stdout.readline() if heard else "")
    if found is None:
        raise DependencyDownError("the stand-in for SQL Server did not start", f"read {log}")
    return int(found.group(1))
