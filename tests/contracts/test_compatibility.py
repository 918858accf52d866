"""Our checker of contracts: what it says of each kind of change, and that the schema registry says the same."""

import json
import urllib.request
import uuid
from typing import Any

import pytest

from control.baseline import breaks, present, released
from control.compatibility import unreadable, unsound
from deploy.stack import Stack
from fluxion.errors import ConfigurationError
from schemas.topics import TOPICS
from tests.contracts.changes import CHANGES, OLD, changed
from tests.support import local


@pytest.mark.parametrize("change", CHANGES)
def test_each_kind_of_change_has_its_verdict_in_both_directions(change: str) -> None:
    new, reads_old, is_read_by_old = CHANGES[change]
    assert (not unreadable(new, OLD), not unreadable(OLD, new)) == (reads_old, is_read_by_old)


def call(url: str, body: dict[str, str], method: str = "POST") -> Any:
    headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)  # noqa: S310 -- our own stack
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 -- as above
        return json.load(answer)


@pytest.mark.parametrize("compatibility", ["BACKWARD", "FORWARD", "FULL_TRANSITIVE"])
def test_the_schema_registry_has_the_same_verdict_on_every_change(stack: Stack, compatibility: str) -> None:
    subject = f"probe-{uuid.uuid4()}"
    call(f"{stack.registry}/subjects/{subject}/versions", {"schema": json.dumps(OLD)})
    call(f"{stack.registry}/config/{subject}", {"compatibility": compatibility}, "PUT")
    theirs, ours = {}, {}
    for change, (new, _, _) in CHANGES.items():
        answer = call(f"{stack.registry}/compatibility/subjects/{subject}/versions/latest", {"schema": json.dumps(new)})
        theirs[change] = answer["is_compatible"]
        backward, forward = not unreadable(new, OLD), not unreadable(OLD, new)
        verdicts = {"BACKWARD": backward, "FORWARD": forward, "FULL_TRANSITIVE": backward and forward}
        ours[change] = verdicts[compatibility]
    assert theirs == ours


def test_the_contracts_fit_every_release_and_the_command_says_so_without_any_service() -> None:
    nowhere = {"FLUXION_SCHEMA_REGISTRY": "http://127.0.0.1:1", "FLUXION_KAFKA": "127.0.0.1:1"}
    said = local.fluxion("schemas", "check", environment=nowhere).stdout
    assert all(release in said for release in released())
    assert {"change_set", "canonical_set", "sale_event"} <= present().keys() & released()["0.1.0"].keys()


def test_a_public_field_that_goes_is_said_with_its_place_its_release_and_its_mend() -> None:
    contracts = present()
    sale = next(field for field in contracts["sale_event"]["fields"] if field["name"] == "sale")["type"]
    sale["fields"] = [field for field in sale["fields"] if field["name"] != "totalsMatch"]
    (found,) = breaks(contracts, released())
    assert str(found) == (
        "sale_event: consumers of 0.1.0 can no longer read at sale.totalsMatch: the reader demands the field, and the"
        " record lacks it; give the field a default"
    )


def test_an_inner_field_may_go_but_a_new_one_needs_a_default() -> None:
    contracts = present()
    rows = contracts["change_set"]["fields"]
    gone = [field for field in rows if field["name"] != "journal_id"]
    contracts["change_set"]["fields"] = gone
    assert breaks(contracts, released()) == []
    contracts["change_set"]["fields"] = [*gone, {"name": "origin", "type": "string"}]
    (found,) = breaks(contracts, released())
    assert (found.contract, found.release) == ("change_set", "0.1.0")
    assert "can no longer be read at origin" in found.message


def test_every_release_counts_not_only_the_last() -> None:
    with_note = changed(lambda fields: fields.append({"name": "note", "type": "string", "default": ""}))
    without_default = changed(lambda fields: fields.append({"name": "note", "type": "string"}))
    releases = {"0.1.0": {"probe": OLD}, "0.2.0": {"probe": with_note}}
    found = breaks({"probe": without_default}, releases, topics=())
    assert [one.release for one in found] == ["0.1.0"]


def test_a_contract_that_was_released_and_is_gone_is_said() -> None:
    (found,) = breaks({}, {"0.1.0": {"probe": OLD}}, topics=())
    assert "is gone" in found.message


@pytest.mark.parametrize(
    ("kind", "default", "is_sound"),
    [
        (["null", "string"], None, True),
        (["null", "string"], "", False),
        ("boolean", 0, False),
        ("long", 1, True),
        ("long", True, False),
        ({"type": "array", "items": "string"}, [], True),
        ({"type": "array", "items": "string"}, [1], False),
        ({"type": "map", "values": "long"}, {"a": "b"}, False),
        ("Line", {"sku": None, "quantity": 1}, False),
    ],
)
def test_a_default_must_fit_its_type(kind: Any, default: object, is_sound: bool) -> None:  # noqa: FBT001 -- a table's column
    schema = changed(lambda fields: fields.append({"name": "note", "type": kind, "default": default}))
    assert [fault.place for fault in unsound(schema)] == ([] if is_sound else ["note"])


@pytest.mark.parametrize(
    "strange",
    [
        {"type": "enum", "name": "Kind", "symbols": ["a"]},
        {"type": "fixed", "name": "Hash", "size": 4},
        {"type": "string", "logicalType": "uuid"},
    ],
)
def test_what_the_checker_does_not_know_is_refused_not_guessed_at(strange: dict[str, Any]) -> None:
    schema = changed(lambda fields: fields.append({"name": "strange", "type": strange}))
    with pytest.raises(ConfigurationError, match="at strange"):
        unreadable(schema, OLD)
    with pytest.raises(ConfigurationError, match="aliases"):
        unreadable(changed(lambda fields: fields[0].update(aliases=["key"])), OLD)


def test_the_baseline_has_no_contract_that_no_topic_carries() -> None:
    carried = {topic.schema for topic in TOPICS}
    assert all(set(contracts) <= carried for contracts in released().values())
