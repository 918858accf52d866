"""Every fault of a MariaDB at once, each with the statement that mends it. Reads only, takes no lock."""

import re
from collections.abc import Iterator
from typing import Any

import pymysql

from fluxion.errors import FluxionError, SourceNotReadyError
from producers.source import Fault
from producers.sources.mysql.catalogue import columns_of, layout_of
from producers.sources.mysql.connection import Links, MySQLConfig, grant_for, translated
from producers.sources.mysql.values import quoted

CHECK_TIMEOUT_S = 4.0
_SELECT_DENIED, _SUPER_DENIED = 1142, 1227
_RESTART = "under [mariadbd] in its configuration, then restart it"

# variable → (what it must be, code)
_SETTINGS = {
    "binlog_format": ("ROW", "BINLOG_FORMAT"),
    "binlog_row_image": ("FULL", "BINLOG_ROW_IMAGE"),
    "binlog_row_metadata": ("FULL", "BINLOG_ROW_METADATA"),
}


def find_faults(config: MySQLConfig, links: Links) -> list[Fault]:
    """Return what keeps us from capturing; one fault where we cannot even enter."""
    try:
        link = links.open(read_timeout=CHECK_TIMEOUT_S)
    except FluxionError as fault:
        return [Fault(fault.code, fault.message, fault.mend)]
    try:
        with translated(config), link.cursor() as cursor:
            cursor.execute("select version()")
            version = str(_only(cursor))
            if "mariadb" not in version.lower():
                message = f"the server at {config.address} is {version}, and MySQL is not supported yet"
                return [Fault("UNSUPPORTED_SERVER", message, "capture a MariaDB 10.5 or newer")]
            return [*_settings(cursor), *_replication(cursor, config), *_tables(cursor, config)]
    except FluxionError as fault:
        return [Fault(fault.code, fault.message, fault.mend)]
    finally:
        links.drop(link)


def _settings(cursor: pymysql.cursors.Cursor) -> Iterator[Fault]:
    cursor.execute("show global variables where variable_name like 'binlog\\_%' or variable_name = 'log_bin'")
    found = {str(name): str(value).upper() for name, value in cursor.fetchall()}
    if found.get("log_bin") != "ON":
        yield Fault("BINLOG_OFF", "MariaDB writes no binary log", f"set log_bin = mysql-bin {_RESTART}")
    for name, (wanted, code) in _SETTINGS.items():
        if found.get(name) != wanted:
            message = f"{name} is {found.get(name, 'not known')} and must be {wanted}"
            yield Fault(code, message, f"set {name} = {wanted} {_RESTART}")


def _replication(cursor: pymysql.cursors.Cursor, config: MySQLConfig) -> Iterator[Fault]:
    cursor.execute("show grants")
    everywhere = [str(row[0]) for row in cursor.fetchall() if " ON *.* TO " in str(row[0])]
    if not any(re.search(r"REPLICATION SLAVE(?! ADMIN)|ALL PRIVILEGES", grants) for grants in everywhere):
        message = f"the account {config.user!r} may not read the binary log"
        yield Fault("ACCESS_DENIED", message, grant_for(_SUPER_DENIED, config))


def _tables(cursor: pymysql.cursors.Cursor, config: MySQLConfig) -> Iterator[Fault]:
    readable = set()
    for table in sorted(config.tables):
        try:
            with translated(config):
                cursor.execute(f"select 1 from {quoted(config.database)}.{quoted(table)} limit 0")  # noqa: S608 -- quoted
            readable.add(table)
        except SourceNotReadyError as fault:
            yield Fault("TABLE_MISSING", fault.message, "correct the template, or the database's name")
        except FluxionError as fault:
            yield Fault(fault.code, fault.message, fault.mend)
    for table, columns in columns_of(cursor, config.database, readable).items():
        if not any(column.is_key for column in columns):
            mend = f"ALTER TABLE {quoted(table)} ADD PRIMARY KEY (…) over whole columns"
            yield Fault("NO_PRIMARY_KEY", f"table {table} has no primary key over whole columns", mend)
        try:
            layout_of(table, columns)
        except SourceNotReadyError as fault:
            yield Fault("UNSUPPORTED_TYPE", f"table {table}: {fault.message}", fault.mend)


def _only(cursor: pymysql.cursors.Cursor) -> Any:
    row = cursor.fetchone()
    return row[0] if row else None
