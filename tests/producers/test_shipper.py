from pathlib import Path

import pytest

from fluxion.clock import SystemClock
from producers.journal import Journal
from producers.packing import MAX_ROWS
from schemas.identity import version_of
from tests.conftest import Cloud
from tests.producers.captures import change, part, streaming
from tests.producers.shipping import asked, records_of, registered_system, sessions_of, shipping, state_of, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    journal = streaming(path, SystemClock())
    journal.append([change(f"p{number}", [f"{number}"] * 3) for number in range(400)])
    journal.append([change("large", ["x"] * 1200)])
    journal.close()
    return path


@pytest.fixture
def system_id(cloud: Cloud) -> str:
    return registered_system(cloud.stack.postgres)


def test_everything_arrives_in_order_and_is_acknowledged(cloud: Cloud, path: Path, system_id: str) -> None:
    with shipping(cloud, path, system_id) as one:
        one.wait_until_shipped()
        journal = Journal(path, SystemClock())
        journal.append([change("last", ["z"])])
        journal.close()
        one.wake()
        one.wait_until_shipped()
    records = records_of(cloud, system_id)
    assert [row.version for record in records for row in record.rows] == [version_of(1, n) for n in range(2, 2404)]
    places = [(record.sequence, record.part) for record in records]
    assert places == sorted(set(places))
    assert records[-1].position == "last"
    assert [record.last_part for record in records if record.sequence == 402] == [False, False, True]
    assert [end.first_version for record in records for end in record.ends] == [version_of(1, 1)]
    assert sessions_of(cloud.stack.postgres, system_id) == [("caja-1", 403, False)], "noted at the stop at the latest"


def test_what_kafka_has_is_noted_in_postgresql_while_the_shipper_runs(cloud: Cloud, path: Path, system_id: str) -> None:
    with shipping(cloud, path, system_id):
        until(lambda: sessions_of(cloud.stack.postgres, system_id) == [("caja-1", 402, False)], "noted")
    assert asked(cloud.stack.postgres, "select epoch from pos_integration.pos_systems where id = %s", system_id) == [
        (1,)
    ]
    assert state_of(path).epoch == 1


def test_parts_are_shipped_as_they_come_and_go_on_after_a_restart(cloud: Cloud, path: Path, system_id: str) -> None:
    journal = Journal(path, SystemClock())
    journal.append([part("large", ["a"] * (MAX_ROWS + 1), 0)])
    with shipping(cloud, path, system_id) as one:
        one.wait_until_shipped()
    journal.append([part("large", ["b"], 1), part("end", ["c"], 2, last=True), change("next", ["d"])])
    journal.close()
    with shipping(cloud, path, system_id) as one:
        one.wait_until_shipped()
    found = [(one.sequence, one.part, one.last_part, one.position) for one in records_of(cloud, system_id)]
    assert found[-5:] == [
        (403, 0, False, "large"),
        (403, 1, False, "large"),
        (404, 2, False, "large"),
        (405, 3, True, "end"),
        (406, 0, True, "next"),
    ]
    assert len(sessions_of(cloud.stack.postgres, system_id)) == 2


def test_nothing_is_acknowledged_that_kafka_did_not_take(cloud: Cloud, path: Path, system_id: str) -> None:
    with shipping(cloud, path, system_id, servers="127.0.0.1:1"):
        until(lambda: state_of(path).epoch is not None, "in session")
        assert state_of(path).unshipped == 402
    assert state_of(path).unshipped == 402
    assert sessions_of(cloud.stack.postgres, system_id) == [("caja-1", 0, False)]


def test_without_postgresql_nothing_is_shipped_and_the_stop_does_not_wait(
    cloud: Cloud, path: Path, system_id: str
) -> None:
    with shipping(cloud, path, system_id, database="postgresql://nobody@127.0.0.1:1/none"):
        until(lambda: True, "started")
    assert state_of(path).unshipped == 402
    assert records_of(cloud, system_id) == []


def test_a_rewound_journal_ships_the_same_again_in_a_session_of_its_own(
    cloud: Cloud, path: Path, system_id: str
) -> None:
    with shipping(cloud, path, system_id) as one:
        one.wait_until_shipped()
    before = records_of(cloud, system_id)
    journal = Journal(path, SystemClock())
    journal.rewind_to_sequence(402)
    journal.close()
    with shipping(cloud, path, system_id) as one:
        one.wait_until_shipped()
    after = records_of(cloud, system_id)[len(before) :]
    assert after == before[-3:], "not taken for a restored copy: the cloud knows no more than the journal holds"
    assert sessions_of(cloud.stack.postgres, system_id) == [("caja-1", 402, True), ("caja-1", 402, False)]
