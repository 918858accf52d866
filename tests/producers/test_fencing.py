"""Two agents, copied and restored journals: with real Kafka transactions and sessions in a real PostgreSQL."""

import shutil
import time
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from deploy.demo.line import Line
from fluxion.clock import SystemClock
from fluxion.errors import TwoAgentsError
from fluxion.postgres import STAGE, connect
from fluxion.transactions import BatchProducer
from producers import session
from producers.journal import Journal, JournalSetAsideError, prepare
from schemas.identity import version_of
from schemas.topics import CHANGES
from tests.conftest import Cloud
from tests.producers.captures import change, streaming
from tests.producers.shipping import (
    asked,
    records_of,
    registered_system,
    sessions_of,
    shipping,
    state_of,
    until,
)
from tests.support.local import free_base_port


@pytest.fixture
def system_id(cloud: Cloud) -> str:
    return registered_system(cloud.stack.postgres)


def journal_in(folder: Path) -> Path:
    """A new journal with one row that waits."""
    folder.mkdir()
    streaming(folder / "journal.db", SystemClock()).close()
    return folder / "journal.db"


def append(path: Path, *names: str) -> None:
    journal = Journal(path, SystemClock())
    for name in names:
        journal.append([change(name, [name])])
    journal.close()


def copied(path: Path, folder: Path) -> Path:
    """The files as they are, as a disk image or a backup has them."""
    folder.mkdir()
    for part in path.parent.glob("journal.db*"):
        if not part.name.endswith("-shm"):
            shutil.copy(part, folder / part.name)
    return folder / "journal.db"


def values_of(cloud: Cloud, system_id: str) -> list[tuple[int | None, str | None]]:
    return [(row.version, row.values[1]) for record in records_of(cloud, system_id) for row in record.rows]


def test_a_second_agent_of_a_system_fences_the_first_at_once_and_both_say_so(
    cloud: Cloud, tmp_path: Path, system_id: str
) -> None:
    one, two = journal_in(tmp_path / "one"), journal_in(tmp_path / "two")
    with shipping(cloud, one, system_id, "caja-1") as first:
        first.wait_until_shipped()
        with shipping(cloud, two, system_id, "caja-2") as second:
            second.wait_until_shipped()
            append(one, "late")
            first.wake()
            fault = first.wait_for_its_end()
            assert isinstance(fault, TwoAgentsError)
            assert "caja-2" in str(fault)
            assert "end one of the two" in str(fault)
            append(two, "on")
            second.wake()
            second.wait_until_shipped()
        assert second.fault is None
    assert values_of(cloud, system_id) == [
        (version_of(1, 2), "read"),
        (version_of(2, 2), "read"),
        (version_of(2, 3), "on"),
    ]
    assert sessions_of(cloud.stack.postgres, system_id) == [("caja-1", 1, True), ("caja-2", 2, False)]
    with shipping(cloud, one, system_id, "caja-1") as first:
        assert isinstance(first.wait_for_its_end(), TwoAgentsError), "a new start does not take it back"


def test_a_copied_journal_on_two_machines_fences_the_first_and_no_version_means_two_things(
    cloud: Cloud, tmp_path: Path, system_id: str
) -> None:
    one = journal_in(tmp_path / "one")
    with shipping(cloud, one, system_id, "caja-1") as first:
        first.wait_until_shipped()
        two = copied(one, tmp_path / "two")
        prepare(two)  # as every agent begins
        append(two, "second's")
        with shipping(cloud, two, system_id, "caja-2") as second:
            second.wait_until_shipped()
            append(one, "first's")
            first.wake()
            assert "caja-2" in str(first.wait_for_its_end())
    prepare(one)
    with shipping(cloud, one, system_id, "caja-1") as first:
        assert isinstance(first.wait_for_its_end(), TwoAgentsError)
    prepare(two)
    with shipping(cloud, two, system_id, "caja-2") as second:
        append(two, "goes on")
        second.wake()
        second.wait_until_shipped()
    found = values_of(cloud, system_id)
    assert [value for _, value in found] == ["read", "second's", "goes on"]
    versions = [version for version, _ in found]
    assert len(set(versions)) == len(versions)
    assert version_of(1, 3) not in versions, "the number of the first's row, should it come after all"
    assert state_of(one).fenced is not None


