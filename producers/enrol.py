"""Enrolment: a folder becomes the agent of a system. It needs PostgreSQL, once; running does not."""

from contextlib import closing
from pathlib import Path
from typing import Any

from fluxion.clock import SystemClock
from fluxion.errors import ConfigurationError
from fluxion.postgres import STAGE, connect
from fluxion.registry import System, load_system, register_journal
from producers.history import section_of
from producers.home import CONFIG, JOURNAL, AgentConfig, SourceSection, read_config, write_config
from producers.journal import DEFAULT_BUDGET, Journal
from producers.sources.choice import PORTS, kind_for, options_for
from schemas.mapping import restore
from schemas.settings import parse_settings


def tables_of(mapping: Any) -> list[str]:
    """Return every table that a resolved template reads: whatever stands behind `from`, at any depth."""
    found: set[str] = set()
    if isinstance(mapping, dict):
        for name, value in mapping.items():
            if name == "from" and isinstance(value, str):
                found.add(value)
            else:
                found.update(tables_of(value))
    elif isinstance(mapping, list):
        for value in mapping:
            found.update(tables_of(value))
    return sorted(found)


def enrol(dsn: str, system_id: str, home: Path, overrides: dict[str, Any]) -> AgentConfig:
    """Make `home` the agent's folder and return its configuration; the same again changes nothing but `overrides`.

    overrides: host, port, user, database where the agent reaches the source elsewhere than the registry says. After the
    template or the sync settings were changed it takes over what concerns the agent; a table that is new is read once.
    """
    known = read_config(home) if (home / CONFIG).exists() else None
    if known is not None and known.system_id != system_id:
        message = f"{home} belongs to system {known.system_id}"
        raise ConfigurationError(message, "give another --home; a folder serves one system for life")
    with connect(dsn, STAGE) as link:
        system = load_system(link, system_id)
        source = source_of(system, overrides) if known is None else _renewed(known.source, system, overrides)
        section = section_of(restore(system.mapping), parse_settings(system.settings))
        # (1) the journal gets its id; (2) PostgreSQL its epoch; (3) the folder its configuration: any of them may be repeated
        home.mkdir(parents=True, exist_ok=True)
        # (an agent that runs has it open: then it is there)
        journal = Journal(home / JOURNAL, SystemClock(), create=not (home / JOURNAL).exists())
        with closing(journal):
            added = sorted(set(source.tables) - set(known.source.tables)) if known is not None else []
            if added and (journal.run() is not None or journal.state().stream_position is not None):
                journal.request_run("again", added, section.at(SystemClock()))
        epoch = register_journal(link, system_id, journal.journal_id)
    kept = known.journal_bytes if known is not None else DEFAULT_BUDGET
    config = AgentConfig(system_id=system_id, epoch=epoch, source=source, snapshot=section, journal_bytes=kept)
    write_config(home, config)
    return config


def _renewed(known: SourceSection, system: System, overrides: dict[str, Any]) -> SourceSection:
    """Keep where the source is and how it is entered, take the tables from the registry."""
    return known.model_copy(update={"tables": tables_of(system.mapping) or known.tables, **overrides})


def source_of(system: System, overrides: dict[str, Any]) -> SourceSection:
    """Return [source] as the registry describes it."""
    places = {**system.connection, **overrides}
    missing = [name for name in ("host", "user", "database") if not places.get(name)]
    if missing:
        message = f"the registry does not say the {', '.join(missing)} of system {system.id}"
        raise ConfigurationError(message, "give it with --" + " --".join(missing))
    tables = tables_of(system.mapping)
    if not tables:
        raise ConfigurationError(f"the template of system {system.id} names no table", "correct the template")
    template = restore(system.mapping)
    kind = places.get("kind") or kind_for(template.databases)
    return SourceSection(
        kind=kind,
        host=places["host"],
        port=places.get("port") or PORTS[kind],
        user=places["user"],
        database=places["database"],
        tables=tables,
        options=options_for(kind, template.schema_, places.get("options") or {}),
    )
