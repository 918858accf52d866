"""Whose rows are whose: a walk over the catalogue, and a try at every table as another tenant."""

import uuid
from typing import Any

import psycopg
import pytest
from psycopg import Connection, sql

from fluxion.postgres import APP, STAGE, connect
from tests.sinks.desk import Desk
from tests.sinks.shop import OpenShop

Link = Connection[tuple[Any, ...]]

# The sink's place in Kafka and the migrations' own are nobody's; every other table is some tenant's.
NOBODYS = {"pos_integration.stream_offsets", "pos_integration.schema_version"}
_TABLES = """
select c.oid::regclass::text, c.relrowsecurity and c.relforcerowsecurity,
  (select a.attname::text from pg_constraint p join pg_attribute a on a.attrelid = p.conrelid and a.attnum = p.conkey[1]
   where p.conrelid = c.oid and p.contype = 'p'),
  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    and a.attgenerated = '' and a.attidentity = '' order by a.attnum)
from pg_class c
where c.relkind in ('r', 'p') and c.relnamespace in ('fluxion'::regnamespace, 'pos_integration'::regnamespace)
order by 1
"""


def tables(link: Link) -> dict[str, tuple[bool, str | None, list[str]]]:
    return {name: (forced, leads, columns) for name, forced, leads, columns in link.execute(_TABLES)}


def faults(link: Link) -> list[str]:
    """Return the tables that are not as every tenant's table has to be."""
    return [
        name
        for name, (forced, leads, columns) in tables(link).items()
        if name not in NOBODYS and not (forced and leads == "tenant_id" and "tenant_id" in columns)
    ]


def test_every_table_has_forced_row_level_security_and_tenant_id_leads_its_key(shop: OpenShop) -> None:
    assert len(tables(shop.link)) > 25
    assert faults(shop.link) == []


@pytest.mark.parametrize(
    "made",
    [
        "create table fluxion.stray (tenant_id uuid, id uuid, primary key (tenant_id, id))",
        (
            "create table fluxion.stray (tenant_id uuid, id uuid, primary key (tenant_id, id));"
            " alter table fluxion.stray enable row level security"
        ),
        (
            "create table fluxion.stray (tenant_id uuid, id uuid, primary key (id, tenant_id));"
            " alter table fluxion.stray enable row level security, force row level security"
        ),
        "create table pos_integration.stray (id uuid primary key)",
    ],
    ids=["none", "not forced", "another key", "without a tenant"],
)
def test_a_table_without_it_is_found(shop: OpenShop, made: str) -> None:
    with connect(shop.dsn) as link:
        link.execute(made.encode())
        assert [name.partition(".")[2] for name in faults(link)] == ["stray"]
        link.rollback()


def filled(desk: Desk) -> None:
    """Put a row of this tenant into every table."""
    mine = desk.shop
    sale = mine.sale(1)
    parts = mine.of_sale(1, payments=[mine.payment(1, 1)], taxes=[mine.tax(1, 1)])
    desk.write(
        mine.record(
            categories=[mine.category(1)], suppliers=[mine.supplier(1)], products=[mine.product(1, selling_price="x"), mine.product(2)],
            stock=[mine.stock(1, "1")], movements=[mine.movement(1, "1")], sales=[sale, parts],
        )
    )  # fmt: skip
    system = {"tenant": mine.tenant, "system": mine.system, "any": str(uuid.uuid4())}
    of_stage = (
        "insert into pos_integration.sessions (tenant_id, pos_system_id, journal_id) values (%(tenant)s, %(system)s, %(any)s)",
        "insert into pos_integration.agents (tenant_id, pos_system_id, journal_id, epoch) values (%(tenant)s, %(system)s, %(any)s, 1)",
        "insert into pos_integration.sync_jobs (tenant_id, pos_system_id, job_type) values (%(tenant)s, %(system)s, 'full_sync')",
        "insert into pos_integration.alerts (tenant_id, kind, severity, message) values (%(tenant)s, 'x', 'info', 'x')",
        "insert into pos_integration.status_events (tenant_id, pos_system_id, kind, at) values (%(tenant)s, %(system)s, 'heartbeat', now())",
        (
            'insert into pos_integration.webhook_receipts (tenant_id, pos_system_id, delivery_id, event_type, partition, "offset")'
            " values (%(tenant)s, %(system)s, 'x', 'x', 0, 0)"
        ),
        "insert into pos_integration.commands (tenant_id, pos_system_id, kind, expires_at) values (%(tenant)s, %(system)s, 'check', now())",
    )
    of_sink = (
        (
            "insert into pos_integration.sync_conflicts (tenant_id, pos_system_id, entity_type, entity_id, field, conflict_type,"
            " pos_data, fluxion_data) values (%(tenant)s, %(system)s, 'product', %(any)s, 'x', 'price_mismatch', '{}', '{}')"
        ),
        (
            "insert into pos_integration.contested (tenant_id, pos_system_id, entity_type, entity_id, field, pos_revision,"
            " fluxion_revision) values (%(tenant)s, %(system)s, 'product', %(any)s, 'x', 1, 1)"
        ),
        (
            "insert into pos_integration.pending_deletes (tenant_id, pos_system_id, external_table, first_version, deletions,"
            " row_count, of_rows, partition) values (%(tenant)s, %(system)s, 'x', 1, '[]', 1, 1, 0)"
        ),
    )
    of_app = (
        (
            "insert into pos_integration.users (tenant_id, email, name, password_hash, role)"
            " values (%(tenant)s, %(any)s, 'x', 'x', 'viewer')"
        ),
        "insert into pos_integration.api_tokens (tenant_id, name, token_hash) values (%(tenant)s, 'x', decode(md5(%(any)s), 'hex'))",
        "insert into pos_integration.audit_log (tenant_id, actor, action) values (%(tenant)s, 'x', 'x')",
    )
    for role, statements in ((STAGE, of_stage), ("fluxion_sink", of_sink), (APP, of_app)):
        with connect(desk.open.dsn, role) as link:
            link.execute("select set_config('fluxion.tenant_id', %s, true)", [mine.tenant])
            for statement in statements:
                link.execute(statement.encode(), system)


