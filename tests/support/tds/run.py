"""Start and stop the stand-in as a process of its own, as tests need it: the only module that other tests import."""

import itertools
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pyodbc
from psycopg import sql

from tests.support import local

USER, PASSWORD = "sa", "Standin!2019"
READY_S, STOP_S, LOGIN_S = 30, 15, 10
STATEMENT_S = (
    60  # pytest cannot interrupt the driver: a statement that waits for a lock for ever would hold up all tests
)
_NUMBERS = itertools.count(1)


@dataclass
class Standin:
    """A running stand-in. Its data live in PostgreSQL, so `stop` or `kill` and then `start` is a restart of SQL Server."""

    pg: str
    log: Path
    options: Sequence[str]
    host: str = "127.0.0.1"
    port: int = 0
    user: str = USER
    password: str = PASSWORD
    process: "subprocess.Popen[str] | None" = field(default=None, repr=False)

    def start(self) -> None:
        """Start it on the port that it had, else on a free one; returns when it accepts connections."""
        listen = ["--listen", f"{self.host}:{self.port}", "--pg", self.pg]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.tds", *listen, *self.options],
                cwd=local.ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.port = int(self._first_line().rsplit(":", 1)[1])

    def _first_line(self) -> str:
        process = self.process
        assert process is not None
        assert process.stdout is not None
        heard = select.select([process.stdout], [], [], READY_S)[0]
        line = process.stdout.readline() if heard else ""
        if not line.startswith("ready on "):
            process.kill()
            process.wait()
            raise AssertionError(f"the stand-in did not start: {self.log.read_text()[-2000:]}")
        return line

    def stop(self) -> int:
        """End it as SQL Server is shut down (SIGTERM); returns its status, 0 if all is well."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut does (SIGKILL); what was not committed is gone."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop answering with every connection open, as when the network is cut; `thaw` ends it."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, what: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(what)

    def _end(self, how: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        with process:  # closes the pipe
            process.send_signal(how)
            process.send_signal(signal.SIGCONT)  # where it is frozen it would not hear the other
            return process.wait(STOP_S)

    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def connect(self, database: str = "master", **options: bool | int) -> pyodbc.Connection:
        """Connect as sa through FreeTDS; autocommit unless told, for that is how T-SQL's own BEGIN TRAN works."""
        return self.connect_as(self.user, self.password, database, **options)

    def connect_as(self, user: str, password: str, database: str, **options: bool | int) -> pyodbc.Connection:
        """Connect as another login."""
        return connect(
            f"DRIVER={{FreeTDS}};SERVER={self.host};PORT={self.port};TDS_Version=7.4;UID={user};PWD={password};"
            f"DATABASE={database}",
            **options,
        )

    def advance_clock(self, database: str, minutes: int) -> None:
        """Make every recorded change that much older and run the automatic clean-up."""
        with self.connect(database) as link:
            link.execute("EXEC standin.advance_clock @minutes = ?", minutes)


def connect(text: str, **options: bool | int) -> pyodbc.Connection:
    """Open a connection of its own: with pyodbc's pooling a closed one could come back, its session's state with it."""
    pyodbc.pooling = False
    link = pyodbc.connect(text, **{"autocommit": True, "timeout": LOGIN_S, **options})
    link.timeout = STATEMENT_S
    return link


@contextmanager
def running(
    pg: str,
    folder: Path,
    *,
    edition: str = "standard",
    product_version: str = "15.0.2000.5",
    databases: Sequence[str] = ("stellar_db",),
    prefix: str | None = None,
    options: Sequence[str] = (),
) -> Iterator[Standin]:
    """Run a stand-in on a PostgreSQL (`pg`: a superuser's DSN) until the block ends; then its databases are dropped.

    `folder` takes its log. `prefix` begins the names of its PostgreSQL databases; by default nobody else has it, so that
    several stand-ins share one PostgreSQL. `options` are more words of its command, such as --no-tls or --timezone.
    """
    prefix = prefix or f"tds{os.getpid()}x{next(_NUMBERS)}_"
    words = ["--edition", edition, "--product-version", product_version, "--prefix", prefix]
    words += [f"--database={name}" for name in databases]
    standin = Standin(pg, folder / f"{prefix}standin.log", [*words, *options])
    try:
        standin.start()
        yield standin
    finally:
        standin.stop()
        drop_databases(pg, prefix)


def drop_databases(pg: str, prefix: str) -> None:
    """Drop the PostgreSQL databases of one stand-in."""
    with psycopg.connect(pg, autocommit=True) as link:
        names = link.execute("select datname from pg_database where starts_with(datname, %s)", [prefix]).fetchall()
        for (name,) in names:
            link.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
