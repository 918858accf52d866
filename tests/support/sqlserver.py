"""A SQL Server for tests: the stand-in, or the real one that FLUXION_TEST_SQLSERVER names by an ODBC connection string."""

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Never

import psycopg
import pyodbc
import pytest

from tests.support.tds.run import Standin, connect

VARIABLE = "FLUXION_TEST_SQLSERVER"
ONLY_THE_STANDIN = f"a real SQL Server ({VARIABLE}) is not ours to stop, nor is its clock"
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class RealServer:
    """A SQL Server that somebody else runs: what only the stand-in can do skips the test that asks for it."""

    text: str = field(repr=False)
    host: str
    port: int
    user: str
    password: str = field(repr=False)

    def connect(self, database: str = "master", **options: bool | int) -> pyodbc.Connection:
        return connect(f"{_without(self.text, 'DATABASE')};DATABASE={database}", **options)

    def start(self) -> Never:
        pytest.skip(ONLY_THE_STANDIN)

    def stop(self) -> Never:
        pytest.skip(ONLY_THE_STANDIN)

    def kill(self) -> Never:
        pytest.skip(ONLY_THE_STANDIN)

    def freeze(self) -> Never:
        pytest.skip(ONLY_THE_STANDIN)

    def thaw(self) -> Never:
        pytest.skip(ONLY_THE_STANDIN)

    def advance_clock(self, database: str, minutes: int) -> Never:
        pytest.skip(f"{ONLY_THE_STANDIN}: {database} cannot be made {minutes} minutes older")


Server = Standin | RealServer


@dataclass(frozen=True)
class Database:
    """An empty database that allows snapshots and tracks changes, on `server`."""

    server: Server
    name: str

    def connect(self, **options: bool | int) -> pyodbc.Connection:
        return self.server.connect(self.name, **options)

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements, each its own transaction; rows of the last."""
        with closing(self.connect()) as link:
            cursor = link.cursor()
            for statement in statements:
                cursor.execute(statement)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def advance_clock(self, minutes: int) -> None:
        """Make every recorded change that much older and run the automatic clean-up."""
        self.server.advance_clock(self.name, minutes)


def real_server() -> RealServer | None:
    """Return the server that the environment names, None where it names none."""
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    words = {key.strip().upper(): value.strip("{} ") for key, value in re.findall(r"([^=;]+)=(\{[^}]*\}|[^;]*)", text)}
    host, _, port = words["SERVER"].removeprefix("tcp:").partition(",")
    return RealServer(text.rstrip("; "), host, int(port or words.get("PORT", "1433")), words["UID"], words["PWD"])


def _without(text: str, key: str) -> str:
    return re.sub(rf"(^|;)\s*{key}\s*=[^;]*", "", text, flags=re.IGNORECASE).strip("; ")


@contextmanager
def database(server: Server) -> Iterator[Database]:
    """Create a database that nobody else has, and drop it afterwards, whoever is still connected."""
    name = f"fluxion_{os.getpid()}_{next(_NUMBERS)}"
    with closing(server.connect()) as master:
        master.execute(f"CREATE DATABASE {name}")
    try:
        made = Database(server, name)
        made.run(
            f"ALTER DATABASE {name} SET ALLOW_SNAPSHOT_ISOLATION ON",
            f"ALTER DATABASE {name} SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 2 DAYS, AUTO_CLEANUP = ON)",
        )
        yield made
    finally:
        _drop(server, name)


def _drop(server: Server, name: str) -> None:
    if isinstance(server, Standin) and not server.is_up():
        server.start()  # a test that stopped it failed before it started it again; the next one needs it
    with closing(server.connect()) as master:
        if isinstance(server, RealServer):  # the stand-in ends the connections of a dropped database by itself
            master.execute(f"ALTER DATABASE {name} SET SINGLE_USER WITH ROLLBACK IMMEDIATE")
        master.execute(f"DROP DATABASE {name}")


def superuser(postgres: str) -> str:
    """Return the DSN of the superuser of a stack's PostgreSQL, of which `postgres` is the owner's DSN."""
    return psycopg.conninfo.make_conninfo(postgres, user="postgres", password=None, dbname="postgres")
