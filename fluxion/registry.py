"""The registry (tenants, stores, systems), read side, and the two writes of a shipper: registering its journal, its session.

Reads are made as `fluxion_stage`, which sees every tenant; nobody takes a tenant or a store from a payload.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from psycopg import Connection

from fluxion.errors import BusinessRuleError, ConfigurationError, ErrorClass, FencedError, FluxionError, TwoAgentsError
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


class RestoredCopyError(FluxionError):
    """The cloud knows more of a journal than the file that asks: a newer copy of it has shipped. It becomes a new journal."""

    code = "RESTORED_COPY"
    error_class = ErrorClass.CONNECTION


@dataclass(frozen=True)
class Standing:
    """What a journal says of itself when it asks for a session.

    last_sequence: what it had stored when its file was opened for the first time since its last session: later ones would
    hide that an older copy was put back. session: the last one that this file opened, 0 for none.
    """

    journal_id: str
    last_sequence: int
    session: int


@dataclass(frozen=True)
class Session:
    """A shipper's right to ship for a system, until a newer one is opened. acknowledged: the sequence that the cloud knows."""

    id: int
    system_id: str
    epoch: int
    acknowledged: int


_NEWER_JOURNAL = """
select a.journal_id::text, a.epoch, s.host, a.enrolled_at
from pos_integration.agents a left join pos_integration.sessions s on s.journal_id = a.journal_id
where a.pos_system_id = %s and a.epoch > %s order by a.epoch desc, s.id desc limit 1
"""
_NEWER_SESSION = """
select id, host, opened_at from pos_integration.sessions where pos_system_id = %s and id > %s order by id desc limit 1
"""
_KNOWN = """
select coalesce(max(acknowledged), 0), coalesce(max(id), 0) from pos_integration.sessions
where pos_system_id = %s and journal_id = %s
"""
_FENCE = "update pos_integration.sessions set fenced_at = now() where pos_system_id = %s and fenced_at is null"
_OPEN = """
insert into pos_integration.sessions (tenant_id, pos_system_id, journal_id, host, acknowledged, seen_at)
select tenant_id, id, %s, %s, %s, now() from pos_integration.pos_systems where id = %s returning id
"""
_NOTE = """
update pos_integration.sessions s set acknowledged = greatest(acknowledged, %s), seen_at = now()
where id = %s and not exists (select from pos_integration.sessions n where n.pos_system_id = s.pos_system_id and n.id > s.id)
"""
_ONE_ONLY = (
    "end one of the two agents; if this one should ship, move its journal.db away: it begins with a new snapshot"
)


def open_session(
    link: Link, system_id: str, standing: Standing, host: str, note: Callable[[Session], None] = lambda _: None
) -> Session:
    """Open a session for a journal and fence every older one of the system. Registers the journal if it is new.

    A journal goes on under its own epoch for as long as no newer one is registered for the system: its backlog is ordinary.
    Once there is a newer one, it is refused (TwoAgentsError): its rows are older by definition, and letting it fence the
    newer would stop a store. A file whose journal has shipped more than it holds, or has opened a session since that it
    does not know, is a copy (RestoredCopyError). Both leave everything as it was.

    note: writes the session down in the journal before PostgreSQL commits: a session that the journal does not know of
    would make it a copy next time, one that never came to be does no harm. host: a name for people.
    """
    with translated("PostgreSQL"), link.transaction():
        # (1) one at a time for each system
        if not link.execute("select from pos_integration.pos_systems where id = %s for update", [system_id]).rowcount:
            message = f"there is no system {system_id}"
            raise ConfigurationError(message, "look the id up with `fluxion system list`")
        # (2) a new journal gets the highest epoch; a known one keeps its own
        epoch = register_journal(link, system_id, standing.journal_id)
        newer = link.execute(_NEWER_JOURNAL, [system_id, epoch]).fetchone()
        if newer:
            message = (
                f"two agents: since {newer[3]:%Y-%m-%d %H:%M} UTC journal {newer[0]} (epoch {newer[1]}, on"
                f" {newer[2] or 'an unknown host'}) ships for system {system_id}, this one has epoch {epoch}"
            )
            raise TwoAgentsError(message, _ONE_ONLY)
        # (3) a copy that was put back
        known, last = link.execute(_KNOWN, [system_id, standing.journal_id]).fetchone() or (0, 0)
        if known > standing.last_sequence:
            message = (
                f"Kafka has sequence {known} of journal {standing.journal_id}, which ends at {standing.last_sequence}"
            )
            raise RestoredCopyError(message, "it becomes a new journal")
        if last > standing.session:
            message = f"another copy of journal {standing.journal_id} has opened session {last} since"
            raise RestoredCopyError(message, "it becomes a new journal")
        # (4) the newest session is the one that counts
        link.execute(_FENCE, [system_id])
        opened = link.execute(_OPEN, [standing.journal_id, host, known, system_id]).fetchone()
        assert opened is not None  # noqa: S101 -- the system is locked above
        session = Session(int(opened[0]), system_id, epoch, known)
        note(session)
    return session


def note_acknowledged(link: Link, session: Session, sequence: int) -> None:
    """Write down that Kafka has everything up to `sequence`. TwoAgentsError where a newer session took over."""
    with translated("PostgreSQL"), link.transaction():
        if link.execute(_NOTE, [sequence, session.id]).rowcount:
            return
        newer = link.execute(_NEWER_SESSION, [session.system_id, session.id]).fetchone()
    if newer is None:  # PostgreSQL was put back to a time before it
        raise FencedError(f"PostgreSQL does not know session {session.id}", "start the agent again: it opens another")
    found = f"session {newer[0]}, opened {newer[2]:%Y-%m-%d %H:%M} UTC on {newer[1]}"
    message = f"two agents: {found}, took over system {session.system_id} from session {session.id}"
    raise TwoAgentsError(message, _ONE_ONLY)
