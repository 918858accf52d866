"""What lets an agent capture a MariaDB, and its reverse. Printed only: half of it is the server's own file."""

from collections.abc import Iterator

from control.prepare import PASSWORD, Script, Step, Target, one_line, said_once
from control.prepare_text import say
from control.status_text import Language
from producers.sources.mysql.values import quoted


def prepare(target: Target, language: Language) -> Script:
    """Return what an administrator has to run, with the settings to make before it."""
    values = {"database": quoted(target.database), "name": one_line(target.system_name), "id": target.system_id}
    account = _account(target)
    grants = [Step(f"GRANT SELECT ON {table} TO {account}") for table in _tables(target)]
    steps = (
        Step(f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{PASSWORD}'", comment=say(language, "mysql_user")),
        Step(f"GRANT REPLICATION SLAVE ON *.* TO {account}", comment=say(language, "mysql_log")),
        *said_once(say(language, "grants"), grants),
    )
    return Script(say(language, "mysql_heading", **values), (), steps)


def undo(target: Target, language: Language, *, everything: bool) -> Script:
    """Return the way back. everything: also the account, which other databases may use."""
    account = _account(target)
    revokes = [] if everything else [Step("REVOKE SELECT" + f" ON {table} FROM {account}") for table in _tables(target)]
    dropped = Step(f"DROP USER IF EXISTS {account}", None, say(language, "mysql_undo_user"), everything)
    heading = say(language, "mysql_undo_heading", name=one_line(target.system_name))
    return Script(heading, (), (*said_once(say(language, "mysql_undo_grants"), revokes), dropped))


def _tables(target: Target) -> Iterator[str]:
    for table in target.tables:
        yield f"{quoted(target.database)}.{quoted(table)}"


def _account(target: Target) -> str:
    user = target.user.replace("\\", "\\\\").replace("'", "''")
    return f"'{user}'@'%'"
