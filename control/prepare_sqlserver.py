"""The T-SQL that lets an agent capture a SQL Server 2012 or newer, and its reverse.

Never sp_configure, xp_cmdshell, ALTER SERVER or membership in a role of the server. Sources:
https://learn.microsoft.com/sql/relational-databases/track-changes/enable-and-disable-change-tracking-sql-server,
…/manage-change-tracking-sql-server#security, …/enable-and-disable-change-data-capture-sql-server.
"""

from collections.abc import Iterator

from control.prepare import PASSWORD, Method, Script, Step, Target, one_line, said_once
from control.prepare_text import say
from control.status_text import Language
from fluxion.errors import ConfigurationError
from producers.sources.sqlserver.rowversion_tables import ROWVERSION
from producers.sources.sqlserver.values import quoted

CDC_ROLE = "fluxion_cdc"
RETENTION_DAYS = 7
TITLES = {
    Method.CHANGE_TRACKING: "Change Tracking",
    Method.CDC: "Change Data Capture",
    Method.ROWVERSION: "rowversion",
}
# Rather than queue behind a register and hold up those behind us, a statement gives up after this.
_LOCK_TIMEOUT_MS = 5_000
_NOT_FOR_AN_AGENT = {"sa", "dbo", "guest", "public", "sys", "information_schema"}
_ROWVERSION_TYPE = 189
_CDC_OWN_USER = "cdc"
_THIS = "sys.databases WHERE database_id = DB_ID()"
_TRACKED = "sys.change_tracking_databases WHERE database_id = DB_ID()"
_MINUTES = "retention_period * CASE retention_period_units WHEN 1 THEN 1 WHEN 2 THEN 60 ELSE 1440 END"
_GRANTED = {
    Method.CHANGE_TRACKING: "SELECT, VIEW CHANGE TRACKING",
    Method.CDC: "SELECT",
    Method.ROWVERSION: "SELECT",
}


def prepare(target: Target, method: Method, language: Language) -> Script:
    """Return what an administrator has to run; ConfigurationError where the login is not one for an agent."""
    _demand_own_login(target, method)
    name = quoted(target.database)
    admin = "sysadmin" if method is Method.CDC else "db_owner + securityadmin"
    back = "" if method is Method.CHANGE_TRACKING else f" --method {method}"
    values = {"database": name, "name": one_line(target.system_name), "method": TITLES[method], "admin": admin}
    snapshot = Step(
        f"ALTER DATABASE {name} SET ALLOW_SNAPSHOT_ISOLATION ON",
        _there(f"{_THIS} AND snapshot_isolation_state NOT IN (1, 3)"),
        say(language, "snapshot"),
    )
    recording = {Method.CHANGE_TRACKING: _tracking, Method.CDC: _capture, Method.ROWVERSION: _versions}[method]
    steps = (snapshot, *recording(target, language), *_access(target, method, language))
    return Script(say(language, "heading", id=target.system_id + back, **values), _session(target), steps)


def undo(target: Target, method: Method, language: Language, *, everything: bool) -> Script:
    """Return the way back. everything: also what others may use, of the database and of the server."""
    _demand_own_login(target, method)
    values = {"database": quoted(target.database), "name": one_line(target.system_name), "method": TITLES[method]}
    steps = [*_no_access(target, method, language)]
    if method is Method.CHANGE_TRACKING:
        steps += _no_tracking(target, language)
    if method is Method.CDC:
        steps += _no_capture(target, language)
    shared = _no_database(target, method, language, everything=everything)
    heading = say(language, "undo_heading", **values) + ("" if everything else "\n" + say(language, "undo_shared"))
    return Script(heading, _session(target), (*steps, *shared))


def text(value: str) -> str:
    """Return a value as a T-SQL literal."""
    return "N'" + value.replace("'", "''") + "'"


def _demand_own_login(target: Target, method: Method) -> None:
    user = target.user.casefold()
    if user in _NOT_FOR_AN_AGENT or (method is Method.CDC and user == _CDC_OWN_USER):
        why = "belongs to Change Data Capture itself" if user == _CDC_OWN_USER else "is none for an agent"
        message = f"the login {target.user!r} {why}"
        raise ConfigurationError(message, "give the system a login of its own: `fluxion system add … --user fluxion`")


