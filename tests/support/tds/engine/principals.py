"""Logins, users and roles. A login needs its password, and a user in each database; permissions are never asked for."""

import json
import re
from contextlib import closing
from dataclasses import dataclass

from tests.support.tds.engine.databases import Databases
from tests.support.tds.engine.session import Session
from tests.support.tds.errors import SqlError, not_emulated
from tests.support.tds.tsql.rewrite import bare

PUBLIC = frozenset({"master", "tempdb"})  # every login is a guest there
PASSWORD = re.compile(r"\bPASSWORD\s*=\s*N?'((?:[^']|'')*)'", re.IGNORECASE)

GRANT = "INSERT INTO standin.permissions VALUES ($1, $2, coalesce(sys.object_id($3), 0)) ON CONFLICT DO NOTHING"
REVOKE = (
    "DELETE FROM standin.permissions WHERE grantee = $1::citext AND permission = $2::citext "
    "AND object = coalesce(sys.object_id($3), 0)"
)


@dataclass(frozen=True)
class Logins:
    """The logins of an instance beside its administrator, kept with the settings of master, where all databases see them."""

    databases: Databases

    def all(self) -> dict[str, str]:
        """Return passwords by login, in lower case."""
        with closing(self.databases.connect("master")) as link:
            row = link.execute("SELECT coalesce(standin.settings() -> 'logins', '{}')").fetchone()
            return dict(row[0]) if row else {}

    def keep(self, logins: dict[str, str]) -> None:
        """Replace them all."""
        with closing(self.databases.connect("master")) as link:
            link.execute("SELECT standin.set_setting('logins', $1::jsonb)", [json.dumps(logins)])

    def check(self, name: str, password: str, database: str) -> None:
        """Let a login into a database; raises SqlError 18456 or 4060."""
        if self.all().get(name.lower()) != password:
            raise SqlError(18456, f"Login failed for user '{name}'.", 14)
        with closing(self.databases.connect(database)) as link:
            row = link.execute("SELECT FROM standin.principals WHERE login = $1::citext", [name]).fetchone()
        if row is None and database.lower() not in PUBLIC:
            raise SqlError(4060, f'Cannot open database "{database}" requested by the login. The login failed.', 11)


def create_login(session: Session, found: re.Match[str]) -> None:
    """CREATE LOGIN name WITH PASSWORD = 'text'."""
    logins, name = Logins(session.databases), bare(found["name"])
    known = logins.all()
    if name.lower() in known:
        raise SqlError(15025, f"The server principal '{name}' already exists.")
    logins.keep({**known, name.lower(): _password(found["options"])})


def alter_login(session: Session, found: re.Match[str]) -> None:
    """ALTER LOGIN name WITH PASSWORD = 'text'; who is connected stays so."""
    logins, name = Logins(session.databases), bare(found["name"])
    known = logins.all()
    if name.lower() not in known:
        raise _missing("alter the login", name)
    logins.keep({**known, name.lower(): _password(found["options"])})


def drop_login(session: Session, found: re.Match[str]) -> None:
    """DROP LOGIN name."""
    logins, name = Logins(session.databases), bare(found["name"])
    known = logins.all()
    if name.lower() not in known:
        raise _missing("drop the login", name)
    logins.keep({login: password for login, password in known.items() if login != name.lower()})


def create_user(session: Session, found: re.Match[str]) -> None:
    """CREATE USER name FOR LOGIN name."""
    name = bare(found["name"])
    _add(session, name, "S", _login(session, found["login"] or name))
    session.run("INSERT INTO standin.permissions VALUES ($1, 'CONNECT')", [name])


def alter_user(session: Session, found: re.Match[str]) -> None:
    """ALTER USER name WITH LOGIN = name."""
    name = _principal(session, found["name"], "alter the user")
    session.run("UPDATE standin.principals SET login = $2 WHERE name = $1", [name, _login(session, found["login"])])


def create_role(session: Session, found: re.Match[str]) -> None:
    """CREATE ROLE name."""
    _add(session, bare(found["name"]), "R", None)


def drop_principal(session: Session, found: re.Match[str]) -> None:
    """DROP USER or DROP ROLE [IF EXISTS] name; a role has to be empty."""
    kind = found["kind"].lower()
    if found["optional"] and not _has(session, found["name"]):
        return
    name = _principal(session, found["name"], f"drop the {kind}")
    if session.one("SELECT count(*) FROM standin.members WHERE role = $1::citext", name):
        raise SqlError(15144, "The role has members. It must be empty before it can be dropped.")
    session.run("SELECT standin.drop_principal($1::citext)", [name])


def alter_role(session: Session, found: re.Match[str]) -> None:
    """ALTER ROLE name ADD or DROP MEMBER name."""
    role = _principal(session, found["name"], "alter the role")
    member = _principal(session, found["member"], "alter the role's member")
    if found["verb"].upper() == "ADD":
        session.run("INSERT INTO standin.members VALUES ($1, $2) ON CONFLICT DO NOTHING", [role, member])
    else:
        session.run("DELETE FROM standin.members WHERE role = $1::citext AND member = $2::citext", [role, member])


def grant(session: Session, found: re.Match[str]) -> None:
    """GRANT or REVOKE permissions [ON object] TO or FROM somebody: remembered, never asked for."""
    grantee = _principal(session, found["grantee"], "find the user")
    thing = (found["object"] or "").split("::")[-1]
    for permission in found["permissions"].upper().split(","):
        row = [grantee, " ".join(permission.split()), thing]
        if found["verb"].upper() == "GRANT":
            session.run(GRANT, row)
        else:
            session.run(REVOKE, row)


def _add(session: Session, name: str, kind: str, login: str | None) -> None:
    if _has(session, name):
        raise SqlError(15023, f"User, group, or role '{name}' already exists in the current database.")
    session.run("INSERT INTO standin.principals (name, type, login) VALUES ($1, $2, $3)", [name, kind, login])


def _login(session: Session, written: str) -> str:
    login = bare(written)
    if login.lower() not in Logins(session.databases).all():
        raise SqlError(15007, f"'{login}' is not a valid login or you do not have permission.")
    return login


def _has(session: Session, name: str) -> bool:
    return session.one("SELECT sys.database_principal_id($1)", bare(name)) is not None


def _principal(session: Session, written: str, what: str) -> str:
    """Return the bare name of a user or a role; raises SqlError 15151."""
    if not _has(session, written):
        raise _missing(what, bare(written))
    return bare(written)


def _missing(what: str, name: str) -> SqlError:
    return SqlError(15151, f"Cannot {what} '{name}', because it does not exist or you do not have permission.")


def _password(options: str) -> str:
    found = PASSWORD.search(options)
    if found is None:
        raise not_emulated("logins without a password")
    return found[1].replace("''", "'")
