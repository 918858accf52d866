"""What a process answers over HTTP: its metrics, whether it moves, and whether what it needs is there."""

import json
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest

from deploy import stack as local_stack
from deploy.stack import Stack
from fluxion import kafka, postgres
from fluxion.errors import AccessDeniedError, ConfigurationError, DependencyDownError
from fluxion.health import Address, Health, serve
from fluxion.progress import Watchdog
from fluxion.schema_registry import SchemaRegistry
from tests.support.clocks import HandClock


@dataclass
class Bench:
    clock: HandClock
    dog: Watchdog
    down: bool = False
    asked: int = 0
    port: int = 0

    def probe(self) -> None:
        self.asked += 1
        if self.down:
            raise DependencyDownError("PostgreSQL does not answer", "check that it runs")

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def json(self, path: str) -> tuple[int, Any]:
        status, body = self.get(path)
        return status, json.loads(body)


@pytest.fixture
def bench() -> Bench:
    clock = HandClock()
    made = Bench(clock, Watchdog(clock, stall_s=60))
    port = serve(Health("sink", made.dog, {"PostgreSQL": made.probe}, clock), Address("127.0.0.1", 0))
    assert port is not None
    made.port = port
    return made


def test_metrics_are_prometheus_text_and_name_the_process(bench: Bench) -> None:
    status, body = bench.get("/metrics")
    assert status == 200
    assert 'fluxion_process_info{process="sink"' in body
    assert "# TYPE fluxion_end_to_end_seconds histogram" in body


def test_health_is_good_while_something_moves_and_says_what_hangs_since_when(bench: Bench) -> None:
    progress = bench.dog.watch("batches", end=lambda _: None)
    bench.dog.look()
    assert bench.json("/healthz")[0] == 200
    bench.clock.sleep(31)
    bench.dog.look()
    status, said = bench.json("/healthz")
    assert (status, said["ok"], said["process"]) == (503, False, "sink")
    assert said["work"]["batches"] == {
        "hangs": True,
        "since": "1970-01-01T00:01:40+00:00",
        "seconds": 31.0,
        "waits_for": None,
    }
    progress.waiting("Kafka", "no broker")
    bench.dog.look()
    status, said = bench.json("/healthz")
    assert (status, said["work"]["batches"]["hangs"]) == (200, False)
    assert said["work"]["batches"]["waits_for"] == {"dependency": "Kafka", "reason": "no broker"}


def test_readiness_names_each_dependency_and_asks_it_at_most_every_two_seconds(bench: Bench) -> None:
    assert bench.json("/readyz") == (200, bench.json("/readyz")[1])
    assert bench.asked == 1
    bench.down = True
    bench.clock.sleep(2)
    status, said = bench.json("/readyz")
    assert status == 503
    assert said["dependencies"] == {
        "PostgreSQL": {"answers": False, "reason": "PostgreSQL does not answer", "mend": "check that it runs"}
    }


def test_another_path_says_which_there_are(bench: Bench) -> None:
    assert bench.get("/")[0] == 404
    assert "/healthz" in bench.get("/")[1]


def test_without_a_port_nothing_listens(bench: Bench) -> None:
    assert serve(Health("sink", bench.dog, {}, bench.clock), Address("127.0.0.1", None)) is None


def test_a_port_that_is_taken_is_refused_with_its_mend(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"{taken}.*--metrics-port"):
            serve(Health("sink", bench.dog, {}, bench.clock), Address("127.0.0.1", taken))


@pytest.mark.timeout(180)
def test_the_probes_see_the_real_services_come_and_go(stack: Stack) -> None:
    registry = SchemaRegistry(stack.registry)
    ask = {
        "kafka": kafka.probe(stack.kafka),
        "registry": registry.answers,
        "postgres": postgres.probe(stack.postgres, "fluxion_owner"),
    }
    for probe in ask.values():
        probe()
    local_stack.stop(stack.home, "registry")
    try:
        with pytest.raises(DependencyDownError, match="schema registry"):
            ask["registry"]()  # although its client would wait
    finally:
        local_stack.start(stack.home, "registry")
    with pytest.raises(DependencyDownError, match="Kafka"):
        kafka.probe("127.0.0.1:1")()
    with pytest.raises(AccessDeniedError):
        postgres.probe(stack.postgres.replace("fluxion_owner:fluxion_owner", "fluxion_owner:wrong"), "x")()
