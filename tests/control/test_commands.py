"""The operator's commands as a person runs them: what they print, how they refuse."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from deploy.demo.systimax import Systimax
from deploy.stack import Stack
from fluxion.kafka import admin, consumer, producer
from fluxion.schema_registry import SchemaRegistry
from schemas.codec import Encoder, schema_text
from schemas.events import SaleEvent
from schemas.topics import PARTITIONS, SALE_EVENTS, TOPICS
from tests.conftest import Cloud
from tests.control.live import new_tenant
from tests.support import local
from tests.support.samples import SALE


def run(cloud: Cloud, *words: str, **more: str) -> str:
    return local.fluxion(*words, environment={**cloud.environment, **more}).stdout.strip()


def refused(cloud: Cloud, *words: str, **more: str) -> tuple[int, str]:
    done = local.fluxion(*words, environment={**cloud.environment, **more}, check=False)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


def add_system(cloud: Cloud, tenant: str) -> str:
    return run(cloud, "system", "add", "--tenant", tenant, "--template", "systimax", "--name", "Principal")


def test_a_system_with_two_stores(cloud: Cloud) -> None:
    system = add_system(cloud, run(cloud, "tenant", "add", "Cadena Uno"))
    run(cloud, "store", "add", "Chacao", "--system", system, "--external-id", "1")
    run(cloud, "store", "add", "Maracay", "--system", system, "--external-id", "2")
    shown = run(cloud, "store", "list", "--system", system)
    assert "Chacao" in shown
    assert "Maracay" in shown
    assert system in run(cloud, "system", "list")


@pytest.fixture(scope="module")
def pos(stack: Stack) -> Systimax:
    database = Systimax(stack.mariadb_host, stack.mariadb_port, "app", "app", "check_commands")
    database.create(0)
    return database


def add_checked_system(cloud: Cloud, pos: Systimax, template: str) -> str:
    tenant = new_tenant(cloud)
    place = ("--port", str(pos.port), "--user", "cdc", "--database", pos.database)
    return run(cloud, "system", "add", "--tenant", tenant, "--template", template, "--name", "Principal", *place)


@pytest.mark.parametrize(
    ("settings", "mend"),
    [
        ('{"settle_seconds": "abc"}', "1 to 86400"),
        ('{"setle_seconds": 5}', "settle_seconds"),
        ("[]", "JSON"),
        ("{", "JSON"),
    ],
)
def test_settings_are_checked_when_they_are_saved(cloud: Cloud, settings: str, mend: str) -> None:
    tenant = new_tenant(cloud)
    words = ("system", "add", "--tenant", tenant, "--template", "systimax", "--name", "n", "--settings", settings)
    code, said = refused(cloud, *words)
    assert code == 78
    assert mend in said


def test_a_template_is_held_against_its_database(cloud: Cloud, pos: Systimax, tmp_path: Path) -> None:
    system = add_checked_system(cloud, pos, "systimax")
    assert "fits its database" in run(cloud, "system", "check", system, FLUXION_SOURCE_PASSWORD="cdc")
    text = files("schemas").joinpath("systems", "systimax.yaml").read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("sale_price", "sale_prize").replace("from: items", "from: item"), encoding="utf-8")
    system = add_checked_system(cloud, pos, str(wrong))
    done = local.fluxion(
        "system", "check", system, environment={**cloud.environment, "FLUXION_SOURCE_PASSWORD": "cdc"}, check=False
    )
    assert done.returncode == 1
    assert "did you mean 'items'" in done.stdout
    wrong.write_text(text.replace("sale_price", "sale_prize").replace("trans_no", "trans_nr"), encoding="utf-8")
    system = add_checked_system(cloud, pos, str(wrong))
    done = local.fluxion(
        "system", "check", system, environment={**cloud.environment, "FLUXION_SOURCE_PASSWORD": "cdc"}, check=False
    )
    assert "did you mean 'sale_price'" in done.stdout
    assert "did you mean 'trans_no'" in done.stdout


def test_stores_that_cannot_be_told_apart_are_refused(cloud: Cloud) -> None:
    system = add_system(cloud, new_tenant(cloud))
    run(cloud, "store", "add", "Chacao", "--system", system)
    code, said = refused(cloud, "store", "add", "Maracay", "--system", system, "--external-id", "2")
    assert code == 1
    assert "--external-id to every store" in said


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        (("store", "list", "--system", "none"), "fluxion system list"),
        (("store", "list", "--system", "11111111-1111-4111-8111-111111111111"), "fluxion system list"),
        (("system", "add", "--tenant", "x", "--template", "systimax", "--name", "n"), "fluxion tenant list"),
        (("system", "add", "--tenant", "x", "--template", "sistimax", "--name", "n"), "systimax"),
        (("tenant", "add", " "), "1 to 200"),
        (("tail", "pos"), "pos.changes.v1"),
        (("sistem",), "--help"),
    ],
)
def test_a_wrong_word_is_one_sentence_with_its_mend(cloud: Cloud, words: tuple[str, ...], mend: str) -> None:
    code, said = refused(cloud, *words)
    assert code in {1, 2, 78}
    assert mend in said


@pytest.mark.parametrize(
    ("setting", "value", "code", "mend"),
    [
        ("FLUXION_DATABASE", "postgresql://fluxion_owner:wrong@127.0.0.1:{port}/fluxion", 78, "password"),
        ("FLUXION_DATABASE", "postgresql://fluxion_owner:fluxion_owner@127.0.0.1:1/fluxion", 69, "FLUXION_DATABASE"),
        ("FLUXION_DATABASE", "postgresql://nobody:x@127.0.0.1:{port}/fluxion", 78, "FLUXION_DATABASE"),
        ("FLUXION_DATABASE", "mysql://x", 78, "FLUXION_DATABASE"),
        ("FLUXION_SCHEMA_REGISTRY", "garbage", 78, "FLUXION_SCHEMA_REGISTRY"),
    ],
)
def test_a_database_that_does_not_let_us_in(cloud: Cloud, setting: str, value: str, code: int, mend: str) -> None:
    port = cloud.stack.postgres.rpartition(":")[2].partition("/")[0]
    ended, said = refused(cloud, "tenant", "list", **{setting: value.format(port=port)})
    assert ended == code
    assert mend in said


def test_kafka_and_the_schema_registry_down_are_one_sentence(cloud: Cloud) -> None:
    assert refused(cloud, "topics", "create", FLUXION_KAFKA="127.0.0.1:1")[0] == 69
    assert refused(cloud, "schemas", "register", FLUXION_SCHEMA_REGISTRY="http://127.0.0.1:1")[0] == 69


def test_topics_have_their_settings_and_creating_them_again_changes_nothing(cloud: Cloud) -> None:
    assert set(run(cloud, "topics", "create").splitlines()) == {f"{topic.name}: exists" for topic in TOPICS}
    known = admin(cloud.stack.kafka).list_topics(timeout=10).topics
    assert all(len(known[topic.name].partitions) == PARTITIONS for topic in TOPICS)


def test_schemas_register_gives_the_same_ids_again(cloud: Cloud) -> None:
    assert run(cloud, "schemas", "register") == run(cloud, "schemas", "register")


def test_tail_shows_an_event_in_clear_text(cloud: Cloud) -> None:
    registry = SchemaRegistry(cloud.stack.registry)
    schema_id = registry.schema_id(SALE_EVENTS.subject, schema_text("sale_event"))
    event = SaleEvent(tenant_id="t", store_id="tail-test", sale=SALE)
    out = producer(cloud.stack.kafka)
    encode: Encoder[SaleEvent] = Encoder("sale_event", schema_id)
    out.produce(SALE_EVENTS.name, encode(event), b"tail-test", headers={"ce_type": b"probe"})
    out.produce(SALE_EVENTS.name, b"not a record", b"tail-test")
    assert out.flush(10) == 0
    lines = [
        json.loads(line)
        for line in run(cloud, "tail", "sale_events", "--from-beginning", "--seconds", "3").splitlines()
    ]
    mine = [line for line in lines if line["key"] == "tail-test"]
    assert mine[0]["value"]["sale"]["total"] == "116.00"
    assert mine[0]["headers"] == {"ce_type": "probe"}
    assert "unreadable" in mine[1]["value"]


def test_murmur2_puts_keys_where_java_does(cloud: Cloud) -> None:
    """Java's DefaultPartitioner on 24 partitions: toPositive(murmur2(key)) % 24; the expectations are Kafka's own algorithm."""
    out = producer(cloud.stack.kafka)
    placed: dict[bytes, int] = {}

    def note(_: object, message: object) -> None:
        placed[message.key()] = message.partition()  # type: ignore[attr-defined]  # confluent_kafka.Message

    keys = [f"11111111-1111-4111-8111-{number:012d}".encode() for number in range(40)]
    for key in keys:
        out.produce("fluxion.day_completed.v1", b"x", key, on_delivery=note)
    assert out.flush(10) == 0
    assert placed == {key: (murmur2(key) & 0x7FFFFFFF) % PARTITIONS for key in keys}
    reader = consumer(cloud.stack.kafka, "test")
    ends = [reader.get_watermark_offsets(TopicPartition("fluxion.day_completed.v1", p))[1] for p in range(PARTITIONS)]
    reader.close()
    assert sum(ends) >= len(keys)


def murmur2(data: bytes) -> int:
    """Return org.apache.kafka.common.utils.Utils.murmur2 as an unsigned 32-bit number."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15
