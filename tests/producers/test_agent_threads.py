"""The agent's threads beside each other: services that come late, a journal that is full, held or damaged, a second agent."""

import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from deploy.demo.line import Line
from fluxion.clock import SystemClock
from fluxion.errors import AccessDeniedError, ConfigurationError, TwoAgentsError
from fluxion.progress import Watchdog
from producers import agent, journal_file
from producers.enrol import enrol
from producers.home import JOURNAL, read_config
from producers.journal import prepare
from producers.retention import LOG_BYTES
from producers.standing import read_again
from tests.conftest import Cloud
from tests.producers.conftest import Shop
from tests.producers.till import SCHEMA, AtWork, Till, seen_as_stored, shipped, statuses_of, until
from tests.support.local import free_base_port


@pytest.fixture
def till(cloud: Cloud, shop: Shop, tmp_path: Path) -> Till:
    shop.run(*SCHEMA.split(";"))
    return Till(cloud, shop, tmp_path / "agent")


@contextmanager
def line(url: str) -> Iterator[tuple[Line, str]]:
    """A line to a service that is cut to begin with, and the service's address by way of it."""
    (target,) = re.findall(r":(\d+)/", url)
    port = free_base_port()
    one = Line(port, int(target))
    one.cut()
    one.open()
    try:
        yield one, url.replace(f":{target}/", f":{port}/")
    finally:
        one.close()


def told(till: Till, kind: str) -> list[str]:
    """The messages of a kind, with their mends."""
    return [f"{event.message}; {event.mend}" for event in statuses_of(till) if event.kind == kind]


# Services ------------------------------------------------------------------------------------------------------------


def test_services_that_come_late_are_waited_for_and_capture_does_not_wait(till: Till) -> None:
    stack = till.cloud.stack
    with (
        line(stack.registry) as (registry, schemas),
        line(stack.postgres) as (postgres, database),
        till.at_work(till.settings(schema_registry=schemas, database=database)) as one,
    ):
        until(lambda: till.standing()["doing"] == "streaming", "the shop is captured")
        till.shop.run("insert into categories values (1, 'early')")
        until(lambda: till.standing()["rows"] == 801, "the sale is captured")
        until(lambda: "PostgreSQL" in one.waits_for, "it says what it waits for")
        postgres.mend()
        until(lambda: "schema registry" in one.waits_for, "it says what it waits for now")
        assert till.standing()["acknowledged"] == 0
        registry.mend()
        till.wait_until_current()
        until(lambda: told(till, "heartbeat") != [], "the page hears of it")
    seen_as_stored(till, "stock", "categories")


@pytest.mark.parametrize(
    ("service", "place"),
    [
        ("PostgreSQL", {"database": "postgresql://u@127.0.0.1:1/d"}),
        ("schema registry", {"schema_registry": "http://127.0.0.1:1"}),
        ("Kafka", {"kafka": "127.0.0.1:1"}),
    ],
)
def test_it_ends_soon_while_it_waits_for_a_service_and_has_captured_what_there_was(
    till: Till, service: str, place: dict[str, str]
) -> None:
    with till.at_work(till.settings(**place)) as one:
        until(lambda: till.standing()["doing"] == "streaming", "the shop is captured")
        until(lambda: service in one.waits_for, "it says what it waits for")
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert (till.standing()["snapshot"], till.standing()["rows"]) == ("whole", 800)
    assert till.standing()["acknowledged"] == 0


def test_a_second_agent_ends_the_first_which_says_so(till: Till, tmp_path: Path) -> None:
    with till.at_work() as first:
        till.wait_until_current()
        enrol(till.cloud.stack.postgres, till.system_id, tmp_path / "two", {})
        second = AtWork(tmp_path / "two", read_config(tmp_path / "two"), till.settings())
        try:
            until(lambda: len(told(till, "job_finished")) == 2, "the second reads the shop")
            till.shop.run("insert into categories values (1, 'late')")
            fault = first.wait_for_its_end()
        finally:
            second.stop()
    assert isinstance(fault, TwoAgentsError)
    assert second.fault is None
    (said,) = told(till, "two_agents")
    assert fault.message in said
    with till.at_work() as first:
        assert isinstance(first.wait_for_its_end(), TwoAgentsError), "a new start does not take it back"


def test_an_account_that_loses_its_login_at_work_ends_the_agent_with_one_sentence(
    cloud: Cloud, shop: Shop, tmp_path: Path
) -> None:
    shop.run(*SCHEMA.split(";"))
    mine = shop.account("select on {database}.*", "replication slave on *.*")
    till = Till(cloud, mine, tmp_path / "agent")
    with till.at_work() as one:
        till.wait_until_current()
        dumps = till.dumps()  # it has entered with the old password
        mine.run(f"set password for {mine.user}@'%' = password('another')")
        mine.run(*(f"kill {thread}" for thread in dumps))
        fault = one.wait_for_its_end()
    assert isinstance(fault, AccessDeniedError)
    assert f"refuses the account '{mine.user}'" in fault.message
    assert f"{fault.message}; {fault.mend}" in told(till, "source_error")


# The journal ---------------------------------------------------------------------------------------------------------


