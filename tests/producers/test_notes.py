"""A shipper's notes in PostgreSQL: kept apart from the hot path, and worth no waiting at the end."""

from structlog.testing import capture_logs

from fluxion.registry import Session
from producers.session import Notes

NOWHERE = "postgresql://fluxion:fluxion@127.0.0.1:1/fluxion"


def test_the_last_note_is_given_up_where_postgresql_is_away() -> None:
    lost: list[str] = []
    with capture_logs() as lines:
        notes = Notes(NOWHERE, Session(1, "system", 1, 0), lambda: lost.append("lost"))
        notes.acknowledged(5)
        notes.close()
    assert not notes._thread.is_alive()
    assert notes.fault is None
    assert lost == []
    assert all(line["event"] == "PostgreSQL cannot be told what was shipped" for line in lines)
