"""CREATE, ALTER and DROP DATABASE, schemas, and change tracking of databases and tables."""

import re

from tests.support.tds.engine.session import Session
from tests.support.tds.errors import SqlError, not_emulated
from tests.support.tds.tsql.rewrite import bare

UNITS = frozenset({"DAYS", "HOURS", "MINUTES"})


def create_database(session: Session, found: re.Match[str]) -> None:
    """CREATE DATABASE name."""
    session.databases.create(bare(found["name"]))


def drop_database(session: Session, found: re.Match[str]) -> None:
    """DROP DATABASE name; whoever is connected to it loses the connection, as after SET SINGLE_USER."""
    name = bare(found["name"])
    known = name.lower() in session.databases.names()
    if not known and not found["optional"]:
        message = f"Cannot drop the database '{name}', because it does not exist or you do not have permission."
        raise SqlError(3701, message, 11)
    if name.lower() == session.database.lower():
        raise SqlError(3702, f'Cannot drop database "{name}" because it is currently in use.')
    if known:
        session.databases.drop(name)


def alter_database(session: Session, found: re.Match[str]) -> None:
    """ALTER DATABASE name SET: change tracking and the two kinds of snapshots; other options do nothing."""
    home, wanted = session.database, bare(found["name"])
    if wanted.upper() == "CURRENT" or wanted.lower() == home.lower():
        _set_option(session, found["options"])
        return
    session.use(wanted)
    try:
        _set_option(session, found["options"])
    finally:
        session.use(home)


def _set_option(session: Session, options: str) -> None:
    text = " ".join(options.upper().split())
    if text.startswith("CHANGE_TRACKING"):
        _set_change_tracking(session, text)
    elif switch := re.match(r"(ALLOW_SNAPSHOT_ISOLATION|READ_COMMITTED_SNAPSHOT) (ON|OFF)", text):
        key = "snapshot" if switch[1].startswith("ALLOW") else "rcsi"
        session.run("SELECT standin.set_setting($1, to_jsonb($2::boolean))", [key, switch[2] == "ON"])


def _set_change_tracking(session: Session, text: str) -> None:
    enable = re.match(r"CHANGE_TRACKING ?= ?(ON|OFF)", text)
    retention = re.search(r"CHANGE_RETENTION ?= ?(\d+) (\w+)", text)
    cleanup = re.search(r"AUTO_CLEANUP ?= ?(ON|OFF)", text)
    if retention and retention[2] not in UNITS:
        raise SqlError(155, f"'{retention[2]}' is not a recognized CHANGE RETENTION UNIT option.", 15)
    session.run(
        "SELECT standin.ct_database($1, $2, $3, $4)",
        [
            enable[1] == "ON" if enable else None,
            int(retention[1]) if retention else None,
            retention[2] if retention else None,
            cleanup[1] == "ON" if cleanup else None,
        ],
    )


def change_tracking(session: Session, found: re.Match[str]) -> None:
    """ALTER TABLE name ENABLE or DISABLE CHANGE_TRACKING."""
    table = bare(found["name"])
    if found["verb"].upper() == "DISABLE":
        session.run("SELECT standin.ct_disable($1)", [table])
        return
    columns = bool(re.search(r"TRACK_COLUMNS_UPDATED\s*=\s*ON", found["options"], re.IGNORECASE))
    session.run("SELECT standin.ct_enable($1, $2)", [table, columns])


def create_schema(session: Session, found: re.Match[str]) -> None:
    """CREATE SCHEMA name."""
    session.run(f'CREATE SCHEMA "{found["name"].lower()}"', verb="CREATE")


def unsupported(_session: Session, found: re.Match[str]) -> None:
    """Triggers, procedures, functions, types and roles."""
    raise not_emulated(" ".join(found.string.split()[:3]))