def test_a_full_journal_makes_the_source_wait_says_so_and_goes_on_once_it_can_be_shipped(
    till: Till, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = LOG_BYTES + 4 * 1024 * 1024
    config = read_config(till.home).model_copy(update={"journal_bytes": budget})
    with line(till.cloud.stack.postgres) as (postgres, database):
        with till.at_work(till.settings(database=database), config) as one:
            until(lambda: till.standing()["doing"] == "streaming", "the shop is captured")
            till.shop.run(
                "insert into items select seq, 'C', repeat('x', 200), 1, 1, null, 'Y' from seq_1_to_20000",
                "insert into categories values (1, 'last')",
            )
            until(lambda: told(till, "journal_full") != [], "it says so")
            until(lambda: "journal" in one.waits_for, "the source waits")
            time.sleep(2.5)
            assert till.standing()["journal_bytes"] <= budget
            assert capsys.readouterr().out.count("the journal cannot be written") == 1, (
                "it tries each second and says so every 10 s"
            )
            postgres.mend()
            till.wait_until_current()
        assert all("journal_bytes in agent.toml" in full for full in told(till, "journal_full"))
        ends = [event.code for event in statuses_of(till) if event.kind == "source_recovered"]
        assert ends == ["JOURNAL_FULL"] * len(told(till, "journal_full")), "and that there is room again"
    found = seen_as_stored(till, "categories")
    assert len([key for key in found if key[0] == "items"]) == 20_000


def test_rows_with_large_values_do_not_fill_the_journal_and_arrive_without_them(till: Till) -> None:
    """Each would be three megabytes, and the budget holds two of them."""
    config = read_config(till.home).model_copy(update={"journal_bytes": LOG_BYTES + 8 * 1024 * 1024})
    till.shop.run("alter table categories add column photo longblob")
    with till.at_work(config=config):
        until(lambda: till.standing()["doing"] == "streaming", "the shop is captured")
        till.shop.run(
            *(f"insert into categories values ({n}, 'c{n}', repeat('x', 2500000))" for n in range(12)),
            "insert into categories values (99, 'small', 'x')",
        )
        till.wait_until_current()
        read_again(till.home, ["categories"], SystemClock())
        until(lambda: len(told(till, "job_finished")) == 2, "they are read again")
        till.wait_until_current()
    assert told(till, "journal_full") == []
    found = shipped(till)
    assert {found["categories", str(n)] for n in range(12)} == {(str(n), f"c{n}") for n in range(12)}
    assert found["categories", "99"] == ("99", "small", "eA==")
    (said,) = [text for text in told(till, "schema_changed") if "is not sent" in text]
    assert "bytes in categories.photo is not sent" in said


def test_what_was_not_stored_because_somebody_held_the_journal_is_read_again(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "_BUSY_TIMEOUT_S", 0.1)
    with closing(sqlite3.connect(till.home / JOURNAL, isolation_level=None)) as other:
        with till.at_work() as one:
            till.wait_until_current()
            other.execute("begin immediate")
            till.shop.run("insert into categories values (1, 'held')")
            until(lambda: "journal" in one.waits_for, "the source waits")
            other.execute("rollback")
            till.wait_until_current()
            other.execute("begin immediate")
            till.shop.run("insert into categories values (2, 'stopped')")
            until(lambda: "journal" in one.waits_for, "the source waits")
        other.execute("rollback")
    with till.at_work():
        till.wait_until_current()
    seen_as_stored(till, "categories")


def test_a_stop_while_the_journal_is_made_ready_begins_nothing(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    one = agent.Agent(till.home, read_config(till.home), till.settings(), clock, Watchdog(clock))

    def stopped(path: Path) -> None:
        prepare(path)
        one.stop()

    monkeypatch.setattr(agent, "prepare", stopped)
    one.run()
    assert till.standing()["doing"] is None
    assert till.standing()["sequence"] == 0
    assert statuses_of(till) == []


def test_a_journal_that_is_taken_away_at_the_start_ends_the_agent_with_one_sentence(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(path: Path) -> None:
        prepare(path)
        path.unlink()

    monkeypatch.setattr(agent, "prepare", taken)
    with till.at_work() as one:
        fault = one.wait_for_its_end()
    assert isinstance(fault, ConfigurationError)
    assert "there is no journal" in fault.message


def test_a_damaged_journal_is_set_aside_by_the_next_process_where_a_thread_still_has_it(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipper waits for a PostgreSQL that accepts and says nothing when another thread finds the damage."""
    monkeypatch.setattr(agent, "_JOIN_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d"
        with till.at_work(till.settings(database=database)) as one:
            until(lambda: till.standing()["doing"] == "streaming", "the shop is captured")
            connection, _ = silent.accept()
            with connection:
                damage(till)
                fault = one.wait_for_its_end()
    assert isinstance(fault, RuntimeError)
    assert list(till.home.glob(f"{JOURNAL}.damaged*")) == []
    until(lambda: all(thread.name != "shipper" for thread in threading.enumerate()), "the shipper's thread has ended")
    with till.at_work():
        until(lambda: set_aside(till), "it is set aside")
        till.wait_until_current()
    seen_as_stored(till, "stock")


def test_a_damage_that_is_found_while_tables_are_read_is_no_lost_source(till: Till) -> None:
    with till.at_work() as one:
        till.wait_until_current()
        before = till.standing()["journal_id"]
        damage(till)
        until(lambda: set_aside(till), "it is set aside")
        till.wait_until_current()
        assert one.runs
        assert till.standing()["journal_id"] != before
    assert told(till, "source_error") == []
    seen_as_stored(till, "stock")


def set_aside(till: Till) -> bool:
    """Whether the damaged journal is away and there is another."""
    return (till.home / f"{JOURNAL}.damaged-1").exists() and (till.home / JOURNAL).exists()


def damage(till: Till) -> None:
    """A run whose tables are no JSON, as a rotten page has it."""
    with closing(sqlite3.connect(till.home / JOURNAL)) as link, link:
        link.execute("insert into runs (kind, tables, bounds, started_at) values ('again', 'rotten', '{}', 1)")
