"""Fixtures of every test: `stack`, the four real services, and `cloud`, the same made ready for the project's processes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from deploy.stack import Stack
from tests.support import local
from tests.support import sqlserver as sql_servers
from tests.support.tds.run import running

# How long an example takes says nothing on a busy machine.
settings.register_profile("fluxion", deadline=None)
settings.load_profile("fluxion")


@dataclass(frozen=True)
class Cloud:
    """A stack with tables, topics and schemas, and the FLUXION_* variables by which a process finds it."""

    stack: Stack
    environment: dict[str, str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whatever uses the stack, so that `-m "not stack"` is quick."""
    for item in items:
        if {"stack", "cloud", "sqlserver"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.stack)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Real Kafka, schema registry, MariaDB and PostgreSQL, one of each for the whole session; tests share them."""
    with local.running_stack() as services:
        yield services


@pytest.fixture(scope="session")
def cloud(stack: Stack) -> Cloud:
    """The stack after `db migrate`, `topics create` and `schemas register`."""
    environment = local.environment_of(stack)
    for words in (("db", "migrate"), ("topics", "create"), ("schemas", "register")):
        local.fluxion(*words, environment=environment)
    return Cloud(stack, environment)


@pytest.fixture(scope="session")
def sqlserver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sql_servers.Server]:
    """SQL Server: the one that FLUXION_TEST_SQLSERVER names, else a stand-in on the stack's PostgreSQL; tests share it."""
    real = sql_servers.real_server()
    if real is not None:
        yield real
        return
    stack: Stack = request.getfixturevalue("stack")
    folder: Path = tmp_path_factory.mktemp("sqlserver")
    with running(sql_servers.superuser(stack.postgres), folder, databases=()) as standin:
        yield standin


@pytest.fixture
def mssql(sqlserver: sql_servers.Server) -> Iterator[sql_servers.Database]:
    """An empty database of its own on `sqlserver`, with snapshot isolation and change tracking on."""
    with sql_servers.database(sqlserver) as database:
        yield database
