"""Run a query or a DML statement, and give its result the types that SQL Server would give it."""

from typing import Any

import psycopg

from tests.support.tds.engine.catalogue import Catalogue, Declared
from tests.support.tds.engine.session import Session
from tests.support.tds.errors import SqlError
from tests.support.tds.instance import SERVER_NAME
from tests.support.tds.results import Column, Result
from tests.support.tds.tsql import typemap
from tests.support.tds.tsql.plan import Plan
from tests.support.tds.tsql.rewrite import slug
from tests.support.tds.tsql.translate import SERVER_PROPERTY, translate

DDL = frozenset({"CREATE", "DROP", "ALTER"})


def query(session: Session, text: str) -> Result:
    """Run one statement; raises SqlError, or StatementCancelledError after a cancel."""
    state = session.state
    plan = translate(text, state.variables, session.database)
    session.check_isolation()
    if state.implicit_transactions and state.depth == 0:
        session.begin()
    if plan.target:
        _check_identity_insert(session, plan)
    cursor = session.run(plan.sql, [_bound(session, name) for name in plan.binds], plan.verb)
    result = _described(session, cursor, plan)
    if plan.target and state.rowcount:
        _note_identity(session, plan)
    if plan.verb in DDL:
        session.forget_schema()
    if not plan.assigns:
        return result
    for row in result.rows[-1:]:  # SELECT @a = x FROM t: the last row wins, no row leaves the variables alone
        state.values.update(zip(plan.assigns, row, strict=True))
    return Result()


def scalar(session: Session, expression: str) -> Any:
    """Return the value of an expression."""
    rows = query(session, f"SELECT {expression}").rows
    return rows[0][0] if rows else None


def _bound(session: Session, name: str) -> Any:
    """The value of a variable, or of what belongs to the session."""
    state, instance = session.state, session.databases.instance
    if name in state.values:
        value = state.values[name]
        return int(value) if isinstance(value, bool) else value
    if name.startswith(SERVER_PROPERTY):
        return instance.server_property(name.removeprefix(SERVER_PROPERTY))
    error = state.last_error
    edition = instance.server_property("edition")
    return {
        "@@trancount": state.depth,
        "@@spid": session.spid,
        "@@rowcount": state.rowcount,
        "@@error": error.number if error else 0,
        "@@identity": state.identity,
        "scope_identity()": state.identity,
        "@@version": f"Microsoft SQL Server (stand-in) - {instance.product_version} {edition}",
        "@@servername": SERVER_NAME,
        "@@max_precision": 38,
        "@@lock_timeout": state.lock_timeout,
        "db_name()": session.database,
        "error_number()": error.number if error else None,
        "error_message()": error.message if error else None,
        "xact_state()": 1 if state.depth else 0,
        "suser_sname()": session.login,
        "original_login()": session.login,
    }.get(name)


# identity columns


def _identity_of(session: Session, table: str) -> str:
    columns = session.catalogue().columns_of(table)
    return next((name for name, column in columns.items() if column.identity), "")


def _check_identity_insert(session: Session, plan: Plan) -> None:
    identity = _identity_of(session, plan.target)
    if identity and identity in plan.columns and slug(plan.target) != session.state.identity_insert:
        table = plan.target.rsplit(".", 1)[-1]
        message = (
            f"Cannot insert explicit value for identity column in table '{table}' when IDENTITY_INSERT is set to OFF."
        )
        raise SqlError(544, message)


def _note_identity(session: Session, plan: Plan) -> None:
    identity = _identity_of(session, plan.target)
    if not identity:
        return
    schema, _, table = plan.target.lower().partition(".")
    name = f'"{schema}"."{table}"'
    sql = "SELECT currval(pg_get_serial_sequence($1, $2))"
    if identity in plan.columns:
        sql = f'SELECT setval(pg_get_serial_sequence($1, $2), greatest(max("{identity}"), 1)) FROM {name}'
    session.state.identity = session.one(sql, name, identity)


# result types


def _described(session: Session, cursor: psycopg.Cursor[tuple[Any, ...]], plan: Plan) -> Result:
    if cursor.description is None or cursor.pgresult is None:
        session.state.rowcount = max(cursor.rowcount, 0)
        return Result(rowcount=cursor.rowcount if cursor.rowcount >= 0 else None)
    rows = cursor.fetchall()
    session.state.rowcount = len(rows)
    typing = _Typing(session.catalogue(), plan, rows, exact=len(plan.outputs) == len(cursor.description))
    found = cursor.pgresult
    columns = [
        typing.column(place, described, (found.ftable(place), found.ftablecol(place)), found.fmod(place))
        for place, described in enumerate(cursor.description)
    ]
    return Result(columns, rows)


class _Typing:
    """Finds the type of each column: by the table behind it, by its name, by a CAST, or by what PostgreSQL says."""

    def __init__(self, catalogue: Catalogue, plan: Plan, rows: list[tuple[Any, ...]], *, exact: bool) -> None:
        self.catalogue = catalogue
        self.plan = plan
        self.rows = rows
        self.exact = exact  # the plan knows each column of the result

    def column(self, place: int, described: psycopg.Column, origin: tuple[int, int], typmod: int) -> Column:
        output = self.plan.outputs[place] if self.exact else None
        declared = self.catalogue.by_position.get(origin)
        if declared is None:
            declared = self._by_name(described.name, output.source if output else described.name)
        unplanned = declared.name if declared else self._shown(described.name)
        name = output.name if output is not None else unplanned
        if declared is not None:
            return Column(name, declared.type, declared.nullable, declared.identity)
        if output is not None and output.cast is not None:
            return Column(name, output.cast)
        values = [row[place] for row in self.rows]
        return Column(name, typemap.of_expression(described.type_code, typmod, described.name, values))

    def _by_name(self, shown: str, source: str) -> Declared | None:
        """A column that PostgreSQL cannot trace: out of CHANGETABLE, a CDC function, MAX, MIN or ISNULL."""
        if shown in typemap.BY_NAME or source in typemap.BY_NAME:
            return None
        for table in self.plan.tables:
            found = self.catalogue.columns_of(table).get(source)
            if found is not None:
                return Declared(found.name, found.type, nullable=True, identity=False)
        return None

    def _shown(self, name: str) -> str:
        """PostgreSQL folds names to lower case; SQL Server shows these in capitals."""
        catalogue = any(table.startswith("sys.is_") for table in self.plan.tables)
        return name.upper() if catalogue or name.startswith("sys_change_") else name
