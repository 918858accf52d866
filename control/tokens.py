"""API tokens' write side: made, listed, revoked; each deed in the audit log, in the same transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection

from fluxion.errors import BusinessRuleError, ConfigurationError
from fluxion.http.audit import Deed, note
from fluxion.http.tokens import Scope, digest, new_token
from fluxion.postgres import translated

MAX_NAME = 200
MOST_DAYS = 3650

Link = Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Bound:
    """What a token reaches: a tenant, or one system of it, or one store of that."""

    tenant_id: str
    system_id: str | None = None
    store_id: str | None = None


@dataclass(frozen=True)
class Token:
    """A token as it is listed; nothing of the token itself is kept."""

    id: str
    tenant_id: str
    name: str
    scopes: Sequence[str]
    system_id: str | None
    store_id: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    expired: bool

    @property
    def state(self) -> str:
        """In a word."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expired else "good"


_COLUMNS = """
select id::text, tenant_id::text, name, scopes, pos_system_id::text, store_id::text, created_at, expires_at, revoked_at,
  last_used_at, coalesce(expires_at <= now(), false)
from pos_integration.api_tokens
"""
_INSERT = """
insert into pos_integration.api_tokens (tenant_id, name, token_hash, scopes, pos_system_id, store_id, created_by, expires_at)
values (%s, %s, %s, %s, %s, %s, %s, now() + %s) returning id::text
"""
_STORE = "select tenant_id::text, pos_system_id::text from fluxion.stores where id = %s"
_SYSTEM = "select tenant_id::text from pos_integration.pos_systems where id = %s"
_TENANT = "select tenant_id::text from fluxion.tenants where tenant_id = %s"


def bound_to(link: Link, tenant: str | None, system: str | None, store: str | None) -> Bound:
    """Return what exactly one of three ids names; read as `fluxion_stage`. ConfigurationError."""
    given = [(what, id_) for what, id_ in (("tenant", tenant), ("system", system), ("store", store)) if id_ is not None]
    if len(given) != 1:
        message = "a token is of a tenant, a system or a store, of exactly one"
        raise ConfigurationError(message, "give one of --tenant, --system, --store")
    ((what, id_),) = given
    mend = f"look it up with `fluxion {what} list`"
    try:
        UUID(id_)
    except ValueError:
        message = f"{id_!r} is not a {what} id"
        raise ConfigurationError(message, mend) from None
    query = {"tenant": _TENANT, "system": _SYSTEM, "store": _STORE}[what]
    with translated("PostgreSQL"), link.transaction():
        row = link.execute(query, [id_]).fetchone()
    if row is None:
        message = f"there is no {what} {id_}"
        raise ConfigurationError(message, mend)
    if what == "store":
        return Bound(row[0], row[1], id_)
    return Bound(row[0], id_ if what == "system" else None)


def create(link: Link, bound: Bound, name: str, scopes: Sequence[Scope], days: int, by: str) -> tuple[str, str]:
    """Return the new token's id and the token itself, which nobody can show again; as `fluxion_app`."""
    if not 0 < len(name.strip()) <= MAX_NAME:
        message = f"the token's name has {len(name)} characters"
        raise ConfigurationError(message, f"give it a name of 1 to {MAX_NAME} characters: who uses it, and for what")
    if not scopes:
        raise ConfigurationError("a token without a scope opens nothing", "give --scope, once or several times")
    if not 0 < days <= MOST_DAYS:
        raise ConfigurationError(f"{days} days is no life for a token", f"give it 1 to {MOST_DAYS} days")
    token, named = new_token(), sorted({str(scope) for scope in scopes})
    row = [
        bound.tenant_id,
        name.strip(),
        digest(token),
        named,
        bound.system_id,
        bound.store_id,
        by,
        timedelta(days=days),
    ]
    with translated("PostgreSQL"), link.transaction():
        _act_for(link, bound.tenant_id)
        made = link.execute(_INSERT, row).fetchone()
        assert made is not None  # noqa: S101 -- an insert that returns
        reach = {"system": bound.system_id, "store": bound.store_id}
        detail = {"name": name.strip(), "scopes": named, "days": days, **{k: v for k, v in reach.items() if v}}
        note(link, Deed(bound.tenant_id, by, "token.create", made[0], detail))
    return made[0], token


def listed(link: Link, tenant_id: str | None = None) -> list[Token]:
    """Return every token, or a tenant's, the newest last; read as `fluxion_stage`."""
    with translated("PostgreSQL"), link.transaction():
        rows = link.execute(
            _COLUMNS + " where %(tenant)s::uuid is null or tenant_id = %(tenant)s::uuid order by created_at",
            {"tenant": tenant_id},
        ).fetchall()
    return [Token(*row) for row in rows]


def find(link: Link, token_id: str) -> Token:
    """Return one token; ConfigurationError where there is none of that id."""
    for token in listed(link):
        if token.id == token_id.lower():
            return token
    message = f"there is no token {token_id!r}"
    raise ConfigurationError(message, "look its id up with `fluxion token list`")


def revoke(link: Link, token: Token, by: str) -> None:
    """Make a token useless, for good; as `fluxion_app`. BusinessRuleError where it was revoked already."""
    with translated("PostgreSQL"), link.transaction():
        _act_for(link, token.tenant_id)
        done = link.execute(
            "update pos_integration.api_tokens set revoked_at = now() where id = %s and revoked_at is null", [token.id]
        )
        if not done.rowcount:
            raise BusinessRuleError(f"the token {token.name} was revoked already", "leave it")
        note(link, Deed(token.tenant_id, by, "token.revoke", token.id, {"name": token.name}))


def _act_for(link: Link, tenant_id: str) -> None:
    link.execute("select set_config('fluxion.tenant_id', %s, true)", [tenant_id])
