"""docs/asyncapi.yaml says what schemas/topics.py and schemas/avro say, and is a sound AsyncAPI 3.0 document."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from control.topics import settings_of
from schemas.topics import PARTITIONS, TOPICS
from sinks.outbox import Event
from tests.support.local import ROOT

FILE = ROOT / "docs" / "asyncapi.yaml"
PAGE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
REPLICAS = 3

# What the specification (3.0.0, "Schema" tables) lets stand in each object, and what must.
OBJECTS: dict[str, tuple[set[str], set[str]]] = {
    "document": (
        {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"},
        {"asyncapi", "info"},
    ),
    "info": (
        {"title", "version", "description", "termsOfService", "contact", "license", "tags", "externalDocs"},
        {"title", "version"},
    ),
    "channel": (
        {"address", "messages", "title", "summary", "description", "servers", "parameters", "tags", "bindings"},
        {"address"},
    ),
    "operation": (
        {"action", "channel", "title", "summary", "description", "security", "tags", "bindings", "traits", "messages"},
        {"action", "channel"},
    ),
    "message": (
        {"headers", "payload", "contentType", "name", "title", "summary", "description", "tags", "bindings", "traits"},
        {"payload"},
    ),
    "payload": ({"schemaFormat", "schema"}, {"schemaFormat", "schema"}),
    "kafka channel": (
        {"topic", "partitions", "replicas", "topicConfiguration", "bindingVersion"},
        {"topic", "bindingVersion"},
    ),
    "kafka message": (
        {"key", "schemaIdLocation", "schemaIdPayloadEncoding", "schemaLookupStrategy", "bindingVersion"},
        {"key", "bindingVersion"},
    ),
    "components": ({"schemas", "messages"}, set()),
}


def objects() -> Iterator[tuple[str, str, dict[str, Any]]]:
    yield "document", "#", PAGE
    yield "info", "#/info", PAGE["info"]
    yield "components", "#/components", PAGE["components"]
    for name, channel in PAGE["channels"].items():
        yield "channel", name, channel
        yield "kafka channel", name, channel["bindings"]["kafka"]
    for name, operation in PAGE["operations"].items():
        yield "operation", name, operation
    for name, message in PAGE["components"]["messages"].items():
        yield "message", name, message
        yield "payload", name, message["payload"]
        yield "kafka message", name, message["bindings"]["kafka"]


@pytest.mark.parametrize(("kind", "name", "held"), [(kind, name, held) for kind, name, held in objects()])
def test_an_object_has_what_it_must_and_nothing_that_asyncapi_does_not_know(
    kind: str, name: str, held: dict[str, Any]
) -> None:
    allowed, demanded = OBJECTS[kind]
    assert demanded <= set(held) <= allowed, name


def references(held: object) -> Iterator[str]:
    if isinstance(held, dict):
        if "$ref" in held:
            assert set(held) == {"$ref"}, "nothing stands beside a $ref"
            yield held["$ref"]
        for inner in held.values():
            yield from references(inner)
    elif isinstance(held, list):
        for inner in held:
            yield from references(inner)


def resolve(reference: str) -> Any:
    place, _, way = reference.partition("#")
    if place:
        assert not way
        return json.loads((FILE.parent / place).resolve().read_text(encoding="utf-8"))
    found: Any = PAGE
    for name in way.strip("/").split("/"):
        found = found[name]
    return found


def test_every_reference_resolves() -> None:
    found = list(references(PAGE))
    assert len(found) > len(TOPICS)
    assert all(resolve(reference) for reference in found)


def test_it_is_the_version_of_the_project() -> None:
    assert PAGE["asyncapi"] == "3.0.0"
    assert PAGE["info"]["version"] == version("fluxion-pos-cdc")


def test_it_names_every_topic_once_and_no_other() -> None:
    assert sorted(channel["address"] for channel in PAGE["channels"].values()) == sorted(t.name for t in TOPICS)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_channel_says_what_its_topic_is_created_with(topic: Any) -> None:
    (channel,) = (channel for channel in PAGE["channels"].values() if channel["address"] == topic.name)
    kafka = channel["bindings"]["kafka"]
    assert (kafka["topic"], kafka["partitions"], kafka["replicas"]) == (topic.name, PARTITIONS, REPLICAS)
    said = dict(kafka["topicConfiguration"])
    assert said.pop("cleanup.policy") == ["delete"]  # Kafka's default, which nobody changes
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in said.items()}
    assert texts == settings_of(topic, REPLICAS)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_channel_carries_its_topic_s_contract_under_its_key(topic: Any) -> None:
    (channel,) = (channel for channel in PAGE["channels"].values() if channel["address"] == topic.name)
    messages = [resolve(message["$ref"]) for message in channel.get("messages", {}).values()]
    if topic.schema is None:
        assert messages == [], "no stage writes it"
        return
    assert messages
    for message in messages:
        assert Path(message["payload"]["schema"]["$ref"]).name == f"{topic.schema}.avsc"
        assert resolve(message["bindings"]["kafka"]["key"]["$ref"])["description"] == topic.key
        assert ("headers" in message) == topic.public, "public records are CloudEvents, and only they"


def test_an_operation_s_messages_are_its_channel_s() -> None:
    for operation in PAGE["operations"].values():
        assert operation["action"] in {"send", "receive"}
        channel = operation["channel"]["$ref"]
        carried = {f"{channel}/messages/{name}" for name in resolve(channel)["messages"]}
        assert {message["$ref"] for message in operation["messages"]} <= carried


def test_every_topic_that_is_written_has_an_operation_that_writes_it() -> None:
    written = {resolve(o["channel"]["$ref"])["address"] for o in PAGE["operations"].values() if o["action"] == "send"}
    assert written == {topic.name for topic in TOPICS if topic.schema is not None}


def test_the_headers_are_those_that_the_relay_writes() -> None:
    event = Event(1, "t", "store", "id", "sale_created", "sale", "tenant", datetime(2026, 11, 24, tzinfo=UTC), {})
    said = PAGE["components"]["schemas"]["cloudEvent"]
    written = dict(event.headers())
    assert list(said["properties"]) == list(written) == said["required"]
    fixed = {name: held["const"].encode() for name, held in said["properties"].items() if "const" in held}
    assert fixed.items() <= written.items()
    types = {
        name: message["headers"]["allOf"][1]["properties"]["ce_type"]["const"]
        for name, message in PAGE["components"]["messages"].items()
        if "headers" in message
    }
    assert types == {"saleCreated": "sale_created", "saleCorrected": "sale_corrected", "saleVoided": "sale_voided"}
