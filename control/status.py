"""How everything stands, as `fluxion status` shows it. A part that is down is named; the others are told all the same."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Connection

from control.status_kafka import Behind, News, behind_group, behind_places, news_of_agents, read_topic
from fluxion.errors import FluxionError
from fluxion.postgres import SINK, STAGE, connect, translated
from fluxion.schema_registry import SchemaRegistry
from fluxion.settings import Settings
from schemas.codec import schema_text
from schemas.topics import CHANGES, RECORDS, STATUS

Link = Connection[tuple[Any, ...]]

PROCESSOR_GROUP = "fluxion-processor"

_SYSTEMS = """
select s.id::text, s.system_name, s.system_type, s.is_active, s.epoch, s.last_sync_at,
  (select count(*) from fluxion.stores t where t.tenant_id = s.tenant_id and t.pos_system_id = s.id),
  (select count(*) from pos_integration.quarantine q
   where q.tenant_id = s.tenant_id and q.pos_system_id = s.id and q.resolved_at is null),
  (select count(*) from pos_integration.pending_deletes d
   where d.tenant_id = s.tenant_id and d.pos_system_id = s.id and d.confirmed_at is null and d.done_at is null)
from pos_integration.pos_systems s order by s.system_name, s.id
"""
_OUTBOX = "select count(*), min(created_at) from pos_integration.outbox where published_at is null"
_PLACES = "select topic_id, partition, next from pos_integration.stream_offsets where topic = %s"
# The newest session of each system, and how many others were seen lately and not fenced: two agents.
_SESSIONS = """
select distinct on (n.pos_system_id) n.pos_system_id::text, n.host, n.journal_id::text, n.opened_at, n.seen_at, n.acknowledged,
  n.fenced_at is not null
from pos_integration.sessions n order by n.pos_system_id, n.id desc
"""


@dataclass(frozen=True)
class SystemState:
    """A system. quarantine: rows that wait; pending_deletes: tables whose deletes wait for a person."""

    id: str
    name: str
    system_type: str
    active: bool
    epoch: int
    last_sync_at: datetime | None
    stores: int
    quarantine: int
    pending_deletes: int


@dataclass(frozen=True)
class AgentState:
    """The newest session of a system's shipper. acknowledged: the last sequence of its journal that Kafka has."""

    system_id: str
    host: str | None
    journal_id: str
    opened_at: datetime
    seen_at: datetime | None
    acknowledged: int
    fenced: bool


@dataclass
class State:
    """Everything that could be learnt. down: part → why it does not answer; what it would have said is None or empty."""

    at: datetime
    systems: list[SystemState] = field(default_factory=list)
    stages: dict[str, Behind | None] = field(default_factory=dict)
    agents: list[AgentState] = field(default_factory=list)
    news: dict[str, News] = field(default_factory=dict)
    down: dict[str, str] = field(default_factory=dict)


def collect(settings: Settings, now: datetime) -> State:
    """Ask PostgreSQL, Kafka and the schema registry; takes some seconds where one of them is down."""
    state = State(now, stages={"processor": None, "sink": None, "relay": None})
    places: dict[tuple[str, int], int] | None = None

    def postgres() -> None:
        nonlocal places
        dsn = settings.database.get_secret_value()
        with connect(dsn, SINK) as link, translated("PostgreSQL"):
            state.systems = [SystemState(*row) for row in link.execute(_SYSTEMS)]
            state.stages["relay"] = _outbox(link, now)
            places = {(topic_id, number): next_ for topic_id, number, next_ in link.execute(_PLACES, [RECORDS.name])}
        with connect(dsn, STAGE) as link, translated("PostgreSQL"):
            state.agents = [AgentState(*row) for row in link.execute(_SESSIONS)]

    def kafka() -> None:
        changes = read_topic(settings.kafka, CHANGES.name, PROCESSOR_GROUP)
        state.stages["processor"] = behind_group(changes, now)
        if places is not None:
            state.stages["sink"] = behind_places(
                read_topic(settings.kafka, RECORDS.name, "fluxion-status"), places, now
            )

    registry = SchemaRegistry(settings.schema_registry, wait=False)

    def contracts() -> None:
        registry.schema_id(STATUS.subject, schema_text(STATUS.schema or ""))

    def agents() -> None:
        state.news = news_of_agents(settings.kafka, registry, now)

    _part(state, "PostgreSQL", postgres)
    _part(state, "Kafka", kafka)
    _part(state, "schema registry", contracts)
    if not state.down.keys() & {"Kafka", "schema registry"}:
        _part(state, "Kafka", agents)
    return state


def _part(state: State, name: str, ask: Callable[[], None]) -> None:
    """Ask one part; note that it is down where it does not answer."""
    try:
        ask()
    except FluxionError as fault:
        state.down[name] = str(fault)


def _outbox(link: Link, now: datetime) -> Behind:
    row = link.execute(_OUTBOX).fetchone()
    count, oldest = row or (0, None)
    return Behind(count, (now - oldest).total_seconds() if oldest else None)
