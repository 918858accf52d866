"""The registry (tenants, stores, systems), read side, and the one write of a shipper: registering its journal.

Reads are made as `fluxion_stage`, which sees every tenant; nobody takes a tenant or a store from a payload.
"""

from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from psycopg import Connection

from fluxion.errors import BusinessRuleError, ConfigurationError
from fluxion.postgres import translated

Link = Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Store:
    """A shop. external_id: what the template's store column holds, None where the system has one store and no column."""

    id: str
    external_id: str | None
    name: str
    time_zone: str
    cutoff: str


@dataclass(frozen=True)
class System:
    """A point-of-sale system of a tenant.

    connection: host, port, user, database; never a password. mapping: the resolved template as plain data, for
    `schemas.mapping`. mapping_revision rises with every saved change of mapping, settings or stores.
    """

    id: str
    tenant_id: str
    system_type: str
    name: str
    connection: dict[str, Any]
    mapping: dict[str, Any]
    settings: dict[str, Any]
    is_active: bool
    epoch: int
    mapping_revision: int
    stores: tuple[Store, ...]


_SYSTEMS = """
select s.id::text, s.tenant_id::text, s.system_type, s.system_name, s.connection_config, s.field_mappings, s.sync_settings,
       s.is_active, s.epoch, s.mapping_revision,
       coalesce((select jsonb_agg(jsonb_build_array(t.id, t.external_id, t.name, t.time_zone, t.cutoff) order by t.id)
                 from fluxion.stores t where t.tenant_id = s.tenant_id and t.pos_system_id = s.id), '[]')
from pos_integration.pos_systems s
"""


def _system(row: tuple[Any, ...]) -> System:
    (*scalars, stores) = row
    names = [field.name for field in fields(System)]
    return System(**dict(zip(names, [*scalars, tuple(Store(*store) for store in stores)], strict=True)))


def load_systems(link: Link) -> dict[str, System]:
    """Return every system by id. Leaves the connection outside a transaction."""
    with translated("PostgreSQL"), link.transaction():
        return {row[0]: _system(row) for row in link.execute(_SYSTEMS)}


def load_system(link: Link, system_id: str) -> System:
    """Return one system; ConfigurationError where the id is unknown or no id."""
    mend = "look the id up with `fluxion system list`"
    try:
        UUID(system_id)
    except ValueError:
        message = f"{system_id!r} is not a system id"
        raise ConfigurationError(message, mend) from None
    with translated("PostgreSQL"), link.transaction():
        row = link.execute(_SYSTEMS + " where s.id = %s", [system_id]).fetchone()
    if row is None:
        message = f"there is no system {system_id}"
        raise ConfigurationError(message, mend)
    return _system(row)


def load_revisions(link: Link) -> dict[str, int]:
    """Return system id → mapping revision: what a processor polls every 2 s."""
    with translated("PostgreSQL"), link.transaction():
        return dict(link.execute("select id::text, mapping_revision from pos_integration.pos_systems").fetchall())


def register_journal(link: Link, system_id: str, journal_id: str) -> int:
    """Register a new journal and return its epoch, one higher than any before; the same journal again keeps its own.

    Rows of a lower epoch are older by definition, so a second journal supersedes the first.
    """
    with translated("PostgreSQL"), link.transaction():
        known = link.execute(
            "select epoch from pos_integration.agents where journal_id = %s and pos_system_id = %s",
            [journal_id, system_id],
        ).fetchone()
        if known:
            return int(known[0])
        raised = link.execute(
            "update pos_integration.pos_systems set epoch = epoch + 1, updated_at = now() where id = %s and epoch < 65535"
            " returning tenant_id, epoch",
            [system_id],
        ).fetchone()
        if raised is None:
            message = f"system {system_id} is unknown or has no epoch left"
            raise BusinessRuleError(message, "look it up with `fluxion system list`")
        link.execute(
            "insert into pos_integration.agents (tenant_id, journal_id, pos_system_id, epoch) values (%s, %s, %s, %s)",
            [raised[0], journal_id, system_id, raised[1]],
        )
        return int(raised[1])
