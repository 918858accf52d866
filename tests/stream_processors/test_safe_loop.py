"""The processor as a real process on real Kafka: all that goes in comes out, whatever ends the worker."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from deploy import stack
from schemas.mapping import load, resolve
from schemas.records import CanonicalSet
from tests.conftest import Cloud
from tests.stream_processors.cloud_side import Topics, new_store, new_system, save, set_mapping, worker
from tests.stream_processors.sets import DETAILS, LINE, SALE, TRANSACTIONS, cells, change_set, layout
from tests.support import local
from tests.support.local import fluxion

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

SYSTEMS, SALES, RATE = 3, 1500, 250.0
ENOUGH_S = 60.0


@pytest.fixture
def topics(cloud: Cloud) -> Iterator[Topics]:
    both = Topics(cloud.stack.kafka, cloud.stack.registry)
    yield both
    both.close()


def send_sale(topics: Topics, system_id: str, number: int, store: str = "1") -> None:
    key = str(number)
    topics.send(
        change_set(
            (TRANSACTIONS, "c", 0, cells(TRANSACTIONS, SALE, trans_id=key, location_id=store)),
            (DETAILS, "c", 0, cells(DETAILS, LINE, detail_id=key, trans_id=key)),
            system_id=system_id,
        )
    )


FIRST = 999_999


def sales_of(made: list[CanonicalSet], system_id: str) -> list[int]:
    """The numbers of a system's sales, each at its first appearance, in order."""
    numbers = [
        int(sale.header.external_id)
        for one in made
        if one.system_id == system_id
        for sale in one.sales
        if sale.header is not None
    ]
    return list(dict.fromkeys(numbers))


