import json
import threading
import time
import uuid
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from deploy.demo.line import Line
from fluxion.clock import SystemClock
from fluxion.errors import ConfigurationError, SourceNotReadyError
from fluxion.schema_registry import SchemaRegistry
from producers import status
from producers.job import Job
from producers.layouts import Layouts
from producers.note import Note, read_note
from producers.runs import Run
from producers.status import WAITING_EVENTS, Reporter
from schemas.codec import Decoder, schema_text
from schemas.records import Column, Layout
from schemas.status import Status
from schemas.topics import STATUS
from tests.conftest import Cloud
from tests.producers.captures import ITEMS, StillClock
from tests.producers.shipping import until, values_on
from tests.support.local import free_base_port


def run(reporter: Reporter, ending: threading.Event, seconds: float) -> None:
    thread = threading.Thread(target=reporter.run, args=[lambda: {"unshipped": 3}])
    thread.start()
    time.sleep(seconds)
    ending.set()
    thread.join(10)
    assert not thread.is_alive()


def test_events_reach_the_topic_in_order_also_the_last_one_before_the_end(cloud: Cloud) -> None:
    system_id, ending = str(uuid.uuid4()), threading.Event()
    registry = SchemaRegistry(cloud.stack.registry)
    clock = SystemClock()

    def schema_id() -> int:
        return registry.schema_id(STATUS.subject, schema_text("status"))

    reporter = Reporter(system_id, cloud.stack.kafka, schema_id, clock, ending)
    reporter.identify("journal", 7)
    reporter.say("position_lost", fault=SourceNotReadyError("it is gone", "read it again"), table="items")
    threading.Timer(1.0, lambda: reporter.say("job_failed", rows=5)).start()
    run(reporter, ending, 1.0)
    decode = Decoder("status", Status, registry.schema_text)
    events = [decode(value) for value in values_on(cloud, STATUS.name, system_id)]
    lost, beat, failed = sorted(
        events, key=lambda event: ["position_lost", "heartbeat", "job_failed"].index(event.kind)
    )
    assert (lost.code, lost.message, lost.mend) == ("SOURCE_NOT_READY", "it is gone", "read it again")
    assert (lost.system_id, lost.table, lost.journal_id, lost.epoch) == (system_id, "items", "journal", 7)
    assert json.loads(beat.detail or "") == {"unshipped": 3}
    assert failed.rows == 5
    assert events.index(lost) < events.index(failed)


def test_without_kafka_or_contract_nothing_waits_and_only_the_newest_are_kept() -> None:
    ending = threading.Event()

    def unknown() -> int:
        raise ConfigurationError("the contract is not registered", "register it")

    reporter = Reporter("s", "127.0.0.1:1", unknown, SystemClock(), ending)
    began = time.monotonic()
    for number in range(WAITING_EVENTS + 10):
        reporter.say("source_error", rows=number)
    assert time.monotonic() - began < 2
    run(reporter, ending, 0.3)
    assert reporter._events[0].rows == 11, "the oldest made way, one for the heartbeat"
    assert [event.kind for event in reporter._events].count("heartbeat") == 1
    # A Kafka that is away takes nothing either.
    ending = threading.Event()
    away = Reporter("s", "127.0.0.1:1", lambda: 1, SystemClock(), ending)
    away.say("source_error")
    run(away, ending, 0.3)


def reported(cloud: Cloud, system_id: str) -> list[str]:
    """The kinds that the topic holds of a system."""
    decode = Decoder("status", Status, SchemaRegistry(cloud.stack.registry).schema_text)
    return [decode(value).kind for value in values_on(cloud, STATUS.name, system_id)]


def registered(cloud: Cloud) -> int:
    return SchemaRegistry(cloud.stack.registry).schema_id(STATUS.subject, schema_text("status"))


def test_what_a_dead_line_did_not_take_is_sent_when_it_is_back_but_for_what_is_outdated(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "TIMEOUT_MS", 300)
    system_id, ending, port = str(uuid.uuid4()), threading.Event(), free_base_port()
    line = Line(port, int(cloud.stack.kafka.rpartition(":")[2]))
    line.cut()
    line.open()
    reporter = Reporter(system_id, f"127.0.0.1:{port}", lambda: registered(cloud), SystemClock(), ending)
    thread = threading.Thread(target=reporter.run, args=[lambda: {"unshipped": 3}])
    thread.start()
    try:
        until(lambda: reporter._producer is not None and not reporter._events, "the heartbeat is gone")
        reporter.say("source_error", rows=7)
        reporter.say("job_progress", rows=7)
        until(lambda: not reporter._events, "in the producer's hands")
        until(lambda: [event.kind for event in reporter._events] == ["source_error"], "back in the line")
        line.mend()
        until(lambda: reported(cloud, system_id) == ["source_error"], "arrived")
    finally:
        ending.set()
        thread.join(10)
        line.close()
    assert not thread.is_alive()


