"""Run batches: control flow, and who does which statement. It is the session that the wire speaks to."""

import logging
import re
from collections.abc import Callable, Sequence

import psycopg
from sqlglot import exp

from tests.support.tds.engine import (
    database_ddl,
    principals,
    procedures,
    table_ddl,
)
from tests.support.tds.engine import (
    session_statements as statements,
)
from tests.support.tds.engine.query import query, scalar
from tests.support.tds.engine.session import Session
from tests.support.tds.errors import SqlError, StatementCancelledError
from tests.support.tds.results import Parameter, Result
from tests.support.tds.tsql import script, typemap
from tests.support.tds.tsql.rewrite import NAME

log = logging.getLogger(__name__)

Outcome = tuple[list[Result], SqlError | None]
Handler = Callable[[Session, re.Match[str]], list[Result] | None]
NAMED = NAME.replace("(", "(?P<name>", 1)
LOGIN = NAME.replace("(", "(?P<login>", 1)
MEMBER = NAME.replace("(", "(?P<member>", 1)
GRANT = (
    r"(?P<verb>GRANT|REVOKE)\s+(?P<permissions>[\w\s,]+?)(?:\s+ON\s+(?P<object>(?:\w+\s*::\s*)?(?:\[[^\]]+\]|[\w.])+))?"
    r"\s+(?:TO|FROM)\s+" + NAME.replace("(", "(?P<grantee>", 1)
)
PROCEDURE = r"(?P<name>(?:\[?\w+\]?\.)*\[?\w+\]?)\s*(?P<arguments>.*)"
SP_EXECUTESQL = r"(?:EXEC(?:UTE)?\s+)?(?:sys\.)?sp_executesql\s+(?P<arguments>.*)"
#: The first form that fits a statement's beginning says what it is; all others are queries and DML.
FORMS: tuple[tuple[str, Handler], ...] = (
    (r"SET\s+TRANSACTION\s+ISOLATION\s+LEVEL\s+(?P<level>.+)", statements.set_isolation),
    (r"SET\s+IDENTITY_INSERT\s+(?P<table>\S+)\s+(?P<switch>ON|OFF)", statements.set_identity_insert),
    (r"SET\s+IMPLICIT_TRANSACTIONS\s+(?P<switch>ON|OFF)", statements.set_implicit),
    (r"SET\s+XACT_ABORT\s+(?P<switch>ON|OFF)", statements.set_xact_abort),
    (r"SET\s+LOCK_TIMEOUT\s+(?P<milliseconds>-?\d+)", statements.set_lock_timeout),
    (r"SET\s+@(?P<name>\w+)\s*(?P<operator>[-+*/]?)=\s*(?P<value>.+)", statements.set_variable),
    (r"SET\s", statements.ignored),
    (r"DECLARE\s", statements.declare),
    (r"USE\s+\[?(?P<name>\w+)\]?", statements.use),
    (r"BEGIN\s+TRAN(?:SACTION)?", statements.begin),
    (r"COMMIT\b", statements.commit),
    (r"SAVE\s+TRAN(?:SACTION)?\s+(?P<name>\w+)", statements.save),
    (r"ROLLBACK\b(?:\s+TRAN(?:SACTION)?)?(?:\s+(?P<name>\w+))?", statements.rollback),
    (r"PRINT\s+(?P<value>.+)", statements.print_message),
    (r"RAISERROR\s*\((?P<arguments>.+)\)", statements.raise_error),
    (r"THROW\b(?P<arguments>.*)", statements.throw),
    (r"WAITFOR\s+DELAY\s+'(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>[\d.]+)'", statements.wait),
    (GRANT, principals.grant),
    (r"(?:RETURN\b|(?:GRANT|REVOKE|DENY)\s)", statements.ignored),
    (rf"EXEC(?:UTE)?\s+{PROCEDURE}", procedures.execute),
    (r"(?P<name>(?:sys\.)?sp_\w+)\s*(?P<arguments>.*)", procedures.execute),
    (r"SELECT\s+CASE\s+TRANSACTION_ISOLATION_LEVEL", statements.isolation_for_sqlalchemy),
    (r".*\bFN_LISTEXTENDEDPROPERTY\b", statements.no_extended_properties),
)
DDL_FORMS: tuple[tuple[str, Handler], ...] = (
    (rf"CREATE\s+DATABASE\s+{NAMED}", database_ddl.create_database),
    (rf"DROP\s+DATABASE\s+(?P<optional>IF\s+EXISTS\s+)?{NAMED}", database_ddl.drop_database),
    (rf"ALTER\s+DATABASE\s+{NAMED}\s+SET\s+(?P<options>.*)", database_ddl.alter_database),
    (
        rf"ALTER\s+TABLE\s+{NAMED}\s+(?P<verb>ENABLE|DISABLE)\s+CHANGE_TRACKING(?P<options>.*)",
        database_ddl.change_tracking,
    ),
    (r"CREATE\s+SCHEMA\s+\[?(?P<name>\w+)\]?", database_ddl.create_schema),
    (rf"CREATE\s+LOGIN\s+{NAMED}\s+WITH\s+(?P<options>.*)", principals.create_login),
    (rf"ALTER\s+LOGIN\s+{NAMED}\s+WITH\s+(?P<options>.*)", principals.alter_login),
    (rf"DROP\s+LOGIN\s+{NAMED}", principals.drop_login),
    (rf"CREATE\s+USER\s+{NAMED}(?:\s+(?:FOR|FROM)\s+LOGIN\s+{LOGIN})?", principals.create_user),
    (rf"ALTER\s+USER\s+{NAMED}\s+WITH\s+LOGIN\s*=\s*{LOGIN}", principals.alter_user),
    (rf"CREATE\s+ROLE\s+{NAMED}", principals.create_role),
    (rf"ALTER\s+ROLE\s+{NAMED}\s+(?P<verb>ADD|DROP)\s+MEMBER\s+{MEMBER}", principals.alter_role),
    (rf"DROP\s+(?P<kind>USER|ROLE)\s+(?P<optional>IF\s+EXISTS\s+)?{NAMED}", principals.drop_principal),
    (
        r"(?:CREATE|ALTER|DROP)\s+(?:TRIGGER|PROC|PROCEDURE|FUNCTION|TYPE|LOGIN|USER|ROLE)\b",
        database_ddl.unsupported,
    ),
    (r"CREATE\s+TABLE\b", table_ddl.create_table),
    (r"ALTER\s+TABLE\b", table_ddl.alter_table),
    (r"DROP\s+TABLE\b", table_ddl.drop_table),
)


