"""Somebody else at work on the same rows: holds them until a sink waits for one, and ends a sink's session."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection

from fluxion.postgres import SINK, connect

ENOUGH_S = 30


@contextmanager
def changed(dsn: str, statement: str) -> Iterator[Connection[tuple[Any, ...]]]:
    """Hold the rows that the statement changes for the block; committed by whoever has the connection, else rolled back."""
    with connect(dsn, SINK) as link:
        link.execute(statement.encode())
        yield link
        link.rollback()


def wait_until_blocked(dsn: str, pid: int) -> None:
    """Return when that session waits for a lock."""
    deadline = time.monotonic() + ENOUGH_S
    with psycopg.connect(dsn, autocommit=True) as link:
        while link.execute("select 1 from pg_locks where pid = %s and not granted", [pid]).fetchone() is None:
            assert time.monotonic() < deadline, "it never had to wait"
            time.sleep(0.005)


def cut(dsn: str, pid: int, means: str = "pg_terminate_backend") -> None:
    """End that session, as a restart of PostgreSQL does, or its statement by `pg_cancel_backend`."""
    with psycopg.connect(dsn, autocommit=True) as link:
        assert link.execute(f"select {means}({pid})".encode()).fetchone() == (True,)