def test_kill_9_in_the_middle_of_load_loses_nothing(cloud: Cloud, topics: Topics, tmp_path: Path) -> None:
    systems = [new_system(cloud.stack.postgres) for _ in range(SYSTEMS)]

    def sell() -> None:
        for number in range(SALES):
            send_sale(topics, systems[number % SYSTEMS], number)
            time.sleep(1 / RATE)
        topics.flush()

    selling = threading.Thread(target=sell)
    with worker(cloud.environment, tmp_path) as first:
        send_sale(topics, systems[0], FIRST)
        assert len(topics.read(set(systems), 1, ENOUGH_S)) == 1
        selling.start()
        before = topics.read(set(systems), SALES // 3, ENOUGH_S)
        first.kill()
    with worker(cloud.environment, tmp_path) as second:
        selling.join()
        made = topics.read(set(systems), SALES, ENOUGH_S, before)
        assert second.stop() == 0, second.log.read_text()
    for index, system_id in enumerate(systems):
        expected = list(range(index, SALES, SYSTEMS))
        # The first one may come again: the kill may come before its acknowledgement.
        told = [number for number in sales_of(made, system_id) if number != FIRST]
        assert told == expected, second.log.read_text()
    assert not any(one.quarantined for one in made)


def test_an_orderly_stop_repeats_nothing(cloud: Cloud, topics: Topics, tmp_path: Path) -> None:
    system_id = new_system(cloud.stack.postgres)
    made: list[CanonicalSet] = []
    for start in (0, 50):
        with worker(cloud.environment, tmp_path) as running:
            for number in range(start, start + 50):
                send_sale(topics, system_id, number)
            topics.flush()
            made += topics.read({system_id}, 50, ENOUGH_S)
            assert running.stop() == 0, running.log.read_text()
    assert [sale.header and sale.header.external_id for one in made for sale in one.sales] == [
        str(n) for n in range(100)
    ]
    assert (tmp_path / "work" / "work-0").read_bytes() == b""


def test_poison_is_set_aside_and_its_neighbours_go_on(cloud: Cloud, topics: Topics, tmp_path: Path) -> None:
    system_id, unknown = new_system(cloud.stack.postgres), "00000000-0000-4000-8000-000000000001"
    large = b"\x00" + bytes(5_300_000)
    # Its row goes to quarantine twice over, as text and as what a retry reads: more than Kafka takes.
    grows = change_set((layout("clientes", ["id"], id="integer", nota="text"), "c", 0, ["1", "x" * 5_000_000]))
    with worker(cloud.environment, tmp_path) as running:
        send_sale(topics, system_id, 1)
        topics.send(b"no change set", system_id)
        topics.send(b"\x00\x7f\xff\xff\xffunknown schema", system_id)
        topics.send(large, system_id)
        topics.send(replace(grows, system_id=system_id))
        send_sale(topics, system_id, 2)
        topics.send(change_set(system_id=unknown))
        send_sale(topics, system_id, 3)
        topics.flush()
        made = topics.read({system_id, unknown}, 8, ENOUGH_S)
        assert running.stop() == 0, running.log.read_text()
    assert sales_of(made, system_id) == [1, 2, 3]
    bad = [entry for one in made for entry in one.quarantined if one.system_id == system_id]
    assert [entry.code for entry in bad] == [*["UNREADABLE_RECORD"] * 3, "OUT_OF_RANGE"]
    assert (len(base64.b64decode(bad[3].raw)) > 5_000_000, "too many for Kafka" in bad[3].message) == (True, True)
    assert base64.b64decode(bad[0].raw) == b"no change set"
    assert "the schema registry does not know" in bad[1].message
    assert (bad[2].raw, "stays in pos.changes.v1" in bad[2].message) == ("", True)
    (stranger,) = (entry for one in made for entry in one.quarantined if one.system_id == unknown)
    assert (stranger.code, stranger.error_class) == ("UNKNOWN_SYSTEM", "MAPPING_ERROR")


def test_a_new_system_and_a_saved_mapping_are_taken_up_by_a_running_worker(
    cloud: Cloud, topics: Topics, tmp_path: Path
) -> None:
    broken = new_system(cloud.stack.postgres)
    with worker(cloud.environment, tmp_path) as running:
        send_sale(topics, broken, 1)
        (good,) = topics.read({broken}, 1, ENOUGH_S)
        assert len(good.sales) == 1
        set_mapping(cloud.stack.postgres, broken, "{}")
        fresh = new_system(cloud.stack.postgres)
        send_sale(topics, fresh, 1)
        assert len(topics.read({fresh}, 1, ENOUGH_S)[0].sales) == 1
        refused = until(topics, broken, lambda one: bool(one.quarantined))
        assert refused.quarantined[0].error_class == "MAPPING_ERROR"
        send_sale(topics, fresh, 2)
        assert len(topics.read({fresh}, 1, ENOUGH_S)[0].sales) == 1
        set_mapping(cloud.stack.postgres, broken, json.dumps(resolve(load("systimax"))))
        mended = until(topics, broken, lambda one: bool(one.sales))
        assert mended.mapping_revision > refused.mapping_revision > good.mapping_revision
        new_rules = resolve(load("systimax"))
        new_rules["sale"][0]["number"] = {"value": "as saved"}
        revision = save(cloud.stack.postgres, broken, new_rules)
        changed = until(topics, broken, lambda one: one.mapping_revision == revision)
        assert [sale.header.number for sale in changed.sales if sale.header] == ["as saved"]
        assert running.stop() == 0, running.log.read_text()


def test_a_sale_of_a_store_that_was_just_added_is_taken(cloud: Cloud, topics: Topics, tmp_path: Path) -> None:
    system_id = new_system(cloud.stack.postgres)
    with worker(cloud.environment, tmp_path) as running:
        send_sale(topics, system_id, 1)
        topics.read({system_id}, 1, ENOUGH_S)
        for number in ("3", "4", "5"):
            store_id = new_store(cloud.stack.postgres, system_id, number)
            send_sale(topics, system_id, int(number), number)
            (made,) = topics.read({system_id}, 1, ENOUGH_S)
            assert made.quarantined == []
            assert [sale.store_id for sale in made.sales] == [store_id]
            time.sleep(0.6)  # (the registry is read at most every 0.5 s for unknown stores)
        send_sale(topics, system_id, 6, "99")
        (made,) = topics.read({system_id}, 1, ENOUGH_S)
        assert [entry.code for entry in made.quarantined] == ["UNKNOWN_STORE"]
        assert running.stop() == 0, running.log.read_text()


def test_a_worker_stops_in_time_and_says_little_while_kafka_is_down(tmp_path: Path) -> None:
    with local.running_stack() as own:  # (a broker that comes back would disturb the other tests)
        environment = local.environment_of(own)
        for words in (("db", "migrate"), ("topics", "create"), ("schemas", "register")):
            fluxion(*words, environment=environment)
        topics, system_id = Topics(own.kafka, own.registry), new_system(own.postgres)
        with worker(environment, tmp_path) as running:
            send_sale(topics, system_id, 1)
            assert len(topics.read({system_id}, 1, ENOUGH_S)) == 1
            topics.close()
            stack.stop(own.home, "kafka")
            time.sleep(12)
            assert running.stop() == 0, running.log.read_text()
    log = running.log.read_text()
    assert "dependency=Kafka" in log
    assert "Traceback" not in log
    assert len(log.splitlines()) < 12, log


def test_sigterm_while_it_waits_for_its_dependencies_is_an_orderly_end(tmp_path: Path) -> None:
    nobody = {"FLUXION_KAFKA": "127.0.0.1:1", "FLUXION_DATABASE": "postgresql://nobody@127.0.0.1:1/none"}
    with worker(nobody | {"FLUXION_SCHEMA_REGISTRY": "http://127.0.0.1:1"}, tmp_path) as running:
        deadline = time.monotonic() + ENOUGH_S
        while "waiting" not in running.log.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert running.stop() == 0, running.log.read_text()


def until(topics: Topics, system_id: str, holds: Callable[[CanonicalSet], bool]) -> CanonicalSet:
    """Send sales until what comes out is as expected; the registry is polled every 2 s."""
    for number in range(100, 200):
        send_sale(topics, system_id, number)
        (one,) = topics.read({system_id}, 1, ENOUGH_S)
        if holds(one):
            return one
        time.sleep(0.2)
    raise AssertionError("the worker does not take up the change")


def test_a_wrong_password_is_one_sentence(cloud: Cloud, tmp_path: Path) -> None:
    wrong = cloud.environment | {
        "FLUXION_DATABASE": cloud.stack.postgres.replace("fluxion_owner:fluxion_owner", "fluxion_owner:wrong"),
        "FLUXION_WORK_DIR": str(tmp_path),
    }
    done = fluxion("processor", "run", environment=wrong, check=False)
    assert done.returncode == 78, done.stderr
    assert "refuses the login" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
