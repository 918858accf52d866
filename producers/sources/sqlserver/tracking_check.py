"""What keeps Change Tracking from telling our tables' changes."""

from collections.abc import Callable, Iterator, Mapping

from fluxion.errors import AccessDeniedError, DependencyDownError, SourceNotReadyError
from producers.source import Fault
from producers.sources.sqlserver.catalogue import TableShape
from producers.sources.sqlserver.changes import changes_query
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Link
from producers.sources.sqlserver.tracking import TableState
from producers.sources.sqlserver.values import quoted

LEAST_RETENTION_DAYS = 7
_DAYS = {"MINUTES": 1 / (24 * 60), "HOURS": 1 / 24, "DAYS": 1.0}
_RETENTION = """
SELECT retention_period, retention_period_units_desc, is_auto_cleanup_on FROM sys.change_tracking_databases
WHERE database_id = DB_ID()
"""


def find_faults(
    link: Link,
    config: SQLServerConfig,
    shapes: Mapping[str, TableShape],
    states: Mapping[str, TableState],
    in_time: Callable[[], bool],
) -> Iterator[Fault]:
    """Yield the faults, and warnings. `states`: of the tables of `shapes`."""
    retention = link.rows(_RETENTION)
    yield from _database(config, retention)
    whole = [(shapes[table], states[table]) for table in sorted(shapes.keys() & states.keys()) if shapes[table].key]
    for shape, state in whole:
        yield from _table(config, shape, state, is_on=bool(retention))
    yield from _readable(link, [shape for shape, state in whole if state.tracked], in_time)


def _database(config: SQLServerConfig, found: list[tuple[int, str, int]]) -> Iterator[Fault]:
    name = quoted(config.database)
    retention = f"(CHANGE_RETENTION = {LEAST_RETENTION_DAYS} DAYS, AUTO_CLEANUP = ON)"
    if not found:
        message = f"change tracking is off for the database {config.database}"
        yield Fault("CHANGE_TRACKING_OFF", message, f"ALTER DATABASE {name} SET CHANGE_TRACKING = ON {retention}")
    for period, unit, cleans in found:
        days = float(period) * _DAYS.get(str(unit), 1.0)
        if cleans and days < LEAST_RETENTION_DAYS:
            message = f"changes are kept for {days:g} days: an agent that was away longer has to read everything again"
            yield Fault("RETENTION", message, f"ALTER DATABASE {name} SET CHANGE_TRACKING {retention}", warning=True)


def _table(config: SQLServerConfig, shape: TableShape, state: TableState, *, is_on: bool) -> Iterator[Fault]:
    if state.tracked is None:
        first = "" if is_on else "after it is on for the database, "
        mend = f"{first}ALTER TABLE {shape.qualified} ENABLE CHANGE_TRACKING"
        yield Fault("TABLE_NOT_TRACKED", f"change tracking is off for the table {shape.name}", mend)
    elif state.least is None:
        message = f"the login {config.user!r} may not read the changes of {shape.name}"
        mend = f"GRANT VIEW CHANGE TRACKING ON {shape.qualified} TO {quoted(config.user)}"
        yield Fault(AccessDeniedError.code, message, mend)


def _readable(link: Link, shapes: list[TableShape], in_time: Callable[[], bool]) -> Iterator[Fault]:
    """Ask each table for what every poll asks it for, of no change at all: only so all permissions are seen."""
    for shape in shapes:
        if not in_time():
            message = f"there was no time to look at {shape.name}"
            yield Fault("TABLE_BUSY", message, "check again when the server has less to do")
            continue
        query = changes_query(shape)
        try:
            link.rows(query.text.replace("SELECT", "SELECT TOP (0)", 1), 0)
        except DependencyDownError as fault:
            yield Fault(
                "TABLE_BUSY", f"table {shape.name}: {fault.message}", "check again when it is no longer altered"
            )
        except (AccessDeniedError, SourceNotReadyError) as fault:
            yield Fault(fault.code, f"table {shape.name}: {fault.message}", fault.mend)