def test_a_producer_that_is_broken_for_good_makes_way_for_another(cloud: Cloud) -> None:
    system_id, ending = str(uuid.uuid4()), threading.Event()
    reporter = Reporter(system_id, cloud.stack.kafka, lambda: registered(cloud), SystemClock(), ending)
    reporter.say("source_error")
    reporter._send_all()
    broken = reporter._producer
    broken.flush(10)
    reporter.say("source_recovered")
    event = reporter._events.popleft()
    fatal = KafkaError(KafkaError._FATAL, "an epoch too old", True)  # noqa: FBT003 -- its third place is `fatal`
    reporter._report(event)(fatal, None)
    run(reporter, ending, 0)
    assert reporter._producer is not broken
    assert [kind for kind in reported(cloud, system_id) if kind != "heartbeat"] == ["source_error", "source_recovered"]


def test_a_heartbeat_that_still_waits_makes_way_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "HEARTBEAT_S", 0.0)
    monkeypatch.setattr(status, "_AGAIN_S", 0.01)
    ending = threading.Event()

    def unknown() -> int:
        raise ConfigurationError("the contract is not registered", "register it")

    reporter = Reporter("s", "127.0.0.1:1", unknown, SystemClock(), ending)
    reporter.say("source_error")
    run(reporter, ending, 0.8)
    assert [event.kind for event in reporter._events] == ["source_error", "heartbeat"]


def test_progress_is_said_every_2_s_at_most_with_rate_and_seconds_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, said = StillClock(), []
    work = Run(3, "first", ["items"], {}, "somewhere", "start", 1_000, 5, 1)

    def say(kind: str, **fields: object) -> None:
        said.append((kind, fields))

    def made(total: int) -> Job:
        return Job(work, "6d252574-941f-4081-aac4-ee8d7bf1a584", total, say, Note(tmp_path), clock)

    job = made(11_000)
    job.started()
    for _ in range(40):
        clock.sleep(0.5)
        job.moved("items", 100)
    assert [kind for kind, _ in said] == ["job_started", *["job_progress"] * 10]
    assert "reading" not in capsys.readouterr().out
    assert said[0][1]["rows"] == 1_000
    assert json.loads(str(said[0][1]["detail"])) == {"snapshot": "first", "tables": ["items"], "resumed": True}
    last = said[-1][1]
    assert (last["rows"], last["total"], last["rate"], last["seconds_left"]) == (5_000, 11_000, 200, 30)
    assert read_note(tmp_path)["job"]["rows"] == 5_000
    clock.sleep(10)
    job.moved("items", 0)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "reading" in line]
    assert "rows=5000" in line, "the log has it every 30 s"
    job.failed(SourceNotReadyError("no", "do"))
    job.finished()
    assert said[-1][1]["rows"] == said[-1][1]["total"] == 5_000
    assert read_note(tmp_path)["job"] is None
    again = made(10)
    again.started()
    assert said[-1][1]["job"] == said[0][1]["job"], "the same run is the same job, also after a crash"
    assert int(str(said[-1][1]["total"])) == 1_000, "an estimate that is too low gives way"


def test_a_layout_that_changed_is_said_once_also_over_a_restart(tmp_path: Path) -> None:
    wider = Layout("items", ["id"], [*ITEMS.columns, Column("price", "decimal")])
    layouts = Layouts(tmp_path)
    assert layouts.changes([ITEMS]) == []
    assert [change.message for change in Layouts(tmp_path).changes([wider])] == ["table items has changed: price added"]
    other = Layout("items", ["id", "name"], [Column("id", "text"), Column("name", "text")])
    (change,) = Layouts(tmp_path).changes([other, other])[:1]
    assert change.message == "table items has changed: price gone; id (text) of another type; its key is id, name"
    turned = Layout("items", ["id", "name"], other.columns[::-1])
    assert [change.message for change in layouts.changes([turned])]
    assert Layouts(tmp_path).changes([turned]) == []
    (tmp_path / "layouts.json").write_text("nonsense")
    assert Layouts(tmp_path).changes([turned]) == []
