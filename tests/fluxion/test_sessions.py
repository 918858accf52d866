"""Sessions in a real PostgreSQL: who may ship for a system."""

import uuid
from collections.abc import Iterator

import pytest

from fluxion.errors import ConfigurationError, FencedError, TwoAgentsError
from fluxion.postgres import STAGE, connect
from fluxion.registry import (
    Link,
    RestoredCopyError,
    Session,
    Standing,
    note_acknowledged,
    open_session,
    register_journal,
)
from tests.conftest import Cloud
from tests.producers.shipping import registered_system, sessions_of


@pytest.fixture
def system_id(cloud: Cloud) -> str:
    return registered_system(cloud.stack.postgres)


@pytest.fixture
def link(cloud: Cloud) -> Iterator[Link]:
    with connect(cloud.stack.postgres, STAGE) as link:
        yield link


def journal(last: int = 0, session: int = 0, name: str | None = None) -> Standing:
    return Standing(name or str(uuid.uuid4()), last, session)


def test_a_session_registers_a_new_journal_and_the_same_journal_keeps_its_epoch(
    cloud: Cloud, link: Link, system_id: str
) -> None:
    one = journal()
    first = open_session(link, system_id, one, "caja-1")
    assert (first.epoch, first.acknowledged) == (1, 0)
    note_acknowledged(link, first, 12)
    note_acknowledged(link, first, 7)  # a note that was late
    second = open_session(link, system_id, journal(12, first.id, one.journal_id), "caja-1")
    assert (second.epoch, second.acknowledged) == (1, 12)
    assert sessions_of(cloud.stack.postgres, system_id) == [("caja-1", 12, True), ("caja-1", 12, False)]


def test_a_journal_that_was_enrolled_before_keeps_that_epoch(link: Link, system_id: str) -> None:
    one = journal()
    assert register_journal(link, system_id, one.journal_id) == 1
    assert open_session(link, system_id, one, "caja-1").epoch == 1


def test_a_newer_session_fences_the_older_which_learns_who_it_is(link: Link, system_id: str) -> None:
    first = open_session(link, system_id, journal(), "caja-1")
    second = open_session(link, system_id, journal(), "caja-2")
    assert second.epoch == 2
    with pytest.raises(TwoAgentsError, match=rf"two agents: session {second.id}.*caja-2.*end one of the two"):
        note_acknowledged(link, first, 5)
    note_acknowledged(link, second, 5)


def test_a_journal_is_refused_once_a_newer_one_is_registered_and_does_not_fence_it(link: Link, system_id: str) -> None:
    old, new = journal(), journal()
    first = open_session(link, system_id, old, "caja-1")
    second = open_session(link, system_id, new, "caja-2")
    with pytest.raises(TwoAgentsError, match=rf"two agents.*{new.journal_id}.*epoch 2.*caja-2"):
        open_session(link, system_id, journal(0, first.id, old.journal_id), "caja-1")
    note_acknowledged(link, second, 1)


def test_a_journal_that_holds_less_than_kafka_has_is_a_restored_copy(cloud: Cloud, link: Link, system_id: str) -> None:
    one = journal()
    first = open_session(link, system_id, one, "caja-1")
    note_acknowledged(link, first, 100)
    with pytest.raises(RestoredCopyError, match="sequence 100"):
        open_session(link, system_id, journal(99, first.id, one.journal_id), "caja-1")
    assert sessions_of(cloud.stack.postgres, system_id) == [("caja-1", 100, False)], "nothing changed"


def test_a_journal_of_which_another_copy_has_opened_a_session_is_a_copy(link: Link, system_id: str) -> None:
    one = journal()
    first = open_session(link, system_id, one, "caja-1")
    second = open_session(link, system_id, journal(0, first.id, one.journal_id), "the copy")
    with pytest.raises(RestoredCopyError, match=f"session {second.id}"):
        open_session(link, system_id, journal(0, first.id, one.journal_id), "caja-1")


def test_a_session_is_in_the_journal_before_it_is_in_postgresql(cloud: Cloud, link: Link, system_id: str) -> None:
    noted: list[Session] = []

    def note_and_crash(session: Session) -> None:
        noted.append(session)
        raise KeyboardInterrupt

    one = journal()
    with pytest.raises(KeyboardInterrupt):
        open_session(link, system_id, one, "caja-1", note_and_crash)
    assert sessions_of(cloud.stack.postgres, system_id) == []
    again = open_session(link, system_id, journal(0, noted[0].id, one.journal_id), "caja-1")
    assert again.id > noted[0].id, "one that never came to be does no harm"


def test_a_session_that_postgresql_has_forgotten_is_opened_anew(link: Link, system_id: str) -> None:
    session = open_session(link, system_id, journal(), "caja-1")
    unknown = Session(session.id + 1_000_000, system_id, 1, 0)
    with pytest.raises(FencedError, match="does not know session") as raised:
        note_acknowledged(link, unknown, 5)
    assert not isinstance(raised.value, TwoAgentsError)


def test_no_session_for_a_system_that_is_not_there(link: Link) -> None:
    with pytest.raises(ConfigurationError, match="no system"):
        open_session(link, str(uuid.uuid4()), journal(), "caja-1")
