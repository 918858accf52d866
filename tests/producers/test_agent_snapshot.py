"""Snapshots by the real agent: killed in the middle, asked for again, begun anew where the log is lost."""

import itertools
import json
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from fluxion.clock import SystemClock
from producers.home import JOURNAL
from producers.journal import Journal
from tests.conftest import Cloud
from tests.producers.conftest import Shop
from tests.producers.shipping import records_of
from tests.producers.till import SCHEMA, Till, seen_as_stored, sell, shipped, statuses_of, stored, until

pytestmark = pytest.mark.processes

TABLES = ("transactions", "transaction_details", "stock", "items", "categories")


@pytest.fixture
def till(cloud: Cloud, shop: Shop, tmp_path: Path) -> Till:
    shop.run(*SCHEMA.split(";"))
    return Till(cloud, shop, tmp_path / "agent")


@contextmanager
def selling(till: Till, first: int = 1) -> Iterator[None]:
    done = threading.Event()
    seller = threading.Thread(target=sell, args=[till.shop, iter(range(first, 10**6)), done])
    seller.start()
    try:
        yield
    finally:
        done.set()
        seller.join()


def without_log(shop: Shop, *statements: str) -> None:
    """Do what the log will never tell: as if it had been purged, or a cascade had done it."""
    shop.run("set sql_log_bin = 0", *statements)


def kinds(till: Till) -> list[str]:
    return [event.kind for event in statuses_of(till) if event.kind != "heartbeat"]


def test_a_first_snapshot_killed_in_the_middle_goes_on_where_it_stood_and_ends_equal(till: Till) -> None:
    till.shop.run("insert into items select seq, concat('C', seq), 'x', 1, 1, null, 'Y' from seq_1_to_40000")
    with selling(till):
        for rows in (8_000, 20_000):
            with till.running() as agent:
                until(lambda: till.standing()["rows"] > rows, "some chunks")  # noqa: B023 -- asked in this turn only
                agent.send_signal(signal.SIGKILL)
            assert till.standing()["snapshot"] == "under way", "it was killed too late to show anything"
    with till.at_work():
        till.wait_until_current()
    found = seen_as_stored(till, *TABLES[:3])
    assert len([key for key in found if key[0] == "items"]) == 40_000
    records = records_of(till.cloud, till.system_id)
    read = [row for record in records for row in record.rows if row.op == "r"]
    assert len(read) < 40_000 + 10_000, "what was stored is not read again"
    assert sorted(end.table for record in records for end in record.ends) == sorted(TABLES)
    events = statuses_of(till)
    jobs = [event for event in events if event.job]
    assert len({event.job for event in jobs}) == 1
    assert jobs[-1].kind == "job_finished"
    assert (jobs[-1].rows or 0) > 40_000
    assert any(event.kind == "heartbeat" and "acknowledged" in (event.detail or "") for event in events)


def test_tables_read_again_beside_the_stream_while_it_is_killed_and_the_shop_sells_end_equal(till: Till) -> None:
    till.shop.run("insert into items select seq, concat('C', seq), 'x', 1, 1, null, 'Y' from seq_1_to_12000")
    with till.at_work():
        till.wait_until_current()
    # Nobody saw these: neither the agent nor the log.
    without_log(till.shop, "delete from items where item_id between 100 and 4000", "update items set item_name = 'z'")
    without_log(
        till.shop,
        "delete from stock where item_id > 790",
        "insert into items values (50000, 'N', 'n', 1, 1, null, 'Y')",
    )
    assert till.fluxion("agent", "resnapshot", "--home", str(till.home), "--table", "stock").returncode == 0
    with selling(till):
        with till.running() as agent:
            until(lambda: till.standing()["doing"] == "streaming" and till.standing()["job"] is None, "stock is read")
            till.fluxion("agent", "resnapshot", "--home", str(till.home))
            until(lambda: run_of(till) > 3_000, "in the middle of it")
            agent.send_signal(signal.SIGKILL)
        with till.at_work():
            assert run_of(till) > 3_000, "it was killed too late to show anything"
            until(lambda: run_of(till) < 0, "all is read")
    with till.at_work():
        till.wait_until_current()
    seen = seen_as_stored(till, *TABLES[:3])
    found = {key[1]: values for key, values in seen.items() if key[0] == "items"}
    assert found.keys() == {row[0] for row in stored(till, "items")}
    assert {values[2] for values in found.values()} == {"z", "n"}
    with pytest.raises(AssertionError, match="does not capture nothing"):
        till.fluxion("agent", "resnapshot", "--home", str(till.home), "--table", "nothing")


def run_of(till: Till) -> int:
    """How many rows of a run are stored; -1 where every run is whole."""
    with closing(Journal(till.home / JOURNAL, SystemClock())) as journal:
        run = journal.run()
        return run.rows if run is not None else -1


