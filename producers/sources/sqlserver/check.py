"""Every fault of a SQL Server at once, each with the statement that mends it. Reads only, takes no lock on a table."""

from collections.abc import Iterator, Mapping

from fluxion.clock import Clock
from fluxion.errors import FluxionError
from producers.source import Fault
from producers.sources.sqlserver.catalogue import Shapes, TableShape
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Link, Links
from producers.sources.sqlserver.edition import LEAST_VERSION, Edition, edition_of
from producers.sources.sqlserver.method import Method
from producers.sources.sqlserver.values import quoted

# All of it together; one question waits so long at most.
CHECK_S, QUESTION_S = 5.0, 2
_SETTINGS = "SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()"
_ON, _TURNING_ON = 1, 3


def find_faults(links: Links, method: Method, clock: Clock) -> list[Fault]:
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
        shapes = Shapes(config, config.tables).read(link)
        found += _tables(config, shapes, method.permissions)
        found += method.faults(link, shapes, lambda: clock.monotonic() < until)
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
    ((state,),) = link.rows(_SETTINGS)
    if state not in {_ON, _TURNING_ON}:
        message = f"the database {config.database} does not allow snapshots, without which a register would wait for us"
        mend = f"ALTER DATABASE {quoted(config.database)} SET ALLOW_SNAPSHOT_ISOLATION ON"
        yield Fault("SNAPSHOT_ISOLATION_OFF", message, mend)


def _tables(config: SQLServerConfig, shapes: Mapping[str, TableShape], permissions: str) -> Iterator[Fault]:
    for table in sorted(config.tables):
        name = f"{quoted(config.schema)}.{quoted(table)}"
        if table not in shapes:
            message = (
                f"there is no table {table} in the schema {config.schema} of {config.database}, or it is hidden from us"
            )
            mend = f"correct the template, or GRANT {permissions} ON {name} TO {quoted(config.user)}"
            yield Fault("TABLE_MISSING", message, mend)
            continue
        if not shapes[table].key:
            message = f"table {table} has no primary key, without which its changes cannot be captured"
            yield Fault("NO_PRIMARY_KEY", message, f"ALTER TABLE {name} ADD PRIMARY KEY (…)")
        for column in shapes[table].left_out:
            message = f"column {column.name} of {table} has the type {column.data_type}, so it is left out"
            yield Fault("UNSUPPORTED_TYPE", message, "nothing, unless the template needs it", warning=True)
