"""What keeps Change Data Capture from telling our tables' changes."""

from collections.abc import Callable, Iterator, Mapping

from fluxion.errors import AccessDeniedError
from producers.source import Fault
from producers.sources.sqlserver.catalogue import TableShape
from producers.sources.sqlserver.cdc_instances import OURS, Instance, Instances, is_on
from producers.sources.sqlserver.cdc_window import column_numbers
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Link
from producers.sources.sqlserver.edition import edition_of
from producers.sources.sqlserver.identity import Views
from producers.sources.sqlserver.values import quoted

ROLE = "fluxion_cdc"
LEAST_RETENTION_DAYS = 7
# The capture job notes a time every few minutes, also where nothing happens.
LATE_MINUTES = 15
_MINUTES_A_DAY = 24 * 60
_LATE = "SELECT DATEDIFF(minute, sys.fn_cdc_map_lsn_to_time(sys.fn_cdc_get_max_lsn()), GETDATE())"
_JOBS = "EXEC sys.sp_cdc_help_jobs"
_TRACKED = """
SELECT t.name FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id
WHERE s.name = ? AND t.is_tracked_by_cdc = 1
"""


def find_faults(
    link: Link,
    config: SQLServerConfig,
    views: Views,
    shapes: Mapping[str, TableShape],
    in_time: Callable[[], bool],
) -> Iterator[Fault]:
    """Yield the faults, and warnings."""
    edition = edition_of(link)
    if not edition.has_cdc:
        message = f"{edition.title} has no Change Data Capture"
        yield Fault("CDC_UNAVAILABLE", message, "set method = 'change_tracking', which every edition has")
        return
    enabled = is_on(link)
    if not enabled:
        message = f"Change Data Capture is off for the database {config.database}"
        yield Fault("CDC_OFF", message, "EXEC sys.sp_cdc_enable_db")
    yield from _tables(link, config, shapes, enabled=enabled)
    if enabled and in_time():
        yield from _jobs(link, views)


def _tables(link: Link, config: SQLServerConfig, shapes: Mapping[str, TableShape], *, enabled: bool) -> Iterator[Fault]:
    found = Instances(config).read(link) if enabled else {}
    tracked = {str(name).casefold() for (name,) in link.rows(_TRACKED, config.schema)}
    best = {table: instances[-1] for table, instances in found.items()}
    numbers = column_numbers(link, best.values())
    for table, shape in sorted(shapes.items()):
        if table in best:
            columns = numbers.get(best[table].kept.source, frozenset())
            yield from columns_left_out(config, shape, best[table], columns)
        elif shape.key:
            yield (
                hidden(config, table) if table.casefold() in tracked else _not_captured(config, table, enabled=enabled)
            )


def hidden(config: SQLServerConfig, table: str) -> Fault:
    """Return the fault of a table that is captured, but not for us."""
    message = f"the login {config.user!r} may not read the captured changes of {table}"
    return Fault(AccessDeniedError.code, message, f"ALTER ROLE {quoted(ROLE)} ADD MEMBER {quoted(config.user)}")


def _not_captured(config: SQLServerConfig, table: str, *, enabled: bool) -> Fault:
    first = "" if enabled else "after it is on for the database, "
    mend = first + _enabling(config, table, f"{OURS}{config.schema}_{table}")
    return Fault("TABLE_NOT_CAPTURED", f"the changes of the table {table} are not captured", mend)


def columns_left_out(
    config: SQLServerConfig, shape: TableShape, instance: Instance, numbers: frozenset[tuple[int, str]]
) -> Iterator[Fault]:
    """Yield a warning where a table has columns that its instance does not have; a fault where one is in the key."""
    captured = {name for _, name in instance.columns & numbers}
    missing = [column for column in shape.columns if column.name.casefold() not in captured]
    if missing:
        names = ", ".join(column.name for column in missing)
        message = f"the capture instance {instance.name} of {shape.name} does not have the column {names}"
        mend = _enabling(config, shape.name, f"{OURS}{config.schema}_{shape.name}_2")
        yield Fault("COLUMNS_NOT_CAPTURED", message, mend, warning=not any(column.key for column in missing))


def _enabling(config: SQLServerConfig, table: str, instance: str) -> str:
    names = {"source_schema": config.schema, "source_name": table, "capture_instance": instance, "role_name": ROLE}
    said = ", ".join(f"@{name} = {_literal(value)}" for name, value in names.items())
    return f"EXEC sys.sp_cdc_enable_table {said}, @supports_net_changes = 0"


def _literal(text: str) -> str:
    return "N'" + text.replace("'", "''") + "'"


def _jobs(link: Link, views: Views) -> Iterator[Fault]:
    """Look at the jobs of capture and clean-up, as far as the login may see them; it need not."""
    for job in views.seen(link, _JOBS):
        days = (job.retention or 0) / _MINUTES_A_DAY
        if job.job_type == "cleanup" and days < LEAST_RETENTION_DAYS:
            message = f"changes are kept for {days:g} days: an agent that was away longer has to read everything again"
            retention = LEAST_RETENTION_DAYS * _MINUTES_A_DAY
            mend = f"EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = {retention}"
            yield Fault("RETENTION", message, mend, warning=True)
    ((late,),) = link.rows(_LATE)
    if late is not None and late > LATE_MINUTES:
        message = f"the last transaction was captured {late} minutes ago: the capture job may not be running"
        mend = "start SQL Server Agent, then EXEC sys.sp_cdc_start_job @job_type = N'capture'"
        yield Fault("CAPTURE_LATE", message, mend, warning=True)