def lose_the_log(till: Till) -> None:
    """While the agent is away: a sale, one that goes, and the log of both is purged."""
    till.shop.run("delete from stock where item_id in (1, 2, 3)", "flush binary logs")
    till.shop.run("insert into stock values (9999, 1, 5)", "flush binary logs")
    till.shop.run(f"purge binary logs to '{till.shop.run('show binary logs')[-1][0]}'")


def test_a_purged_log_is_a_new_snapshot_by_policy_and_what_went_in_the_gap_is_not_forgotten(till: Till) -> None:
    with till.at_work():
        till.wait_until_current()
    lose_the_log(till)
    with till.at_work():
        till.wait_until_current()
        until(lambda: "position_lost" in kinds(till), "it is said")
    seen_as_stored(till, "stock")
    said = kinds(till)
    assert said.index("position_lost") < len(said) - 1 - said[::-1].index("job_started")


def test_by_the_other_policy_it_waits_for_a_person_and_stays_alive(till: Till) -> None:
    path = till.home / "agent.toml"
    path.write_text(path.read_text().replace('position_lost = "resnapshot"', 'position_lost = "wait"'))
    with till.at_work():
        till.wait_until_current()
    lose_the_log(till)
    with till.at_work():
        until(lambda: till.standing()["doing"] == "waiting", "it waits")
        assert "fluxion agent resnapshot" in str(till.standing()["reason"])
        before = till.standing()["rows"]
        refused = till.fluxion("agent", "resnapshot", "--home", str(till.home), "--table", "stock", check=False)
        assert refused.returncode == 78
        assert till.standing()["rows"] == before
        till.fluxion("agent", "resnapshot", "--home", str(till.home))
        until(lambda: till.standing()["doing"] == "streaming", "it goes on")
        till.wait_until_current()
    seen_as_stored(till, "stock")


def test_another_database_always_waits_for_a_person(till: Till) -> None:
    with till.at_work():
        till.wait_until_current()
    # The server's identity is its host and folder; here the stored one is changed instead.
    with sqlite3.connect(till.home / "journal.db") as link:
        ((position,),) = link.execute("select stream_position from state").fetchall()
        link.execute(
            "update state set stream_position = ?", [json.dumps({**json.loads(position), "server": "elsewhere"})]
        )
    till.shop.run("delete from stock where item_id < 10")
    with till.at_work():
        until(lambda: till.standing()["doing"] == "waiting", "it waits")
        assert "another MariaDB server" in str(till.standing()["reason"])
        until(lambda: "position_lost" in kinds(till), "it is said")
    assert till.fluxion("agent", "resnapshot", "--home", str(till.home)).stdout.startswith("a first snapshot")
    with till.at_work():
        till.wait_until_current()
    seen_as_stored(till, "stock")


def test_a_journal_that_was_put_back_from_a_copy_is_begun_anew_by_the_same_agent(till: Till) -> None:
    with till.at_work():
        till.wait_until_current()
    kept = {path.name: path.read_bytes() for path in till.home.glob(f"{JOURNAL}*")}
    before = till.standing()["journal_id"]
    till.shop.run("delete from stock where item_id < 50")
    with till.at_work():
        till.wait_until_current()
    for name, content in kept.items():
        (till.home / name).write_bytes(content)
    till.shop.run("delete from stock where item_id > 750")
    with till.at_work() as agent:
        until(lambda: (till.home / f"{JOURNAL}.copy-1").exists() and (till.home / JOURNAL).exists(), "it is set aside")
        assert till.standing()["journal_id"] != before
        till.wait_until_current()
        assert agent.runs
    seen_as_stored(till, "stock")
    assert list(till.home.glob(f"{JOURNAL}.copy-1"))


def test_a_new_column_is_said_and_history_days_bounds_the_first_load(till: Till) -> None:
    till.shop.run(
        "insert into transactions select seq, concat('F', seq), now() - interval seq day, 1, 1, 1, 1 from seq_1_to_200",
        "insert into transaction_details (trans_id, item_code, qty, unit_price) select seq, 'A', 1, 1 from seq_1_to_200",
    )
    with till.at_work():
        till.wait_until_current()
        till.shop.run("alter table stock add column note varchar(9)", "update stock set note = 'x' where item_id = 1")
        until(lambda: "schema_changed" in kinds(till), "it is said")
    (said,) = [event for event in statuses_of(till) if event.kind == "schema_changed"]
    assert said.table == "stock"
    assert said.message == "table stock has changed: note added"
    found = list(shipped(till))
    numbers = {int(key[1]) for key in found if key[0] == "transactions"}
    assert set(range(1, 89)) <= numbers <= set(range(1, 92))
    assert len([key for key in found if key[0] == "transaction_details"]) == len(numbers)
    ends = {end.table: end for record in records_of(till.cloud, till.system_id) for end in record.ends}
    assert {table for table, end in ends.items() if end.since} == {"transactions", "transaction_details"}
    assert list(itertools.islice(ends, len(TABLES)))[-1] == "transaction_details"
