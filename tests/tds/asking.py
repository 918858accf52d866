"""Small questions to a SQL Server, and the errors that it must give."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pyodbc
import pytest


class Connect(Protocol):
    """Opens another connection to the database of a test."""

    def __call__(self, *, autocommit: bool = True) -> pyodbc.Connection: ...


def rows(link: pyodbc.Connection, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in link.execute(sql, *parameters).fetchall()]


def column(link: pyodbc.Connection, sql: str, *parameters: Any) -> list[Any]:
    return [row[0] for row in rows(link, sql, *parameters)]


def value(link: pyodbc.Connection, sql: str, *parameters: Any) -> Any:
    return rows(link, sql, *parameters)[0][0]


def number_of(error: pyodbc.Error) -> int:
    """SQL Server's error number, which pyodbc puts before the name of the ODBC function."""
    found = re.search(r"\((\d+)\) \(SQL", str(error.args[1]) if len(error.args) > 1 else "")
    return int(found[1]) if found else -1


@contextmanager
def refused(number: int, text: str = "") -> Iterator[None]:
    """What happens inside must fail with this error of SQL Server, whose message holds `text`."""
    with pytest.raises(pyodbc.Error) as caught:
        yield
    assert number_of(caught.value) == number, caught.value
    assert text in str(caught.value)