def _session(target: Target) -> tuple[str, ...]:
    # XACT_ABORT: it is one batch, and ends at the first error.
    return ("SET XACT_ABORT ON", f"SET LOCK_TIMEOUT {_LOCK_TIMEOUT_MS}", f"USE {quoted(target.database)}")


def _there(rows: str) -> str:
    return f"EXISTS (SELECT 1 FROM {rows})"  # noqa: S608 -- names in it are quoted


def _missing(rows: str) -> str:
    return f"NOT {_there(rows)}"


def _and(*conditions: str) -> str:
    return "\n   AND ".join(conditions)


def _table(target: Target, table: str) -> str:
    return f"{quoted(target.schema)}.{quoted(table)}"


# Preparing ------------------------------------------------------------------------------------------------------------


def _tracking(target: Target, language: Language) -> Iterator[Step]:
    name, days = quoted(target.database), f"CHANGE_RETENTION = {RETENTION_DAYS} DAYS"
    yield Step(
        f"ALTER DATABASE {name} SET CHANGE_TRACKING = ON ({days}, AUTO_CLEANUP = ON)",
        _missing(_TRACKED),
        say(language, "tracking"),
    )
    yield Step(
        f"ALTER DATABASE {name} SET CHANGE_TRACKING ({days})",
        _there(f"{_TRACKED} AND is_auto_cleanup_on = 1\n   AND {_MINUTES} < {RETENTION_DAYS * 1440}"),
        say(language, "retention"),
    )
    tables = (
        Step(f"ALTER TABLE {name} ENABLE CHANGE_TRACKING", _missing(_tracked(name)))
        for name in (_table(target, table) for table in target.tables)
    )
    yield from said_once(say(language, "tables"), tables)


def _tracked(name: str) -> str:
    return f"sys.change_tracking_tables WHERE object_id = OBJECT_ID({text(name)})"


def _capture(target: Target, language: Language) -> Iterator[Step]:
    yield Step("EXEC sys.sp_cdc_enable_db", _there(f"{_THIS} AND is_cdc_enabled = 0"), say(language, "cdc"))
    tables = (
        Step(
            f"EXEC sys.sp_cdc_enable_table @source_schema = {text(target.schema)}, @source_name = {text(table)}, "
            f"@capture_instance = {text(_instance(target, table))}, @role_name = {text(CDC_ROLE)}, "
            "@supports_net_changes = 0",
            f"{_captured(target, table)} IS NULL",
        )
        for table in target.tables
    )
    yield from said_once(say(language, "cdc_tables", role=CDC_ROLE), tables)


def _instance(target: Target, table: str) -> str:
    """Return the name of a capture instance of our own: a table may have two, and one may be somebody else's."""
    return f"fluxion_{target.schema}_{table}"


def _captured(target: Target, table: str) -> str:
    """Return the number of a capture instance's table, NULL where there is none (or no schema cdc)."""
    return f"OBJECT_ID({text('[cdc].' + quoted(_instance(target, table) + '_CT'))})"


def _versions(target: Target, language: Language) -> Iterator[Step]:
    """Only show how a table gets its column: it rewrites the table, and the column stays in the point of sale's own tables."""
    tables = (
        Step(
            f"ALTER TABLE {name} ADD {quoted(ROWVERSION)} rowversion",
            _missing(f"sys.columns WHERE object_id = OBJECT_ID({text(name)}) AND system_type_id = {_ROWVERSION_TYPE}"),
            chosen=False,
        )
        for name in (_table(target, table) for table in target.tables)
    )
    yield from said_once(say(language, "versions"), tables)


def _access(target: Target, method: Method, language: Language) -> Iterator[Step]:
    user, literal = quoted(target.user), text(target.user)
    yield Step(
        f"CREATE LOGIN {user} WITH PASSWORD = N'{PASSWORD}'",
        _missing(f"sys.server_principals WHERE name = {literal}"),
        say(language, "login"),
    )
    principal = f"sys.database_principals WHERE name = {literal}"
    yield Step(f"CREATE USER {user} FOR LOGIN {user}", _missing(principal))
    yield Step(
        f"ALTER USER {user} WITH LOGIN = {user}",
        _there(f"{principal} AND sid <> SUSER_SID({literal})"),
        say(language, "orphan"),
    )
    grants = (Step(f"GRANT {_GRANTED[method]} ON OBJECT::{_table(target, table)} TO {user}") for table in target.tables)
    yield from said_once(say(language, "grants"), grants)
    if method is Method.CDC:
        is_not_member = f"ISNULL(IS_ROLEMEMBER({text(CDC_ROLE)}, {literal}), 0) = 0"
        yield Step(f"ALTER ROLE {quoted(CDC_ROLE)} ADD MEMBER {user}", is_not_member)


