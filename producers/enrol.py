"""Enrolment: a folder becomes the agent of a system. It needs PostgreSQL, once; running does not."""

from pathlib import Path
from typing import Any

from fluxion.clock import SystemClock
from fluxion.errors import ConfigurationError
from fluxion.postgres import STAGE, connect
from fluxion.registry import System, load_system, register_journal
from producers.home import CONFIG, JOURNAL, AgentConfig, SourceSection, read_config, write_config
from producers.journal import Journal


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

    overrides: host, port, user, database where the agent reaches the source elsewhere than the registry says.
    """
    known = read_config(home) if (home / CONFIG).exists() else None
    if known is not None and known.system_id != system_id:
        message = f"{home} belongs to system {known.system_id}"
        raise ConfigurationError(message, "give another --home; a folder serves one system for life")
    with connect(dsn, STAGE) as link:
        system = load_system(link, system_id)
        source = known.source.model_copy(update=overrides) if known else source_of(system, overrides)
        # (1) the journal gets its id; (2) PostgreSQL its epoch; (3) the folder its configuration: any of them may be repeated
        home.mkdir(parents=True, exist_ok=True)
        journal = Journal(home / JOURNAL, SystemClock(), create=True)
        journal.close()
        epoch = register_journal(link, system_id, journal.journal_id)
    config = AgentConfig(system_id=system_id, epoch=epoch, source=source)
    write_config(home, config)
    return config


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
    return SourceSection(
        host=places["host"],
        port=places.get("port") or 3306,
        user=places["user"],
        database=places["database"],
        tables=tables,
    )
