"""The state of change tracking, of the database and of each table, and which losses of it mean what.

https://learn.microsoft.com/sql/relational-databases/track-changes/work-with-change-tracking-sql-server
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fluxion.errors import AccessDeniedError, PositionLostError, SourceNotReadyError
from producers.sources.sqlserver.catalogue import among
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Link
from producers.sources.sqlserver.identity import MEND, Identity, Views
from producers.sources.sqlserver.position import Tracked, TrackedPosition
from producers.sources.sqlserver.values import quoted

_VERSION = "SELECT CHANGE_TRACKING_CURRENT_VERSION()"
_TABLES = """
SELECT t.name, t.object_id, ct.begin_version, CHANGE_TRACKING_MIN_VALID_VERSION(t.object_id)
FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id
LEFT JOIN sys.change_tracking_tables AS ct ON ct.object_id = t.object_id
WHERE s.name = ? {}
"""
# 209: the hidden table that keeps the changes of another; it is a new one whenever tracking is switched on.
_LOGS = "SELECT parent_object_id, object_id FROM sys.internal_tables WHERE internal_type = 209"


@dataclass(frozen=True)
class TableState:
    """A table that is there. tracked: None where change tracking is off. least: None where we may not see its changes."""

    tracked: Tracked | None
    least: int | None


def current_version(link: Link) -> int | None:
    """Return the version of the last committed change, None where change tracking is off. Touches no table."""
    ((version,),) = link.rows(_VERSION)
    return None if version is None else int(version)


class Tracking:
    """Asks for the states of a source's tables."""

    def __init__(self, config: SQLServerConfig, views: Views) -> None:
        self._config = config
        self._names = {name.casefold(): name for name in sorted(config.tables)}
        self._views = views

    def states(self, link: Link) -> dict[str, TableState]:
        """Return the state of each captured table that we may see, by the name that templates use."""
        if not self._names:
            return {}
        rows = link.rows(_TABLES.format(among(list(self._names))), self._config.schema, *self._names.values())
        logs = {int(parent): int(log) for parent, log in self._views.seen(link, _LOGS)}
        return {
            self._names[name.casefold()]: TableState(
                None if begin is None else Tracked(int(number), int(begin), logs.get(int(number))),
                None if least is None else int(least),
            )
            for name, number, begin, least in rows
        }


def position_of(identity: Identity, version: int, states: Mapping[str, TableState]) -> TrackedPosition:
    """Return the place behind `version`, which was read before `states` in the same transaction."""
    tables = {name: _as_kept(state, version) for name, state in states.items() if state.tracked is not None}
    return TrackedPosition(identity, version, tables)


def demand_tracked(config: SQLServerConfig, states: Mapping[str, TableState]) -> None:
    """Raise SourceNotReadyError or AccessDeniedError where the changes of a table are not to be had: it would be a gap."""
    for table in sorted(config.tables):
        state, name = states.get(table), f"{quoted(config.schema)}.{quoted(table)}"
        if state is None:
            message = f"there is no table {table} in {config.database}, or the login may not read it"
            raise SourceNotReadyError(
                message, f"correct the template, or GRANT SELECT ON {name} TO {quoted(config.user)}"
            )
        if state.tracked is None:
            message = f"change tracking is off for the table {table}, so its changes are not recorded"
            mend = f"ALTER TABLE {name} ENABLE CHANGE_TRACKING; the table is then read again"
            raise SourceNotReadyError(message, mend)
        if state.least is None:
            message = f"the login {config.user!r} may not read the changes of the table {table}"
            raise AccessDeniedError(message, f"GRANT VIEW CHANGE TRACKING ON {name} TO {quoted(config.user)}")


def demand_on(config: SQLServerConfig, version: int | None) -> int:
    """Return the version; SourceNotReadyError where change tracking is off for the database."""
    if version is None:
        message = f"change tracking is off for the database {config.database}"
        mend = f"ALTER DATABASE {quoted(config.database)} SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 7 DAYS)"
        raise SourceNotReadyError(message, mend)
    return version


def demand_version(version: int | None, since: int) -> int:
    """Return the version; PositionLostError where it cannot follow `since`."""
    if version is None:
        raise PositionLostError("change tracking was switched off for the database", MEND)
    if version < since:
        message = f"the database's change tracking has gone back from version {since} to {version}"
        raise PositionLostError(message + ": it was restored, or switched off and on again", MEND)
    return version


def lost(table: str, position: TrackedPosition, now: TableState) -> str | None:
    """Return why the changes of a table behind `position` are not whole, None where they are. Its rows must be read again."""
    before, tracked = position.tables.get(table), now.tracked
    if before is None or tracked is None:
        return "was not captured until now"
    if before.object_id != tracked.object_id:
        return "was dropped and created again"
    if before.begin != tracked.begin or (before.log != tracked.log and None not in {before.log, tracked.log}):
        return "was truncated, or its change tracking was switched off and on again"
    if now.least is not None and now.least > position.version and now.least != before.valid:
        return f"has lost its changes behind version {position.version}: they were kept until {now.least}"
    return None


def _as_kept(state: TableState, version: int) -> Tracked:
    assert state.tracked is not None  # noqa: S101 -- whoever calls has looked
    least = state.least or 0
    return Tracked(state.tracked.object_id, state.tracked.begin, state.tracked.log, least if least > version else 0)
