"""Every fault of a MariaDB at once, each with the statement that mends it. Reads only, takes no lock."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pymysql

from fluxion.clock import Clock
from fluxion.errors import DependencyDownError, FluxionError, SourceNotReadyError
from producers.source import Fault
from producers.sources.mysql.catalogue import columns_of, layout_of
from producers.sources.mysql.connection import Links, MySQLConfig, grant_for, translated
from producers.sources.mysql.values import quoted

# All of it together; a table that somebody alters just now keeps one question waiting for LOCK_WAIT_S.
CHECK_S, LOCK_WAIT_S, READ_S = 7.0, 1, 3.0
LEAST_RETENTION_S = 24 * 3600
_SELECT_DENIED, _SUPER_DENIED = 1142, 1227
_RESTART = "under [mariadbd] in its configuration, then restart it"
_CASCADE = re.compile(r"FOREIGN KEY .* REFERENCES (\S+) .*ON (?:DELETE|UPDATE) (?:CASCADE|SET NULL|SET DEFAULT)")

# variable → (what it must be, code)
_SETTINGS = {
    "binlog_format": ("ROW", "BINLOG_FORMAT"),
    "binlog_row_image": ("FULL", "BINLOG_ROW_IMAGE"),
    "binlog_row_metadata": ("FULL", "BINLOG_ROW_METADATA"),
}

Cursor = pymysql.cursors.Cursor


def find_faults(config: MySQLConfig, links: Links, clock: Clock) -> list[Fault]:
    """Return what keeps us from capturing, and warnings behind it; one fault where we cannot even enter."""
    until = clock.monotonic() + CHECK_S
    try:
        link = links.open(read_timeout=READ_S)
    except FluxionError as fault:
        return [_told(fault)]
    found: list[Fault] = []
    try:
        with translated(config), link.cursor() as cursor:
            cursor.execute("select version()")
            version = str(_only(cursor))
            if "mariadb" not in version.lower():
                message = f"the server at {config.address} is {version}, and MySQL is not supported yet"
                return [Fault("UNSUPPORTED_SERVER", message, "capture a MariaDB 10.5 or newer")]
            cursor.execute(f"set session lock_wait_timeout = {LOCK_WAIT_S}")
            for part in (
                _settings(cursor),
                _replication(cursor, config),
                _tables(cursor, config, lambda: clock.monotonic() < until),
            ):
                found += part
    except FluxionError as fault:  # what was found before stays
        found.append(_told(fault))
    finally:
        links.drop(link)
    return sorted(found, key=lambda fault: fault.warning)


def _told(fault: FluxionError) -> Fault:
    return Fault(fault.code, fault.message, fault.mend)


def _settings(cursor: Cursor) -> Iterator[Fault]:
    cursor.execute(
        "show global variables where variable_name like 'binlog\\_%' or variable_name in ('log_bin', 'expire_logs_days')"
    )
    found = {str(name): str(value).upper() for name, value in cursor.fetchall()}
    if found.get("log_bin") != "ON":
        yield Fault("BINLOG_OFF", "MariaDB writes no binary log", f"set log_bin = mysql-bin {_RESTART}")
    for name, (wanted, code) in _SETTINGS.items():
        if found.get(name) != wanted:
            message = f"{name} is {found.get(name, 'not known')} and must be {wanted}"
            yield Fault(code, message, f"set {name} = {wanted} {_RESTART}")
    # The second is newer and says the same in seconds.
    kept = float(found.get("binlog_expire_logs_seconds") or float(found.get("expire_logs_days") or 0) * 24 * 3600)
    if 0 < kept < LEAST_RETENTION_S:
        message = f"the binary log is kept for {kept / 3600:.1f} hours: an agent that was away longer has to read everything again"
        yield Fault("BINLOG_RETENTION", message, f"set expire_logs_days = 7 {_RESTART}", warning=True)


def _replication(cursor: Cursor, config: MySQLConfig) -> Iterator[Fault]:
    cursor.execute("show grants")
    everywhere = [str(row[0]) for row in cursor.fetchall() if " ON *.* TO " in str(row[0])]
    if not any(re.search(r"REPLICATION SLAVE(?! ADMIN)|ALL PRIVILEGES", grants) for grants in everywhere):
        message = f"the account {config.user!r} may not read the binary log"
        yield Fault("ACCESS_DENIED", message, grant_for(_SUPER_DENIED, config))


def _tables(cursor: Cursor, config: MySQLConfig, in_time: Callable[[], bool]) -> Iterator[Fault]:
    readable, late = set(), []
    for table in sorted(config.tables):
        if not in_time():
            late.append(table)
            continue
        try:
            with translated(config):
                cursor.execute(f"select 1 from {quoted(config.database)}.{quoted(table)} limit 0")  # noqa: S608 -- quoted
            readable.add(table)
        except SourceNotReadyError as fault:
            yield Fault("TABLE_MISSING", fault.message, "correct the template, or the database's name")
        except DependencyDownError as fault:
            yield Fault("TABLE_BUSY", f"table {table}: {fault.message}", "wait until it is altered, and check again")
        except FluxionError as fault:
            yield _told(fault)
    if late:
        message = f"there was no time to look at {', '.join(late)}"
        yield Fault("TABLE_BUSY", message, "wait until the other tables are altered, and check again")
    for table, columns in columns_of(cursor, config.database, readable).items():
        if not any(column.is_key for column in columns):
            mend = f"ALTER TABLE {quoted(table)} ADD PRIMARY KEY (…) over whole columns"
            yield Fault("NO_PRIMARY_KEY", f"table {table} has no primary key over whole columns", mend)
        try:
            layout_of(table, columns)
        except SourceNotReadyError as fault:
            yield Fault("UNSUPPORTED_TYPE", f"table {table}: {fault.message}", fault.mend)
        yield from _cascades(cursor, config, table)


def _cascades(cursor: Cursor, config: MySQLConfig, table: str) -> Iterator[Fault]:
    """Warn of what InnoDB does to rows by itself: it never reaches the log."""
    cursor.execute(f"show create table {quoted(config.database)}.{quoted(table)}")
    row: Any = cursor.fetchone()
    for line in str(row[1]).splitlines():
        found = _CASCADE.search(line)
        if found:
            parent = found[1].strip("`")
            message = f"rows of {table} that go or change by the foreign key to {parent} are not in the binary log"
            mend = f"delete the rows of {table} themselves, or `fluxion agent resnapshot --table {table}` after such a change"
            yield Fault("UNLOGGED_CASCADE", message, mend, warning=True)


def _only(cursor: Cursor) -> Any:
    row = cursor.fetchone()
    return row[0] if row else None
