import json
import threading
import time
import uuid
from pathlib import Path

from fluxion.clock import SystemClock
from fluxion.errors import ConfigurationError, SourceNotReadyError
from fluxion.schema_registry import SchemaRegistry
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
from tests.producers.shipping import values_on


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


def test_progress_is_said_every_2_s_at_most_with_rate_and_seconds_left(tmp_path: Path) -> None:
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
    assert said[0][1]["rows"] == 1_000
    assert json.loads(str(said[0][1]["detail"])) == {"snapshot": "first", "tables": ["items"], "resumed": True}
    last = said[-1][1]
    assert (last["rows"], last["total"], last["rate"], last["seconds_left"]) == (5_000, 11_000, 200, 30)
    assert read_note(tmp_path)["job"]["rows"] == 5_000
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
