"""Every fault of a SQL Server at once, each with the statement that mends it. Reads only, takes no lock on a table."""

from collections.abc import Callable, Iterator, Mapping

from fluxion.clock import Clock
from fluxion.errors import AccessDeniedError, DependencyDownError, FluxionError, SourceNotReadyError
from producers.source import Fault
from producers.sources.sqlserver.catalogue import Shapes, TableShape
from producers.sources.sqlserver.changes import changes_query
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Link, Links
from producers.sources.sqlserver.edition import LEAST_VERSION, Edition, edition_of
from producers.sources.sqlserver.tracking import TableState, Tracking, current_version
from producers.sources.sqlserver.values import quoted

# All of it together; one question waits so long at most.
CHECK_S, QUESTION_S = 5.0, 2
LEAST_RETENTION_DAYS = 7
_DAYS = {"MINUTES": 1 / (24 * 60), "HOURS": 1 / 24, "DAYS": 1.0}
_SETTINGS = "SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()"
_RETENTION = """
SELECT retention_period, retention_period_units_desc, is_auto_cleanup_on FROM sys.change_tracking_databases
WHERE database_id = DB_ID()
"""
_ON, _TURNING_ON = 1, 3


def find_faults(links: Links, tracking: Tracking, clock: Clock) -> list[Fault]:
    """Return what keeps us from capturing, and warnings behind it; one fault where we cannot even enter."""
    until = clock.monotonic() + CHECK_S
    try:
        link = links.open(query_timeout_s=QUESTION_S)
    except FluxionError as fault:
        return [_told(fault)]
    config = links.config
    found: list[Fault] = []
    try:
        found += _server(edition_of(link))
        found += _database(link, config)
        is_on = current_version(link) is not None
        shapes, states = Shapes(config, config.tables).read(link), tracking.states(link)
        found += _tables(config, shapes, states, is_on=is_on)
        tracked = [shapes[name] for name, state in sorted(states.items()) if state.tracked and name in shapes]
        found += _readable(link, [shape for shape in tracked if shape.key], lambda: clock.monotonic() < until)
    except FluxionError as fault:  # what was found before stays
        found.append(_told(fault))
    finally:
        links.drop(link)
    return sorted(found, key=lambda fault: fault.warning)


def _told(fault: FluxionError) -> Fault:
    return Fault(fault.code, fault.message, fault.mend)


def _server(edition: Edition) -> Iterator[Fault]:
    if edition.version < LEAST_VERSION:
        message = f"the server is {edition.title}, and nothing older than SQL Server 2012 is supported"
        yield Fault("UNSUPPORTED_SERVER", message, "capture it by query, or move the database to a newer server")


def _database(link: Link, config: SQLServerConfig) -> Iterator[Fault]:
    name = quoted(config.database)
    retention = f"(CHANGE_RETENTION = {LEAST_RETENTION_DAYS} DAYS, AUTO_CLEANUP = ON)"
    found = link.rows(_RETENTION)
    if not found:
        message = f"change tracking is off for the database {config.database}"
        yield Fault("CHANGE_TRACKING_OFF", message, f"ALTER DATABASE {name} SET CHANGE_TRACKING = ON {retention}")
    for period, unit, cleans in found:
        days = float(period) * _DAYS.get(str(unit), 1.0)
        if cleans and days < LEAST_RETENTION_DAYS:
            message = f"changes are kept for {days:g} days: an agent that was away longer has to read everything again"
            yield Fault("RETENTION", message, f"ALTER DATABASE {name} SET CHANGE_TRACKING {retention}", warning=True)
    ((state,),) = link.rows(_SETTINGS)
    if state not in {_ON, _TURNING_ON}:
        message = f"the database {config.database} does not allow snapshots, without which a register would wait for us"
        yield Fault("SNAPSHOT_ISOLATION_OFF", message, f"ALTER DATABASE {name} SET ALLOW_SNAPSHOT_ISOLATION ON")


def _tables(
    config: SQLServerConfig, shapes: Mapping[str, TableShape], states: Mapping[str, TableState], *, is_on: bool
) -> Iterator[Fault]:
    for table in sorted(config.tables):
        name = f"{quoted(config.schema)}.{quoted(table)}"
        if table not in shapes or table not in states:
            message = (
                f"there is no table {table} in the schema {config.schema} of {config.database}, or it is hidden from us"
            )
            mend = f"correct the template, or GRANT SELECT, VIEW CHANGE TRACKING ON {name} TO {quoted(config.user)}"
            yield Fault("TABLE_MISSING", message, mend)
            continue
        shape, state = shapes[table], states[table]
        if not shape.key:
            message = f"table {table} has no primary key, without which its changes cannot be tracked"
            yield Fault("NO_PRIMARY_KEY", message, f"ALTER TABLE {name} ADD PRIMARY KEY (…)")
        elif state.tracked is None:
            first = "" if is_on else "after it is on for the database, "
            mend = f"{first}ALTER TABLE {name} ENABLE CHANGE_TRACKING"
            yield Fault("TABLE_NOT_TRACKED", f"change tracking is off for the table {table}", mend)
        elif state.least is None:
            mend = f"GRANT VIEW CHANGE TRACKING ON {name} TO {quoted(config.user)}"
            yield Fault(AccessDeniedError.code, f"the login {config.user!r} may not read the changes of {table}", mend)
        for column in shape.left_out:
            message = f"column {column.name} of {table} has the type {column.data_type}, so it is left out"
            yield Fault("UNSUPPORTED_TYPE", message, "nothing, unless the template needs it", warning=True)


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