def _tries(table: str, columns: list[str], tenant: str) -> dict[str, sql.Composed]:
    name = sql.SQL(".").join(map(sql.Identifier, table.split(".")))
    return {
        "select": sql.SQL("select 1 from {} where tenant_id = {}").format(name, tenant),
        "update": sql.SQL("update {} set {} = {} where tenant_id = {}").format(
            name, *[sql.Identifier(columns[-1])] * 2, tenant
        ),
        "delete": sql.SQL("delete from {} where tenant_id = {}").format(name, tenant),
        "insert": sql.SQL("insert into {} (tenant_id) values ({})").format(name, tenant),
    }


@pytest.mark.parametrize("as_whom", ["another tenant", "no tenant"])
def test_nobody_else_reads_or_writes_a_row_of_any_table(desk: Desk, as_whom: str) -> None:
    filled(desk)
    mine = desk.shop.tenant
    with connect(desk.open.dsn, APP) as link:
        for table, (_, _, columns) in tables(link).items():
            if table in NOBODYS:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    link.execute(f"select * from {table}".encode())
                link.rollback()
                continue
            assert _reach(link, mine, sql.SQL("select 1 from {}").format(sql.SQL(table))) > 0, f"{table} is empty"
            other = str(uuid.uuid4()) if as_whom == "another tenant" else ""
            for deed, statement in _tries(table, columns, mine).items():
                assert _reach(link, other, statement) <= 0, f"{deed} {table}"


def _reach(link: Link, tenant: str, statement: sql.Composed) -> int:
    """Return how many rows a statement reached; -1 where it is not allowed at all. Nothing of it stays."""
    try:
        with link.transaction(force_rollback=True):
            link.execute("select set_config('fluxion.tenant_id', %s, true)", [tenant])
            return link.execute(statement).rowcount
    except psycopg.errors.InsufficientPrivilege:
        return -1


def test_a_person_settles_only_what_is_theirs(desk: Desk) -> None:
    filled(desk)
    with connect(desk.open.dsn, APP) as link:
        link.execute("select set_config('fluxion.tenant_id', %s, true)", [desk.shop.tenant])
        assert (
            link.execute(
                "update pos_integration.pending_deletes set confirmed_at = now(), confirmed_by = 'ana'"
            ).rowcount
            == 1
        )
        assert link.execute("update pos_integration.quarantine set notes = 'seen'").rowcount == 1
        for denied in (
            "update pos_integration.pending_deletes set first_version = 0",
            "update pos_integration.quarantine set raw = ''",
            "update pos_integration.audit_log set actor = 'nobody'",
            "delete from pos_integration.audit_log",
            "update fluxion.sales set total = 0",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), link.transaction():
                link.execute(denied.encode())