def _compiled(forms: Sequence[tuple[str, Handler]]) -> list[tuple[re.Pattern[str], Handler]]:
    return [(re.compile(pattern, re.IGNORECASE | re.DOTALL), handler) for pattern, handler in forms]


_FORMS, _DDL_FORMS = _compiled(FORMS), _compiled(DDL_FORMS)
_SP_EXECUTESQL = re.compile(SP_EXECUTESQL, re.IGNORECASE | re.DOTALL)


class Batches:
    """Runs the batches and calls of one session, one at a time; `cancel` comes from another thread."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.begin = session.begin
        self.commit = session.commit
        self.rollback = session.rollback
        self.reset = session.reset

    @property
    def database(self) -> str:
        """The current database, spelled as it was created."""
        return self.session.database

    def execute(self, sql: str, parameters: Sequence[Parameter]) -> Outcome:
        """Run a batch. What was produced before an error is returned with the error."""
        session = self.session
        session.state.variables, session.state.values = {}, {}
        for parameter in parameters:
            session.declare(parameter.name.lstrip("@"), parameter.type, parameter.value)
        session.cancelled = False
        results: list[Result] = []
        try:
            self._nodes(script.parse_batch(sql), results)
        except SqlError as failure:
            log.info("spid %d: error %d %s in %s", session.spid, failure.number, failure.message, sql[:300])
            return results, failure
        except (StatementCancelledError, psycopg.OperationalError):
            raise
        except Exception as failure:
            log.exception("spid %d: the stand-in failed in %s", session.spid, sql[:300])
            return results, SqlError(50000, f"[stand-in failed] {type(failure).__name__}: {failure}")
        return results, None

    def call(self, name: str, parameters: Sequence[Parameter]) -> Outcome:
        """Run a stored procedure called by RPC, as {CALL ..} does."""
        log.debug("spid %d: call %s", self.session.spid, name)
        arguments = [(parameter.name.lstrip("@").lower(), parameter.value) for parameter in parameters]
        try:
            return procedures.call(self.session, name, arguments), None
        except SqlError as failure:
            return [], failure

    def cancel(self) -> None:
        """Stop the running statement."""
        self.session.cancelled = True
        self.session.link.cancel_safe(timeout=5)

    def close(self) -> None:
        """Leave; PostgreSQL rolls back."""
        self.session.link.close()

    def _nodes(self, nodes: Sequence[script.Node], results: list[Result]) -> None:
        for node in nodes:
            if self.session.cancelled:
                raise StatementCancelledError
            match node:
                case script.Statement():
                    self._guarded(node.text, results)
                case script.If():
                    self._nodes(node.then if self._test(node.condition) else node.otherwise, results)
                case script.While():
                    while self._test(node.condition):
                        self._nodes(node.body, results)
                case script.Try():
                    self._attempt(node, results)

    def _attempt(self, node: script.Try, results: list[Result]) -> None:
        try:
            self._nodes(node.body, results)
        except SqlError as failure:
            self.session.state.last_error = failure
            self._nodes(node.catch, results)

    def _test(self, condition: str) -> bool:
        return bool(scalar(self.session, f"CASE WHEN {condition} THEN 1 ELSE 0 END"))

    def _guarded(self, text: str, results: list[Result]) -> None:
        """Run one statement; an error undoes it, or the whole transaction where XACT_ABORT says so."""
        log.debug("spid %d: %s", self.session.spid, text[:500])
        try:
            if found := _SP_EXECUTESQL.match(text):
                self._execute_sql(found["arguments"], results)
            else:
                results += self._statement(text)
        except SqlError:
            if self.session.state.xact_abort:
                self.session.rollback()
            raise

    def _statement(self, text: str) -> list[Result]:
        for forms, is_ddl in ((_FORMS, False), (_DDL_FORMS, True)):
            for pattern, handler in forms:
                if found := pattern.match(text):
                    outcome = handler(self.session, found)
                    if is_ddl:
                        self.session.forget_schema()
                    return [Result()] if outcome is None else outcome
        return [query(self.session, text)]

    def _execute_sql(self, arguments: str, results: list[Result]) -> None:
        """EXEC sp_executesql inside a batch, with named parameters."""
        named = procedures.by_name(("stmt", "params"), procedures.arguments_of(self.session, arguments))
        for name, kind in re.findall(r"@(\w+)\s+([^,@]+(?:\([^)]*\))?)", str(named.get("params") or "")):
            declared = typemap.declared(exp.DataType.build(kind.strip(), dialect="tsql"))
            self.session.declare(name, declared, named.get(name.lower()))
        self._nodes(script.parse_batch(named["stmt"]), results)
