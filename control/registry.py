"""The registry's write side: tenants, stores and systems, checked before they are saved."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg
from psycopg import Connection

from fluxion.errors import BusinessRuleError, ConfigurationError
from fluxion.postgres import translated
from fluxion.registry import System
from schemas.mapping import Template, resolve
from schemas.settings import parse_settings

MAX_NAME = 200

Link = Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class NewSystem:
    """What `system add` needs to know. connection: host, port, user, database; a password is refused, it stays in the store."""

    name: str
    template: Template
    connection: dict[str, Any]
    settings: dict[str, Any]


def _uuid(text: str, what: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        message = f"{text!r} is not a {what} id"
        raise ConfigurationError(message, f"look it up with `fluxion {what} list`") from None


def _named(name: str, what: str) -> str:
    if not name.strip() or len(name) > MAX_NAME:
        message = f"the {what}'s name has {len(name)} characters"
        raise ConfigurationError(message, f"give it a name of 1 to {MAX_NAME} characters")
    return name.strip()


def _act_for(link: Link, tenant_id: str) -> None:
    """Row policies let this transaction see one tenant only."""
    link.execute("select set_config('fluxion.tenant_id', %s, true)", [tenant_id])


def add_tenant(link: Link, name: str) -> str:
    """Return the new tenant's id."""
    tenant_id = str(uuid4())
    with translated("PostgreSQL"), link.transaction():
        _act_for(link, tenant_id)
        link.execute(
            "insert into fluxion.tenants (tenant_id, name) values (%s, %s)", [tenant_id, _named(name, "tenant")]
        )
    return tenant_id


def add_system(link: Link, tenant_id: str, system: NewSystem) -> str:
    """Return the new system's id; its store or stores come next, with `add_store`."""
    tenant_id = _uuid(tenant_id, "tenant")
    if "password" in system.connection:
        message = "the registry keeps no password for a system that an agent captures"
        raise ConfigurationError(message, "give it to the agent as FLUXION_SOURCE_PASSWORD")
    parse_settings(system.settings)
    system_id = str(uuid4())
    with translated("PostgreSQL"), link.transaction():
        _act_for(link, tenant_id)
        if link.execute("select from fluxion.tenants where tenant_id = %s", [tenant_id]).fetchone() is None:
            message = f"there is no tenant {tenant_id}"
            raise ConfigurationError(message, "look it up with `fluxion tenant list`")
        link.execute(
            "insert into pos_integration.pos_systems (tenant_id, id, system_type, system_name, connection_config,"
            " field_mappings, sync_settings) values (%s, %s, %s, %s, %s, %s, %s)",
            [
                tenant_id,
                system_id,
                system.template.template,
                _named(system.name, "system"),
                json.dumps(system.connection),
                json.dumps(resolve(system.template)),
                json.dumps(system.settings),
            ],
        )
    return system_id


def save_mapping(link: Link, system: System, template: Template) -> int:
    """Put a template in place of a system's own and return the new mapping revision; a running processor takes it up in 2 s.

    `system` as it was read: BusinessRuleError where its mapping, its settings or its stores were changed since.
    """
    with translated("PostgreSQL"), link.transaction():
        _act_for(link, system.tenant_id)
        saved = link.execute(
            "update pos_integration.pos_systems set field_mappings = %s, system_type = %s, updated_at = now(),"
            " mapping_revision = mapping_revision + 1 where id = %s and mapping_revision = %s returning mapping_revision",
            [json.dumps(resolve(template)), template.template, system.id, system.mapping_revision],
        ).fetchone()
    if saved is None:
        message = f"the mapping of {system.name} was changed by somebody else in the meantime"
        raise BusinessRuleError(message, "look at `fluxion mapping diff`, and save again")
    return int(saved[0])


def add_store(link: Link, system: System, name: str, external_id: str | None, time_zone: str) -> str:
    """Return the new store's id. Refuses stores that the system's sales could not be told apart by."""
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        message = f"{time_zone!r} is not a time zone"
        raise ConfigurationError(message, "name one of the IANA list, such as America/Caracas") from None
    told_apart = external_id is not None and _store_column(system.mapping)
    if system.stores and not (told_apart and all(store.external_id for store in system.stores)):
        message = "a second store needs the template's store column and an external id for every store"
        raise BusinessRuleError(message, "name the column in the template, and give --external-id to every store")
    store_id = str(uuid4())
    with translated("PostgreSQL"), link.transaction():
        _act_for(link, system.tenant_id)
        try:
            link.execute(
                "insert into fluxion.stores (tenant_id, id, pos_system_id, external_id, name, time_zone)"
                " values (%s, %s, %s, %s, %s, %s)",
                [system.tenant_id, store_id, system.id, external_id, _named(name, "store"), time_zone],
            )
        except psycopg.errors.UniqueViolation:
            message = f"the system has a store {external_id!r} already"
            raise BusinessRuleError(message, "look at `fluxion store list`") from None
        # Processors read stores with the mapping, so a new store is a new revision.
        link.execute(
            "update pos_integration.pos_systems set mapping_revision = mapping_revision + 1, updated_at = now()"
            " where id = %s",
            [system.id],
        )
    return store_id


def _store_column(mapping: dict[str, Any]) -> bool:
    """Tell whether every sale, stock and movement block of the resolved template names its store."""
    blocks: list[dict[str, Any]] = []
    for entity in ("sale", "stock", "movement"):
        found = mapping.get(entity) or []
        blocks += found if isinstance(found, list) else [found]
    return bool(blocks) and all(block.get("store") for block in blocks)


def tenants(link: Link) -> list[tuple[str, str]]:
    """Return (id, name) of every tenant; read as `fluxion_stage`."""
    with translated("PostgreSQL"), link.transaction():
        return list(link.execute("select tenant_id::text, name from fluxion.tenants order by created_at").fetchall())
