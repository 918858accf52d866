"""Statements about the session: SET, USE, transactions, variables, messages and errors."""

import re
import time

from tests.support.tds.engine.query import scalar
from tests.support.tds.engine.session import Session
from tests.support.tds.errors import SqlError, StatementCancelledError, syntax
from tests.support.tds.results import Column, Result
from tests.support.tds.tsql import typemap
from tests.support.tds.tsql.rewrite import slug
from tests.support.tds.tsql.translate import parse
from tests.support.tds.types import SqlType

POLL_S = 0.02  # how soon a WAITFOR notices that it was cancelled


def ignored(_session: Session, _found: re.Match[str]) -> None:
    """Other SET options, permissions and RETURN have no effect here."""


def set_isolation(session: Session, found: re.Match[str]) -> None:
    """SET TRANSACTION ISOLATION LEVEL."""
    session.state.isolation = " ".join(found["level"].upper().split())


def set_identity_insert(session: Session, found: re.Match[str]) -> None:
    """SET IDENTITY_INSERT table ON or OFF."""
    session.state.identity_insert = slug(found["table"]) if found["switch"].upper() == "ON" else ""


def set_implicit(session: Session, found: re.Match[str]) -> None:
    """SET IMPLICIT_TRANSACTIONS."""
    session.state.implicit_transactions = found["switch"].upper() == "ON"


def set_xact_abort(session: Session, found: re.Match[str]) -> None:
    """SET XACT_ABORT."""
    session.state.xact_abort = found["switch"].upper() == "ON"


def set_lock_timeout(session: Session, found: re.Match[str]) -> None:
    """SET LOCK_TIMEOUT: -1 waits for ever, which PostgreSQL calls 0; 0 waits not at all, which is nearly 1 ms."""
    asked = int(found["milliseconds"])
    session.run(f"SET lock_timeout = {0 if asked < 0 else max(asked, 1)}")
    session.state.lock_timeout = asked


def use(session: Session, found: re.Match[str]) -> list[Result]:
    """USE database."""
    session.use(found["name"])
    return [Result(database=session.database)]


def begin(session: Session, _found: re.Match[str]) -> None:
    """BEGIN TRANSACTION."""
    session.begin()


def commit(session: Session, _found: re.Match[str]) -> None:
    """COMMIT."""
    session.commit()


def save(session: Session, found: re.Match[str]) -> None:
    """SAVE TRANSACTION name."""
    session.save(found["name"])


def rollback(session: Session, found: re.Match[str]) -> None:
    """ROLLBACK, to a savepoint if one is named."""
    if session.state.depth == 0:
        raise SqlError(3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
    if found["name"] is None:
        session.rollback()
    else:
        session.roll_back_to(found["name"])


def declare(session: Session, found: re.Match[str]) -> list[Result]:
    """DECLARE variables."""
    for item in parse(found.string).expressions:
        kind = typemap.declared(item.args["kind"])
        default = item.args.get("default")
        value = scalar(session, default.sql("tsql")) if default else None
        for variable in item.this if isinstance(item.this, list) else [item.this]:
            session.declare(variable.name, kind, value)
    return []


def set_variable(session: Session, found: re.Match[str]) -> list[Result]:
    """SET @a = expression, and +=, -=, *=, /=."""
    name, operator, value = found["name"].lower(), found["operator"], found["value"]
    kind = session.state.variables.get(name)
    if kind is None:
        raise SqlError(137, f'Must declare the scalar variable "@{found["name"]}".', 15)
    session.declare(name, kind, scalar(session, f"@{name} {operator} ({value})" if operator else value))
    return []


def print_message(session: Session, found: re.Match[str]) -> list[Result]:
    """PRINT expression."""
    return [Result(messages=[str(scalar(session, found["value"]))])]


def raise_error(_session: Session, found: re.Match[str]) -> None:
    """RAISERROR(text, severity, state); without formatting."""
    inside = found["arguments"]
    parts = re.match(r"\s*N?'((?:[^']|'')*)'\s*,\s*(\d+)\s*,\s*(\d+)", inside)
    message, severity, state = parts.groups() if parts else (inside, "16", "1")
    raise SqlError(50000, message.replace("''", "'"), int(severity), int(state))


def throw(session: Session, found: re.Match[str]) -> None:
    """THROW, or THROW number, text, state."""
    arguments = found["arguments"]
    if not arguments.strip():
        message = "To rethrow an error, a THROW statement must be used inside a CATCH block."
        raise session.state.last_error or SqlError(10704, message, 15)
    parts = re.match(r"\s*(\d+)\s*,\s*N?'((?:[^']|'')*)'\s*,\s*(\d+)", arguments)
    if parts is None:
        raise syntax("Incorrect syntax near 'THROW'.")
    raise SqlError(int(parts[1]), parts[2].replace("''", "'"), 16, int(parts[3]))


def wait(session: Session, found: re.Match[str]) -> None:
    """WAITFOR DELAY 'h:m:s'."""
    seconds = int(found["hours"]) * 3600 + int(found["minutes"]) * 60 + float(found["seconds"])
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if session.cancelled:
            raise StatementCancelledError
        time.sleep(POLL_S)


def isolation_for_sqlalchemy(_session: Session, _found: re.Match[str]) -> list[Result]:
    """What SQLAlchemy asks after it connected."""
    return [Result([Column("", SqlType("varchar", 20))], [["READ COMMITTED"]])]


def no_extended_properties(_session: Session, _found: re.Match[str]) -> list[Result]:
    """What SQLAlchemy asks when it reflects a table."""
    return [Result([Column("", SqlType("int"))], [])]
