from collections.abc import Iterator
from contextlib import ExitStack, closing

import pyodbc
import pytest

from tests.support import sqlserver as sql_servers
from tests.support.sqlserver import Database, Server
from tests.tds.asking import Connect
from tests.tds.pos import prepare


@pytest.fixture(scope="session")
def shop(sqlserver: Server) -> Iterator[Database]:
    """A point of sale's tables, with change tracking and CDC; tests share it and keep to their own keys."""
    with sql_servers.database(sqlserver) as database:
        with closing(database.connect()) as link:
            prepare(link)
        yield database


@pytest.fixture
def connect(shop: Database) -> Iterator[Connect]:
    """Opens connections to the shop, which end with the test."""
    with ExitStack() as opened:

        def open_another(*, autocommit: bool = True) -> pyodbc.Connection:
            return opened.enter_context(closing(shop.connect(autocommit=autocommit)))

        yield open_another
