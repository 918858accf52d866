import threading
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from alembic import command
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


OLD_ROWS = """
insert into fluxion.tenants (tenant_id, name) values (%(t)s, 'old');
insert into pos_integration.pos_systems (tenant_id, id, system_type, system_name, connection_config, field_mappings)
  values (%(t)s, %(s)s, 'x', 'x', '{}', '{}');
insert into fluxion.products (tenant_id, id, pos_system_id, external_table, external_id, sku, version, mapping_revision)
  values (%(t)s, %(p)s, %(s)s, 'items', '1', 'A', 1, 1);
insert into fluxion.sales (tenant_id, id, pos_system_id, external_id, has_header, status, doc_type, closed, version,
  mapping_revision, partition, announced_version, announced_hash) values
  (%(t)s, %(a)s, %(s)s, 'told', true, 'cobrada', 'invoice', true, 1, 3, 0, 1, 'x'),
  (%(t)s, %(b)s, %(s)s, 'silent', true, 'completed', 'ticket', true, 1, 3, 0, 1, 'x'),
  (%(t)s, %(c)s, %(s)s, 'waiting', true, 'voided', null, true, 1, 3, 0, null, null);
insert into pos_integration.outbox (tenant_id, topic, key, event_id, event_type, subject, occurred_at, data)
  values (%(t)s, 'x', 'x', %(a)s, 'sale_created', %(a)s, now(), '{}');
"""


def test_a_database_of_the_first_version_keeps_its_rows(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as first_version:
        upgrade = command.upgrade
        first_version.setattr(command, "upgrade", lambda config, _: upgrade(config, "0001"))
        migrate(empty_database)
    ids = {name: str(uuid.uuid4()) for name in "tspabc"}
    superuser = psycopg.conninfo.make_conninfo(empty_database, user="postgres", password=None)
    with psycopg.ClientCursor(psycopg.connect(superuser)) as cursor:
        cursor.execute(OLD_ROWS, ids)
        cursor.connection.commit()
        cursor.connection.close()
    migrate(empty_database)
    with connect(empty_database, APP) as link:
        link.execute("select set_config('fluxion.tenant_id', %s, false)", [ids["t"]])
        sales = link.execute(
            "select external_id, status, doc_type, announced_as, announced_revision from fluxion.sales order by 1"
        ).fetchall()
        cached = link.execute("select fluxion_entity, external_id, fluxion_id::text from pos_integration.mapping_cache")
        assert cached.fetchall() == [("product", "1", ids["p"])]
    assert sales == [
        ("silent", "completed", None, "silent", 3),
        ("told", None, "invoice", "standing", 3),
        ("waiting", "voided", None, None, None),
    ]


OLD_PARTS = """
insert into fluxion.{table} (tenant_id, id, sale_id, pos_system_id, external_table, external_id, {field}, version,
  mapping_revision, purged_at) values
  (%(t)s, gen_random_uuid(), %(s)s, %(s)s, 'x', 'archived', {value}, 1, 1, now()),
  (%(t)s, gen_random_uuid(), %(s)s, %(s)s, 'x', 'never lived', null, 1, 1, now()),
  (%(t)s, gen_random_uuid(), %(s)s, %(s)s, 'x', 'stands', {value}, 1, 1, null);
"""


def test_parts_that_only_a_delete_told_of_count_nowhere_after_the_migration(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as second_version:
        upgrade = command.upgrade
        second_version.setattr(command, "upgrade", lambda config, _: upgrade(config, "0002"))
        migrate(empty_database)
    ids = {name: str(uuid.uuid4()) for name in "ts"}
    parts = {"sale_items": ("sku", "'A'"), "sale_payments": ("amount", "1"), "sale_taxes": ("category", "'general'")}
    superuser = psycopg.conninfo.make_conninfo(empty_database, user="postgres", password=None)
    with psycopg.ClientCursor(psycopg.connect(superuser)) as cursor:
        for table, (field, value) in parts.items():
            cursor.execute(OLD_PARTS.format(table=table, field=field, value=value).encode(), ids)
        cursor.connection.commit()
        cursor.connection.close()
    migrate(empty_database)
    with connect(empty_database, APP) as link:
        link.execute("select set_config('fluxion.tenant_id', %s, false)", [ids["t"]])
        for table in parts:
            rows = link.execute(
                f"select external_id, purged_at is not null, deleted_at is not null from fluxion.{table} order by 1".encode()
            ).fetchall()
            assert rows == [("archived", True, False), ("never lived", True, True), ("stands", False, False)], table


def test_what_is_wrong_is_said_in_a_sentence(empty_database: str) -> None:
    with pytest.raises(AccessDeniedError, match="no such database"):
        migrate(psycopg.conninfo.make_conninfo(empty_database, dbname="nowhere"))
    with pytest.raises(DependencyDownError, match="does not answer"):
        migrate(psycopg.conninfo.make_conninfo(empty_database, port=1))
    migrate(empty_database)


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
