"""`fluxion status`: systems, stages and agents on one screen, Spanish first; a part that is down is named."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from control.status import AgentState, State, SystemState
from control.status_cli import mode_of
from control.status_kafka import News
from control.status_text import TEXTS, span
from fluxion.kafka import producer
from fluxion.postgres import SINK, STAGE, connect
from fluxion.schema_registry import SchemaRegistry
from schemas.codec import Encoder, schema_text
from schemas.status import Status
from schemas.topics import STATUS
from tests.conftest import Cloud
from tests.control.live import Pos
from tests.stream_processors import sets
from tests.support import local

NOWHERE = {
    "FLUXION_KAFKA": "127.0.0.1:1",
    "FLUXION_DATABASE": "postgresql://fluxion_owner:fluxion_owner@127.0.0.1:1/fluxion",
    "FLUXION_SCHEMA_REGISTRY": "http://127.0.0.1:1",
}


@pytest.fixture
def pos(cloud: Cloud) -> Iterator[Pos]:
    made = Pos(cloud)
    yield made
    made.close()


def report(cloud: Cloud, *words: str, **more: str) -> tuple[int, dict[str, Any]]:
    done = local.fluxion("status", "--json", *words, environment={**cloud.environment, **more}, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def tell(cloud: Cloud, *told: Status) -> None:
    registry = SchemaRegistry(cloud.stack.registry)
    encode: Encoder[Status] = Encoder("status", registry.schema_id(STATUS.subject, schema_text("status")))
    out = producer(cloud.stack.kafka)
    for one in told:
        out.produce(STATUS.name, encode(one), one.system_id.encode())
    assert out.flush(10) == 0


def session(cloud: Cloud, pos: Pos, host: str, acknowledged: int) -> None:
    with connect(cloud.stack.postgres, STAGE) as link:
        link.execute(
            "insert into pos_integration.sessions (tenant_id, pos_system_id, journal_id, host, acknowledged, seen_at)"
            " select tenant_id, id, gen_random_uuid(), %s, %s, now() from pos_integration.pos_systems where id = %s",
            [host, acknowledged, pos.system],
        )


def of(pos: Pos, found: dict[str, Any], part: str) -> dict[str, Any]:
    (mine,) = (one for one in found[part] if pos.system in {one.get("id"), one.get("system_id")})
    return dict(mine)


def test_a_system_shows_its_quarantine_and_its_agent_s_newest_session(cloud: Cloud, pos: Pos) -> None:
    session(cloud, pos, "caja-vieja", 3)
    session(cloud, pos, "caja-01", 41)
    with connect(cloud.stack.postgres, SINK) as link:
        link.execute(
            'insert into pos_integration.quarantine (tenant_id, pos_system_id, topic, partition, "offset", mapping_revision,'
            " code, error_class, message, raw) select tenant_id, id, 't', 0, 1, 1, 'C', 'E', 'm', ''"
            " from pos_integration.pos_systems where id = %s",
            [pos.system],
        )
    status, found = report(cloud)
    assert (status, found["down"]) == (0, {})
    system = of(pos, found, "systems")
    assert (system["quarantine"], system["pending_deletes"], system["stores"], system["last_sync_s"]) == (1, 0, 2, None)
    agent = of(pos, found, "agents")
    assert (agent["host"], agent["acknowledged"], agent["fenced"]) == ("caja-01", 41, False)
    assert agent["seen_s"] < 60


def test_an_agent_s_progress_and_fault_are_the_last_that_it_told(cloud: Cloud, pos: Pos) -> None:
    session(cloud, pos, "caja-01", 0)
    tell(
        cloud,
        Status(system_id=pos.system, kind="heartbeat", at=0),
        Status(system_id=pos.system, kind="source_error", at=0, code="OLD", message="m"),
        Status(system_id=pos.system, kind="source_recovered", at=0),
        Status(
            system_id=pos.system, kind="job_progress", at=0, table="items", rows=5, total=90, rate=7, seconds_left=125
        ),
        Status(system_id=pos.system, kind="journal_full", at=0, code="FULL", message="[bold] disk", mend="free it"),
    )
    _, found = report(cloud)
    agent = of(pos, found, "agents")
    assert agent["heartbeat_s"] < 60, "by the broker's clock: the store's said 1970"
    assert (agent["job"]["table"], agent["job"]["rows"], agent["fault"]["code"]) == ("items", 5, "FULL")
    assert of(pos, found, "systems")["mode"] == "snapshot"
    spanish = pos.run("status")
    assert "copiando items: 5 de ~90 filas, 7 por segundo, faltan 2 min" in spanish
    assert "[bold] disk; free it" in spanish
    english = pos.run("status", "--lang", "en")
    assert "copying items: 5 of ~90 rows" in english
    assert "Sistemas" not in english
    assert re.search(r"free it \(hace \d+ s\)", spanish)
    assert agent["fault_s"] < 60
    tell(cloud, Status(system_id=pos.system, kind="job_finished", at=0))
    assert of(pos, report(cloud)[1], "agents")["job"] is None


AT = datetime(2026, 11, 24, 11, 50, tzinfo=UTC)


def told(kind: Any, code: str | None = None) -> Status:
    return Status(system_id="s", kind=kind, at=0, code=code)


def test_a_full_journal_is_over_when_the_agent_says_so_and_not_before() -> None:
    full = News().after(told("journal_full", "JOURNAL_FULL"), AT)
    assert (full.fault, full.fault_at) == (told("journal_full", "JOURNAL_FULL"), AT)
    for kind in ("job_finished", "source_recovered", "circuit_closed", "heartbeat"):
        still = full.after(told(kind), NOW)
        assert (still.fault, still.fault_at) == (full.fault, AT), kind
    over = full.after(told("source_recovered", "JOURNAL_FULL"), NOW)
    assert (over.fault, over.fault_at) == (None, None)


def test_that_a_journal_has_room_again_does_not_hide_a_source_that_is_lost() -> None:
    lost = News().after(told("source_error", "DEPENDENCY_DOWN"), AT)
    assert lost.after(told("source_recovered", "JOURNAL_FULL"), NOW).fault == lost.fault
    assert lost.after(told("source_recovered"), NOW).fault is None


def test_what_waits_for_a_stage_is_counted_with_its_age(cloud: Cloud, pos: Pos) -> None:
    before = report(cloud)[1]["stages"]
    for _ in range(3):
        pos.send((sets.ITEMS, "c", 0, sets.ITEM))
    with connect(cloud.stack.postgres, SINK) as link:
        link.execute(
            "insert into pos_integration.outbox (tenant_id, topic, key, event_id, event_type, subject, occurred_at, data,"
            " created_at) select tenant_id, 't', 'k', gen_random_uuid(), 'sale_created', gen_random_uuid(), now(), '{}',"
            " now() - interval '1 hour' from pos_integration.pos_systems where id = %s",
            [pos.system],
        )
    try:
        _, found = report(cloud)
    finally:
        pos.rows("update pos_integration.outbox set published_at = now() where topic = 't' returning 1")
    assert found["stages"]["processor"]["records"] == before["processor"]["records"] + 3
    assert found["stages"]["processor"]["oldest_s"] >= 0
    assert found["stages"]["sink"]["records"] == before["sink"]["records"]
    assert found["stages"]["relay"]["records"] == before["relay"]["records"] + 1
    assert found["stages"]["relay"]["oldest_s"] >= 3600


@pytest.mark.parametrize(
    ("setting", "part", "known"),
    [
        ("FLUXION_KAFKA", "Kafka", {"systems"}),
        ("FLUXION_DATABASE", "PostgreSQL", {"processor"}),
        ("FLUXION_SCHEMA_REGISTRY", "schema registry", {"systems", "processor"}),
    ],
)
def test_a_part_that_is_down_is_named_and_the_rest_is_shown(
    cloud: Cloud, pos: Pos, setting: str, part: str, known: set[str]
) -> None:
    status, found = report(cloud, **{setting: NOWHERE[setting]})
    assert status == 69
    assert list(found["down"]) == [part]
    assert (any(system["id"] == pos.system for system in found["systems"])) == ("systems" in known)
    assert (found["stages"]["processor"] is not None) == ("processor" in known)
    said = local.fluxion("status", environment={**cloud.environment, setting: NOWHERE[setting]}, check=False).stdout
    assert f"NO RESPONDE: {part}" in said


NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("active", "seen", "news", "mode"),
    [
        (True, 10, News(), "real_time"),
        (True, 600, News(), "silent"),
        (True, None, News(), "silent"),
        (True, 600, News(heartbeat_at=NOW - timedelta(seconds=20)), "real_time"),
        (True, None, News(job=Status(system_id="s", kind="job_started", at=0)), "snapshot"),
        (False, 10, News(), "paused"),
    ],
)
def test_a_system_s_mode_follows_from_its_last_sign_of_life(
    active: bool,  # noqa: FBT001 -- a table's column
    seen: int | None,
    news: News,
    mode: str,
) -> None:
    system = SystemState("s", "n", "t", active, 1, None, 1, 0, 0)
    seen_at = NOW - timedelta(seconds=seen) if seen is not None else None
    agent = AgentState("s", None, "j", NOW, seen_at, 0, fenced=False)
    assert mode_of(system, State(NOW, systems=[system], agents=[agent], news={"s": news})) == mode


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (7300, "2 h"), (200_000, "2 d")]
)
def test_a_length_of_time_is_short(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_every_text_is_there_in_both_languages() -> None:
    assert all(spanish and english for spanish, english in TEXTS.values())
    source = "".join(path.read_text(encoding="utf-8") for path in (local.ROOT / "control").glob("status_cli.py"))
    modes = {"paused", "snapshot", "real_time", "silent"}
    unused = {name for name in TEXTS if f'"{name}"' not in source} - modes
    assert unused == {"processor", "sink", "relay", "no_systems", "no_agents"}, "these are put together"