# Undoing --------------------------------------------------------------------------------------------------------------


def _no_access(target: Target, method: Method, language: Language) -> Iterator[Step]:
    user, principal = quoted(target.user), f"DATABASE_PRINCIPAL_ID({text(target.user)})"
    revokes = (
        Step(
            f"REVOKE {_GRANTED[method]} ON OBJECT::{name} FROM {user}",
            f"{principal} IS NOT NULL AND OBJECT_ID({text(name)}) IS NOT NULL",
        )
        for name in (_table(target, table) for table in target.tables)
    )
    yield from said_once(say(language, "undo_grants"), revokes)
    if method is Method.CDC:
        is_member = f"IS_ROLEMEMBER({text(CDC_ROLE)}, {text(target.user)}) = 1"
        yield Step(f"ALTER ROLE {quoted(CDC_ROLE)} DROP MEMBER {user}", is_member)
    yield Step(
        f"DROP USER {user}",
        # CO: the permission to connect, which each user has.
        _and(
            f"{principal} IS NOT NULL",
            _missing(f"sys.database_permissions WHERE grantee_principal_id = {principal} AND type <> 'CO'"),
            _missing(f"sys.database_role_members WHERE member_principal_id = {principal}"),
        ),
        say(language, "undo_user"),
    )


def _no_tracking(target: Target, language: Language) -> Iterator[Step]:
    tables = (
        Step(f"ALTER TABLE {name} DISABLE CHANGE_TRACKING", _there(_tracked(name)))
        for name in (_table(target, table) for table in target.tables)
    )
    yield from said_once(say(language, "undo_tables"), tables)


def _no_capture(target: Target, language: Language) -> Iterator[Step]:
    tables = (
        Step(
            f"EXEC sys.sp_cdc_disable_table @source_schema = {text(target.schema)}, @source_name = {text(table)}, "
            f"@capture_instance = {text(_instance(target, table))}",
            f"{_captured(target, table)} IS NOT NULL",
        )
        for table in target.tables
    )
    yield from said_once(say(language, "undo_cdc_tables"), tables)
    role = f"DATABASE_PRINCIPAL_ID({text(CDC_ROLE)})"
    yield Step(
        f"DROP ROLE {quoted(CDC_ROLE)}",
        _and(f"{role} IS NOT NULL", _missing(f"sys.database_role_members WHERE role_principal_id = {role}")),
    )


def _no_database(target: Target, method: Method, language: Language, *, everything: bool) -> Iterator[Step]:
    """Return what others may use. Even asked for, it leaves on what has tables that are not ours."""
    name, comment = quoted(target.database), say(language, "undo_database", method=TITLES[method])
    if method is Method.CHANGE_TRACKING:
        unused = _and(_there(_TRACKED), _missing("sys.change_tracking_tables"))
        yield Step(f"ALTER DATABASE {name} SET CHANGE_TRACKING = OFF", unused, comment, everything)
    elif method is Method.CDC:
        unused = _and(_there(f"{_THIS} AND is_cdc_enabled = 1"), _missing("sys.tables WHERE is_tracked_by_cdc = 1"))
        yield Step("EXEC sys.sp_cdc_disable_db", unused, comment, everything)
    else:
        yield from said_once(say(language, "undo_versions"), _no_versions(target, everything=everything))
    yield Step(
        f"ALTER DATABASE {name} SET ALLOW_SNAPSHOT_ISOLATION OFF",
        _there(f"{_THIS} AND snapshot_isolation_state IN (1, 3)"),
        comment if method is Method.ROWVERSION else "",
        everything,
    )
    yield Step(
        f"DROP LOGIN {quoted(target.user)}",
        _there(f"sys.server_principals WHERE name = {text(target.user)}"),
        say(language, "undo_login"),
        everything,
    )


def _no_versions(target: Target, *, everything: bool) -> Iterator[Step]:
    for name in (_table(target, table) for table in target.tables):
        there = _there(f"sys.columns WHERE object_id = OBJECT_ID({text(name)}) AND name = {text(ROWVERSION)}")
        yield Step(f"ALTER TABLE {name} DROP COLUMN {quoted(ROWVERSION)}", there, chosen=everything)
