"""One connection: its database, transaction, variables and settings. What T-SQL means by them is in the other modules."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.support.tds.engine import postgres_errors
from tests.support.tds.engine.catalogue import Catalogue
from tests.support.tds.engine.databases import Databases
from tests.support.tds.errors import SqlError, StatementCancelledError, not_emulated
from tests.support.tds.types import SqlType

LEVELS = {"SNAPSHOT": "REPEATABLE READ", "REPEATABLE READ": "REPEATABLE READ", "SERIALIZABLE": "SERIALIZABLE"}
TOO_LATE = (
    "Transaction failed in database '{}' because the statement was run under snapshot isolation but the transaction did "
    "not start in snapshot isolation. You cannot change the isolation level of the transaction to snapshot after the "
    "transaction has started unless the transaction was originally started under snapshot isolation level."
)
NOT_ALLOWED = (
    "Snapshot isolation transaction failed accessing database '{}' because snapshot isolation is not allowed in this "
    "database. Use ALTER DATABASE to allow snapshot isolation."
)


@dataclass
class State:
    """What RESETCONNECTION forgets."""

    isolation: str = "READ COMMITTED"
    transaction_isolation: str = ""
    depth: int = 0  # @@TRANCOUNT
    savepoints: set[str] = field(default_factory=set)
    implicit_transactions: bool = False
    xact_abort: bool = False
    lock_timeout: int = -1
    schema_changed: bool = False  # by this transaction
    catalogue: Catalogue | None = None  # of this transaction, where it changed the schema
    identity_insert: str = ""  # the table's slug
    identity: int | None = None
    rowcount: int = 0
    last_error: SqlError | None = None
    variables: dict[str, SqlType] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


class Session:
    """One PostgreSQL connection that behaves as a session of SQL Server."""

    def __init__(self, databases: Databases, database: str, spid: int, login: str) -> None:
        self.databases = databases
        self.spid = spid
        self.login = login
        self.link = databases.connect(database)
        self.database = self._spelled(database)
        self.state = State()
        self.cancelled = False

    def _spelled(self, database: str) -> str:
        row = self.link.execute("SELECT standin.settings() ->> 'name'").fetchone()
        return str(row[0]) if row and row[0] else database

    def use(self, database: str) -> None:
        """Change to another database; raises SqlError 911."""
        if self.state.depth:
            raise not_emulated("USE inside a transaction")
        try:
            fresh = self.databases.connect(database)
        except SqlError as failure:
            message = f"Database '{database}' does not exist. Make sure that the name is entered correctly."
            raise SqlError(911, message) from failure
        self.link.close()
        self.link = fresh
        self.database = self._spelled(database)

    # transactions

    def begin(self, isolation: str | None = None) -> None:
        """Begin a transaction, or count one more inside it."""
        state = self.state
        state.isolation = isolation or state.isolation
        if state.depth == 0:
            self._control("BEGIN ISOLATION LEVEL " + LEVELS.get(state.isolation, "READ COMMITTED"))
            state.transaction_isolation = state.isolation
            state.savepoints.clear()
        state.depth += 1

    def commit(self) -> None:
        """Commit, or count one less; raises SqlError 3902 outside a transaction."""
        if self.state.depth == 0:
            raise SqlError(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        if self.state.depth == 1:
            try:
                self.link.execute("COMMIT")
            except psycopg.Error as failure:
                self._abandon()
                raise self._translated(failure, "COMMIT") from failure
        self.state.depth -= 1
        if self.state.depth == 0:
            self.state.catalogue = None
            if self.state.schema_changed:
                self.forget_schema()

    def rollback(self) -> None:
        """Roll back all of it, if there is a transaction."""
        if self.state.depth:
            self._abandon()

    def save(self, name: str) -> None:
        """SAVE TRANSACTION; raises SqlError 628."""
        if self.state.depth == 0:
            raise SqlError(628, "Cannot issue SAVE TRANSACTION when there is no active transaction.")
        self._control(f'SAVEPOINT "user_{name.lower()}"')
        self.state.savepoints.add(name.lower())

    def roll_back_to(self, name: str) -> None:
        """ROLLBACK to a savepoint; raises SqlError 6401."""
        if name.lower() not in self.state.savepoints:
            message = f"Cannot roll back {name}. No transaction or savepoint of that name was found."
            raise SqlError(6401, message)
        self._control(f'ROLLBACK TO SAVEPOINT "user_{name.lower()}"')

    def _abandon(self) -> None:
        self.link.execute("ROLLBACK")
        self.state.depth = 0
        self.forget_schema()

    def check_isolation(self) -> None:
        """SNAPSHOT has to be allowed by the database, and chosen before the transaction began."""
        state = self.state
        if state.isolation != "SNAPSHOT":
            return
        if state.depth and state.transaction_isolation != "SNAPSHOT":
            raise SqlError(3951, TOO_LATE.format(self.database))
        if not self.one("SELECT standin.flag('snapshot')"):
            raise SqlError(3952, NOT_ALLOWED.format(self.database))

    def reset(self) -> None:
        """Forget the transaction, the settings and the variables."""
        self.rollback()
        self.state = State()
        self._control("RESET lock_timeout")

    # statements

    def run(self, sql: str, values: Sequence[Any] = (), verb: str = "") -> psycopg.Cursor[tuple[Any, ...]]:
        """Run one PostgreSQL statement; in a transaction under a savepoint, for an error undoes one statement only."""
        cursor = self.link.cursor()
        inside = self.state.depth > 0
        if inside:
            self.link.execute("SAVEPOINT statement")
        try:
            cursor.execute(sql.encode(), values)
        except psycopg.Error as failure:
            self._undo(failure, inside=inside)
            raise self._translated(failure, verb) from failure
        if inside:
            self.link.execute("RELEASE SAVEPOINT statement")
        return cursor

    def one(self, sql: str, *values: Any) -> Any:
        """Run a query and return its first value, None without a row."""
        row = self.run(sql, values).fetchone()
        return row[0] if row else None

    def _control(self, sql: str) -> None:
        """Run a transaction statement, outside the savepoint that guards others."""
        try:
            self.link.execute(sql.encode())
        except psycopg.Error as failure:
            raise self._translated(failure, sql.split(maxsplit=1)[0]) from failure

    def _undo(self, failure: psycopg.Error, *, inside: bool) -> None:
        if self.link.closed:
            self.state.depth = 0
        elif inside and failure.sqlstate in postgres_errors.DOOMED:
            self._abandon()
        elif inside:
            self.link.execute("ROLLBACK TO SAVEPOINT statement; RELEASE SAVEPOINT statement")

    def _translated(self, failure: psycopg.Error, verb: str) -> Exception:
        if failure.sqlstate == postgres_errors.CANCELLED and self.cancelled:
            return StatementCancelledError()
        return postgres_errors.translated(failure, self.database, verb)

    # declared types

    def declare(self, name: str, kind: SqlType, value: Any) -> None:
        """Set a variable."""
        self.state.variables[name.lower()] = kind
        self.state.values[name.lower()] = value

    def forget_schema(self) -> None:
        """Have the declared types read again, now, and once more when a transaction around it ends."""
        self.databases.forget(self.database)
        self.state.catalogue = None
        self.state.schema_changed = self.state.depth > 0

    def catalogue(self) -> Catalogue:
        """Return the shared declared types; inside a transaction that may see another schema, its own."""
        shared = self.databases.catalogue(self.database)
        if self.state.depth == 0 and not shared.loaded:
            shared.load(self._rows)
        if shared.loaded and not self.state.schema_changed:
            return shared
        if self.state.catalogue is None:
            self.state.catalogue = Catalogue()
            self.state.catalogue.load(self._rows)
        return self.state.catalogue

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.run(sql).fetchall()
