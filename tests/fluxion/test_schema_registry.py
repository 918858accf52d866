"""A registry that is down delays and never loses; what it once answered is not asked again."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from structlog.testing import capture_logs

from deploy import stack as local_stack
from deploy.stack import Stack
from fluxion.errors import ConfigurationError, DependencyDownError
from fluxion.progress import Progress
from fluxion.schema_registry import SchemaRegistry
from tests.support.clocks import HandClock

TEXT = json.dumps({"type": "record", "name": "Probe", "fields": [{"name": "id", "type": "long"}]})


def test_ids_and_texts_come_back_and_the_same_text_is_the_same_id(stack: Stack) -> None:
    registry = SchemaRegistry(stack.registry, wait=False)
    schema_id = registry.register("probe-value", TEXT, "BACKWARD")
    assert SchemaRegistry(stack.registry, wait=False).register("probe-value", TEXT, "BACKWARD") == schema_id
    assert registry.schema_id("probe-value", TEXT) == schema_id
    assert json.loads(registry.schema_text(schema_id)) == json.loads(TEXT)


def test_an_incompatible_change_is_refused(stack: Stack) -> None:
    registry = SchemaRegistry(stack.registry, wait=False)
    registry.register("strict-value", TEXT, "BACKWARD")
    changed = TEXT.replace('"long"', '"string"')
    with pytest.raises(ConfigurationError, match="compatible"):
        registry.register("strict-value", changed, "BACKWARD")


def test_an_unknown_schema_names_the_command_that_mends_it(stack: Stack) -> None:
    with pytest.raises(ConfigurationError, match="fluxion schemas register"):
        SchemaRegistry(stack.registry, wait=False).schema_id("nobody-value", TEXT)


@pytest.mark.timeout(180)
def test_a_look_up_waits_for_a_registry_that_is_down_and_then_never_asks_again(stack: Stack) -> None:
    patient = SchemaRegistry(stack.registry)
    schema_id = patient.register("late-value", TEXT, "BACKWARD")
    local_stack.stop(stack.home, "registry")
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(SchemaRegistry(stack.registry).schema_text(schema_id)))
    try:
        with pytest.raises(DependencyDownError):
            SchemaRegistry(stack.registry, wait=False).schema_text(schema_id)
        asking.start()
        asking.join(2)
        assert asking.is_alive()
        assert answers == []
    finally:
        local_stack.start(stack.home, "registry")
    asking.join(60)
    assert json.loads(answers[0]) == json.loads(TEXT)


def test_an_address_that_is_no_registry_is_said_so(stack: Stack) -> None:
    elsewhere = stack.registry.removesuffix("/apis/ccompat/v7")
    with pytest.raises(ConfigurationError, match="no schema registry"):
        SchemaRegistry(elsewhere, wait=False).schema_id("any-value", TEXT)


class Failing(BaseHTTPRequestHandler):
    """Answers 500 as a registry does that lost its database."""

    def do_GET(self) -> None:
        self.send_error(500, "database is gone")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def failing_registry() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_registry_that_fails_is_down_and_not_our_mistake(failing_registry: str) -> None:
    with pytest.raises(DependencyDownError, match="database is gone"):
        SchemaRegistry(failing_registry, wait=False).schema_text(1)


def test_a_wait_is_said_at_once_and_then_every_ten_seconds() -> None:
    clock = HandClock()

    def nap(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now > 121:
            raise InterruptedError

    progress = Progress(clock)
    registry = SchemaRegistry("http://127.0.0.1:1", sleep=nap, waiting=progress.waiting)
    with capture_logs() as lines, pytest.raises(InterruptedError):
        registry.schema_text(1)
    assert [line["dependency"] for line in lines] == ["schema registry"] * 3
    assert progress.count == 22