def test_a_restored_older_copy_becomes_a_new_journal_with_a_new_epoch(
    cloud: Cloud, tmp_path: Path, system_id: str
) -> None:
    path = journal_in(tmp_path / "one")
    with shipping(cloud, path, system_id) as one:
        one.wait_until_shipped()
    backup = copied(path, tmp_path / "backup")
    append(path, "a", "b")
    with shipping(cloud, path, system_id) as one:
        one.wait_until_shipped()
    shutil.rmtree(path.parent)
    path = copied(backup, tmp_path / "one")
    old = state_of(path).journal_id
    prepare(path)
    append(path, "c", "d", "e")  # captured before PostgreSQL could be asked: the copy has more than the cloud again
    with shipping(cloud, path, system_id) as one:
        fault = one.wait_for_its_end()
    assert isinstance(fault, JournalSetAsideError)
    assert "newer copy" in str(fault)
    assert prepare(path) == path.with_name("journal.db.copy-1")
    assert (state_of(path).last_sequence, state_of(path).stream_position) == (0, None)
    streaming(path, SystemClock()).close()
    with shipping(cloud, path, system_id) as one:
        one.wait_until_shipped()
    assert state_of(path).journal_id != old
    assert values_of(cloud, system_id)[-1] == (version_of(2, 2), "read")
    assert [value for _, value in values_of(cloud, system_id)] == ["read", "a", "b", "read"]


def test_a_fenced_agent_that_has_nothing_to_ship_learns_it_too(
    cloud: Cloud, tmp_path: Path, system_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_SIGN_OF_LIFE_S", 0.2)
    one, two = journal_in(tmp_path / "one"), journal_in(tmp_path / "two")
    with shipping(cloud, one, system_id, "caja-1") as first:
        first.wait_until_shipped()
        with shipping(cloud, two, system_id, "caja-2"):
            assert isinstance(first.wait_for_its_end(), TwoAgentsError)


def test_a_producer_that_kafka_fenced_goes_on_where_nobody_took_over(
    cloud: Cloud, tmp_path: Path, system_id: str
) -> None:
    """A broker also fences a transaction that took too long, because the line was away."""
    path = journal_in(tmp_path / "one")
    with shipping(cloud, path, system_id) as one:
        one.wait_until_shipped()
        nobody = BatchProducer(cloud.stack.kafka, system_id, lambda: False)
        assert nobody.send(CHANGES.name, b"of another system", [b"x"])
        append(path, "a")
        one.wake()
        one.wait_until_shipped()
    assert one.fault is None
    assert [value for _, value in values_of(cloud, system_id)] == ["read", "a"]


def test_a_producer_that_kafka_fenced_ships_nothing_before_postgresql_said_who_is_the_newest(
    cloud: Cloud, tmp_path: Path, system_id: str
) -> None:
    path, port = journal_in(tmp_path / "one"), free_base_port()
    line = Line(port, int(str(conninfo_to_dict(cloud.stack.postgres)["port"])))
    line.open()
    away = make_conninfo(cloud.stack.postgres, port=port)
    try:
        with shipping(cloud, path, system_id, database=away) as one:
            one.wait_until_shipped()
            until(lambda: sessions_of(cloud.stack.postgres, system_id) == [("caja-1", 1, False)], "noted")
            line.cut()
            nobody = BatchProducer(cloud.stack.kafka, system_id, lambda: False)
            assert nobody.send(CHANGES.name, b"of another system", [b"x"])
            append(path, "a")
            one.wake()
            time.sleep(1.0)  # it asks, and nobody answers
            assert state_of(path).unshipped == 1
        assert one.fault is None, "a stop does not wait for the answer"
    finally:
        line.close()
    assert state_of(path).unshipped == 1
    with shipping(cloud, path, system_id) as one:
        one.wait_until_shipped()
    assert [value for _, value in values_of(cloud, system_id)] == ["read", "a"]


def ended_waiting(dsn: str) -> int:
    """How many connections that waited to note a session were ended just now."""
    with connect(dsn) as owner:  # a role of a stage does not see what others ask
        return owner.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where query like '%update pos_integration.sessions s set%' and wait_event_type = 'Lock'"
        ).rowcount


def test_a_postgresql_that_hangs_or_ends_the_connection_delays_the_note_only(
    cloud: Cloud, tmp_path: Path, system_id: str
) -> None:
    path = journal_in(tmp_path / "one")
    dsn = cloud.stack.postgres
    with shipping(cloud, path, system_id) as one:
        until(lambda: sessions_of(dsn, system_id) == [("caja-1", 1, False)], "noted")
        with connect(dsn, STAGE) as lock:
            lock.execute("select from pos_integration.sessions where pos_system_id = %s for update", [system_id])
            for name in ("a", "b", "c"):
                append(path, name)
                one.wake()
                one.wait_until_shipped()
            until(lambda: ended_waiting(dsn) == 1, "waiting for the lock")
        until(lambda: sessions_of(dsn, system_id) == [("caja-1", 4, False)], "noted after all")
    assert one.fault is None
    assert asked(dsn, "select count(*) from pos_integration.sessions where pos_system_id = %s", system_id) == [(1,)]
