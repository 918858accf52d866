import itertools
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pymysql
import pytest

from deploy.stack import Stack
from deploy.stack.accounts import as_account, own_folder, program, run
from fluxion.clock import SystemClock
from producers.source import Capture
from producers.sources.mysql import MySQLConfig, MySQLSource
from tests.producers.cdc_shop import ITEMS, CdcShop
from tests.producers.sql_shop import SqlShop
from tests.support import local
from tests.support import sqlserver as sql_servers

_NAMES = itertools.count(1)


@dataclass
class Shop:
    """A database of its own in a MariaDB, as the point of sale sees it (root) and as the agent does (an account)."""

    host: str
    port: int
    database: str
    user: str = "cdc"
    password: str = "cdc"
    sources: list[MySQLSource] = field(default_factory=list)

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as the point of sale, each its own transaction; rows of the last."""
        with self.link() as link, link.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def link(self) -> "pymysql.Connection[Any]":
        return pymysql.connect(host=self.host, port=self.port, user="root", database=self.database, autocommit=True)

    def config(self, *tables: str) -> MySQLConfig:
        return MySQLConfig(self.host, self.port, self.user, self.database, frozenset(tables), self.password)

    def source(self, *tables: str) -> MySQLSource:
        source = MySQLSource(self.config(*tables), SystemClock())
        self.sources.append(source)
        return source

    def account(self, *privileges: str) -> "Shop":
        """The same shop through an account that has these privileges and no others."""
        user = f"u{next(_NAMES)}"
        self.run(f"create user {user}@'%' identified by 'secret'")
        for privilege in privileges:
            self.run(f"grant {privilege.format(database=self.database)} to {user}@'%'")
        return Shop(self.host, self.port, self.database, user, "secret", self.sources)

    def snapshot(self, *tables: str) -> list[Capture]:
        return list(self.source(*tables).snapshot(None, frozenset(tables), {}))

    def now(self, *tables: str) -> str:
        """The position at which a stream begins now."""
        start = self.snapshot(*tables)[-1].stream_start
        assert start is not None
        return start


@pytest.fixture
def shop(stack: Stack) -> Iterator[Shop]:
    yield from made_shop(stack.mariadb_host, stack.mariadb_port)


def made_shop(host: str, port: int) -> Iterator[Shop]:
    database = f"shop_{os.getpid()}_{next(_NAMES)}"
    with pymysql.connect(host=host, port=port, user="root", autocommit=True) as link, link.cursor() as cursor:
        cursor.execute(f"create database {database} character set utf8mb4")
        shop = Shop(host, port, database)
        yield shop
        for source in shop.sources:
            source.close()
        cursor.execute(f"drop database {database}")


@pytest.fixture(scope="session")
def unprepared() -> Iterator[int]:
    """The port of a MariaDB as Debian leaves it: no binary log, and nothing set for capture."""
    with local.open_folder() as home:
        own_folder(home, "mysql")
        data, port = home / "data", local.free_base_port() + 3306
        options = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]
        run(
            [program("mariadb-install-db", "mariadb-server"), *options, f"--datadir={data}", f"--tmpdir={home}"],
            user="mysql",
            cwd=home,
        )
        command = [program("mariadbd", "mariadb-server"), "--no-defaults", f"--datadir={data}", f"--port={port}"]
        command += [f"--socket={home}/m.sock", "--bind-address=127.0.0.1", "--skip-name-resolve"]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=home, stdout=log, stderr=log, **as_account("mysql"))
        with process:
            try:
                _wait_for(port)
                yield port
            finally:
                process.terminate()


def _wait_for(port: int) -> None:
    for _ in range(150):
        try:
            pymysql.connect(host="127.0.0.1", port=port, user="root", connect_timeout=1).close()
        except pymysql.MySQLError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the second MariaDB does not answer")


@pytest.fixture
def unprepared_shop(unprepared: int) -> Iterator[Shop]:
    yield from made_shop("127.0.0.1", unprepared)


def rows(captures: Sequence[Capture]) -> list[tuple[str, str, tuple[str | None, ...]]]:
    """(op, table, values) of every row, in order."""
    return [
        (row.op, capture.layouts[row.layout].table, tuple(row.values)) for capture in captures for row in capture.rows
    ]


def take(captures: Iterator[Capture], transactions: int) -> list[Capture]:
    """The next Captures that have rows."""
    return list(itertools.islice((capture for capture in captures if capture.rows), transactions))


@pytest.fixture
def items(shop: Shop) -> Shop:
    shop.run("create table items (id int primary key, name varchar(20), price decimal(18,4))")
    shop.run("insert into items values (1, 'uno', 1), (2, 'dos', 2)")
    return shop


def said(captures: Iterator[Capture], count: int) -> list[Capture]:
    """The next Captures that say more than a position."""
    telling = (capture for capture in captures if capture.rows or capture.ends or capture.resnapshot)
    return list(itertools.islice(telling, count))


def ends(capture: Capture) -> list[str]:
    return [end.table for end in capture.ends]


def gtids(position: str) -> set[str]:
    return set(json.loads(position)["gtid"].split(","))


@pytest.fixture(scope="session")
def sql_database(sqlserver: sql_servers.Server) -> Iterator[sql_servers.Database]:
    """One database for all tests that leave it as it is: to make one takes longer than most tests."""
    with sql_servers.database(sqlserver) as database:
        yield database


@pytest.fixture
def sql_shop(sql_database: sql_servers.Database) -> Iterator[SqlShop]:
    """A point of sale on SQL Server, without tables; its database is the one of all tests."""
    shop = SqlShop(sql_database)
    yield shop
    shop.drop_tables()
    shop.close()


@pytest.fixture
def own_sql_shop(mssql: sql_servers.Database) -> Iterator[SqlShop]:
    """The same on a database of its own, for tests that do something to it."""
    shop = SqlShop(mssql)
    yield shop
    shop.close()


@pytest.fixture
def sql_items(sql_shop: SqlShop) -> SqlShop:
    return with_items(sql_shop)


@pytest.fixture
def own_sql_items(own_sql_shop: SqlShop) -> SqlShop:
    return with_items(own_sql_shop)


def with_items(shop: SqlShop) -> SqlShop:
    shop.create("items (id int primary key, name nvarchar(20), price decimal(18,4))")
    shop.run("INSERT INTO items VALUES (1, N'uno', 1), (2, N'dos', 2)")
    return shop


@pytest.fixture
def cdc_items(sql_shop: SqlShop) -> CdcShop:
    return with_captured_items(sql_shop)


@pytest.fixture
def own_cdc_items(own_sql_shop: SqlShop) -> CdcShop:
    return with_captured_items(own_sql_shop)


def with_captured_items(shop: SqlShop) -> CdcShop:
    captured = CdcShop(shop)
    captured.create(ITEMS)
    captured.run("INSERT INTO items VALUES (1, N'uno', 1), (2, N'dos', 2)")
    return captured
