from pathlib import Path

from fluxion.registry import Session
from producers.home import JOURNAL, AgentConfig, SourceSection, write_config
from producers.standing import standing_of
from tests.producers.captures import StillClock, streaming


def test_the_epoch_is_that_of_the_last_session_and_before_the_first_that_of_enrolment(tmp_path: Path) -> None:
    source = SourceSection(host="h", port=1, user="u", database="d", tables=["items"])
    write_config(tmp_path, AgentConfig(system_id="s", epoch=1, source=source))
    journal = streaming(tmp_path / JOURNAL)
    assert standing_of(tmp_path, StillClock())["epoch"] == 1
    journal.note_session(Session(7, "s", 3, 0))
    journal.close()
    found = standing_of(tmp_path, StillClock())
    assert (found["epoch"], found["rows"], found["unshipped"], found["snapshot"]) == (3, 1, 1, "whole")
    assert "quarantined" not in found
