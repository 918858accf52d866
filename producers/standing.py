"""What a person sees of an agent, and asks of it, from another process: both by its folder."""

from contextlib import closing
from pathlib import Path
from typing import Any

from fluxion.clock import Clock
from fluxion.errors import ConfigurationError
from producers.home import JOURNAL, is_running, read_config
from producers.journal import Journal
from producers.note import read_note


def standing_of(home: Path, clock: Clock) -> dict[str, Any]:
    """Return where the agent stands, for `agent status`.

    doing: what a running agent does; reason: why it is lost or waits. job: how far a snapshot is. waiting_runs: snapshots
    that are not whole yet. epoch: of the last session; before the first one, of enrolment. The rest is the journal's.
    """
    config = read_config(home)
    with closing(Journal(home / JOURNAL, clock)) as journal:
        state, run = journal.state(), journal.run()
    running, note = is_running(home), read_note(home)
    job = note.get("job") if running else None
    if job is None and run is not None:
        job = {"snapshot": run.kind, "rows": run.rows}
    return {
        "system_id": config.system_id,
        "epoch": config.epoch if state.epoch is None else state.epoch,
        "journal_id": state.journal_id,
        "running": running,
        "doing": note.get("doing") if running else None,
        "reason": note.get("reason"),
        "snapshot": "whole" if state.stream_position is not None else "under way",
        "job": job,
        "position": state.stream_position or state.snapshot_position,
        "sequence": state.last_sequence,
        "acknowledged": state.acknowledged,
        "unshipped": state.unshipped,
        "rows": state.rows,
        "journal_bytes": state.bytes,
    }


def read_again(home: Path, tables: list[str], clock: Clock) -> str:
    """Ask for these tables (none: all) to be read again and return what will happen; ConfigurationError for unknown ones."""
    config = read_config(home)
    known = config.source.tables
    unknown = [table for table in tables if table not in known]
    if unknown:
        raise ConfigurationError(f"this agent does not capture {', '.join(unknown)}", f"name one of {', '.join(known)}")
    bounds = config.snapshot.at(clock)
    with closing(Journal(home / JOURNAL, clock)) as journal:
        waits = read_note(home).get("doing") == "waiting"
        if waits and not tables:
            journal.request_run("first", known, bounds)
            return "a first snapshot of all tables begins: what is in the database now is what counts"
        if waits:
            raise ConfigurationError(
                "the agent has lost its position, so one table is not enough", "leave --table out: everything is read"
            )
        if journal.state().stream_position is None and not tables:
            return "the first snapshot is not whole yet: it reads all tables anyway"
        journal.request_run("again", tables or known, bounds)
    return f"{', '.join(tables or known)}: read again while the stream goes on"
