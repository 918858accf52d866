"""What keeps row versions from telling our tables' changes."""

from collections.abc import Callable, Iterator, Mapping

from fluxion.errors import AccessDeniedError, DependencyDownError, SourceNotReadyError
from producers.source import Fault
from producers.sources.sqlserver.catalogue import TableShape
from producers.sources.sqlserver.connection import Link
from producers.sources.sqlserver.rowversion_tables import column_of, mend_of


def find_faults(link: Link, shapes: Mapping[str, TableShape], in_time: Callable[[], bool]) -> Iterator[Fault]:
    """Yield the faults of the captured tables that are there."""
    for table in sorted(shapes):
        if column_of(shapes[table]) is None:
            message = f"table {table} has no column of type rowversion, without which its changes cannot be found"
            yield Fault("NO_ROWVERSION", message, mend_of(shapes[table]))
        elif shapes[table].key:
            yield from _readable(link, shapes[table], in_time)


def _readable(link: Link, shape: TableShape, in_time: Callable[[], bool]) -> Iterator[Fault]:
    """Ask for what every poll asks for, of no row at all: only so all permissions are seen."""
    if not in_time():
        yield Fault(
            "TABLE_BUSY", f"there was no time to look at {shape.name}", "check again when the server has less to do"
        )
        return
    try:
        link.rows(f"SELECT TOP (0) {', '.join(shape.selected('t'))} FROM {shape.qualified} AS t")  # noqa: S608 -- quoted
    except DependencyDownError as fault:
        yield Fault("TABLE_BUSY", f"table {shape.name}: {fault.message}", "check again when it is no longer altered")
    except (AccessDeniedError, SourceNotReadyError) as fault:
        yield Fault(fault.code, f"table {shape.name}: {fault.message}", fault.mend)
