import threading
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection, sql

from deploy.stack import Stack
from fluxion.errors import AccessDeniedError, DependencyDownError
from fluxion.postgres import APP, connect
from sinks.migrate import migrate
from tests.sinks.shop import OpenShop

Link = Connection[tuple[Any, ...]]

_TENANT_TABLES = """
select c.oid::regclass::text, c.relrowsecurity, c.relforcerowsecurity
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
where c.relkind in ('r', 'p') and c.relnamespace in ('fluxion'::regnamespace, 'pos_integration'::regnamespace)
"""


@pytest.fixture
def empty_database(stack: Stack) -> Iterator[str]:
    """Yield the owner's DSN of a database of its own, where nothing was migrated."""
    name = f"empty_{uuid.uuid4().hex[:8]}"
    superuser = psycopg.conninfo.make_conninfo(stack.postgres, user="postgres", password=None, dbname="postgres")
    with psycopg.connect(superuser, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {} owner fluxion_owner").format(sql.Identifier(name)))
        try:
            yield psycopg.conninfo.make_conninfo(stack.postgres, dbname=name)
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _shape(dsn: str) -> list[tuple[Any, ...]]:
    with connect(dsn) as link:
        return link.execute(
            "select table_schema, table_name, column_name, data_type from information_schema.columns"
            " where table_schema in ('fluxion', 'pos_integration') order by 1, 2, 3"
        ).fetchall()


def test_migrating_twice_at_once_and_again_changes_nothing(empty_database: str) -> None:
    faults: list[BaseException] = []

    def run() -> None:
        try:
            migrate(empty_database)
        except Exception as fault:  # noqa: BLE001 -- shown below
            faults.append(fault)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    before = _shape(empty_database)
    migrate(empty_database)
    assert len(before) > 100
    assert _shape(empty_database) == before


def test_a_migration_that_fails_leaves_nothing_behind(empty_database: str) -> None:
    with connect(empty_database) as link:
        link.execute("create schema fluxion")
    with pytest.raises(Exception, match="changed nothing"):
        migrate(empty_database)
    assert _shape(empty_database) == []


def test_what_is_wrong_is_said_in_a_sentence(empty_database: str) -> None:
    with pytest.raises(AccessDeniedError, match="no such database"):
        migrate(psycopg.conninfo.make_conninfo(empty_database, dbname="nowhere"))
    with pytest.raises(DependencyDownError, match="does not answer"):
        migrate(psycopg.conninfo.make_conninfo(empty_database, port=1))
    migrate(empty_database)


def test_every_table_of_a_tenant_has_row_level_security_forced(shop: OpenShop) -> None:
    tables = shop.rows(_TENANT_TABLES)
    assert {name for name, _, _ in tables} >= {"fluxion.sales", "fluxion.sale_items", "pos_integration.outbox"}
    assert [name for name, enabled, forced in tables if not (enabled and forced)] == []


def test_tenant_id_leads_every_primary_key(shop: OpenShop) -> None:
    leads = shop.rows(
        "select c.conrelid::regclass::text, a.attname from pg_constraint c"
        " join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]"
        f" where c.contype = 'p' and c.conrelid in (select t.oid from pg_class t, ({_TENANT_TABLES}) n (name, x, y)"
        " where t.oid = n.name::regclass)"
    )
    assert leads
    assert [table for table, column in leads if column != "tenant_id"] == []


def _seen(link: Link, table: str, tenant: str | None) -> int:
    with link.transaction():
        if tenant is not None:
            link.execute("select set_config('fluxion.tenant_id', %s, true)", [tenant])
        row = link.execute(f"select count(*) from {table}".encode()).fetchone()
        return int(row[0]) if row else -1


def test_the_application_sees_its_own_tenant_and_nothing_else(shop: OpenShop, sink: Any) -> None:
    mine = shop.shop
    shop.send(mine.record(sales=[mine.sale(1)], products=[mine.product(1)]), mine.record(products=[mine.product(2)]))
    shop.send_raw(b"poison")
    sink.to_the_end(shop)
    filled = {
        "fluxion.sales",
        "fluxion.sale_items",
        "fluxion.products",
        "pos_integration.outbox",
        "pos_integration.quarantine",
    }
    with connect(shop.dsn, APP) as link:
        for table, _, _ in shop.rows(_TENANT_TABLES):
            assert _seen(link, table, None) == 0, table
            assert _seen(link, table, str(uuid.uuid4())) == 0, table
        for table in filled:
            assert _seen(link, table, mine.tenant) > 0, table


def test_the_owner_sees_no_row_without_taking_a_role(shop: OpenShop, sink: Any) -> None:
    mine = shop.shop
    shop.send(mine.record(products=[mine.product(1)]))
    sink.to_the_end(shop)
    with connect(shop.dsn) as link:
        for table, _, _ in shop.rows(_TENANT_TABLES):
            assert _seen(link, table, None) == 0, table
            assert _seen(link, table, mine.tenant) == 0, table
