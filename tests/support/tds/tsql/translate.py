"""One T-SQL query or DML statement into one PostgreSQL statement, through sqlglot."""

import re
from collections.abc import Mapping
from functools import lru_cache

import sqlglot
from sqlglot import exp

from tests.support.tds.errors import SqlError, not_emulated, syntax
from tests.support.tds.tsql import plan, rewrite, typemap
from tests.support.tds.tsql.plan import Plan
from tests.support.tds.tsql.update_from import move_target
from tests.support.tds.types import SqlType

#: T-SQL functions without arguments -> PostgreSQL expressions.
CLOCK = {
    "getdate": "localtimestamp(3)",
    "sysdatetime": "localtimestamp",
    "getutcdate": "(now() AT TIME ZONE 'utc')::timestamp(3)",
    "sysutcdatetime": "(now() AT TIME ZONE 'utc')",
    "sysdatetimeoffset": "now()",
    "newid": "gen_random_uuid()",
    "newsequentialid": "gen_random_uuid()",
}
#: Values that belong to the session, with their type in PostgreSQL. Those that end in "()" are functions.
SESSION_VALUES = {
    "@@trancount": "integer",
    "@@spid": "integer",
    "@@rowcount": "integer",
    "@@error": "integer",
    "@@identity": "numeric(38,0)",
    "@@version": "text",
    "@@servername": "text",
    "@@max_precision": "integer",
    "@@lock_timeout": "integer",
    "scope_identity()": "numeric(38,0)",
    "db_name()": "text",
    "error_number()": "integer",
    "error_message()": "text",
    "xact_state()": "integer",
    "suser_sname()": "text",
    "original_login()": "text",
    "host_name()": "text",
    "app_name()": "text",
}
INTEGER_PROPERTIES = frozenset({
    *("engineedition", "ishadrenabled", "isclustered", "productmajorversion", "isintegratedsecurityonly"),
})  # fmt: skip
SERVER_PROPERTY = "serverproperty:"  # begins the name of such a value
STATEMENTS = (exp.Query, exp.DML, exp.Create, exp.Drop, exp.Merge, exp.TruncateTable, exp.Alter)
SQLGLOT_NAMES = {  # what sqlglot makes of some functions -> PostgreSQL
    "CurrentTimestamp": CLOCK["getdate"],
    "CurrentTimestampLTZ": "now()",
    "CurrentTimestampTZ": "now()",
    "CurrentUser": "'dbo'",
}


def translate(sql: str, variables: Mapping[str, SqlType], database: str) -> Plan:
    """Return the plan of a statement; raises SqlError where it cannot be read or is not emulated."""
    return _cached(sql, tuple(sorted(variables.items())), database.lower())


@lru_cache(maxsize=5000)
def _cached(sql: str, variables: tuple[tuple[str, SqlType], ...], database: str) -> Plan:
    return _Translator(dict(variables), database).plan(parse(sql))


def parse(sql: str) -> exp.Expr:
    """Return the tree of a statement; raises SqlError 102."""
    try:
        return sqlglot.parse_one(rewrite.readable(sql), read="tsql")
    except sqlglot.errors.SqlglotError as failure:
        detail = re.sub(r"\x1b\[\d*m", "", str(failure).splitlines()[0])[:200]
        raise syntax(f"Incorrect syntax, or syntax the stand-in does not emulate: {detail}") from failure


def expression(node: exp.Expr) -> str:
    """Return a default or a check as PostgreSQL text."""
    return _Translator({}, "").postgres(node.copy())


class _Translator:
    """Rewrites one tree: names folded and quoted, variables bound, functions mapped."""

    def __init__(self, variables: Mapping[str, SqlType], database: str) -> None:
        self.variables = variables
        self.database = database
        self.binds: list[str] = []

    def plan(self, tree: exp.Expr) -> Plan:
        if isinstance(tree, exp.Command) or not isinstance(tree, STATEMENTS):
            raise syntax(f"The stand-in does not emulate this statement: {tree.sql('tsql')[:120]}")
        assigns = plan.take_assignments(tree)
        outputs, tables, (target, columns) = plan.outputs(tree), plan.tables(tree), plan.insert_target(tree)
        _reshape(tree)
        text = self.postgres(tree)
        return Plan(text, tuple(self.binds), outputs, tables, type(tree).__name__.upper(), target, columns, assigns)

    def postgres(self, tree: exp.Expr) -> str:
        return tree.transform(self._node).sql("postgres", identify=True)

    def _node(self, node: exp.Expr) -> exp.Expr:
        match node:
            case exp.Parameter():
                return self._variable(node)
            case exp.Table():
                return self._table(node)
            case exp.Identifier() | exp.National() | exp.HexString():
                return _leaf(node)
            case exp.Cast():
                target = typemap.cast_target(typemap.declared(node.to))
                node.set("to", exp.DataType.build(target, dialect="postgres", udt=True))
            case exp.Ordered():
                node.set("nulls_first", None)
            case exp.Length() if isinstance(node.this, exp.Cast):
                node.set("this", node.this.this)
            case exp.Func():
                return self._function(node)
            case _:
                pass
        return node

    def _table(self, node: exp.Table) -> exp.Expr:
        if node.catalog and node.catalog.lower() != self.database and node.db.lower() != "sys":
            message = f"Reference to database '{node.catalog}' from '{self.database}' is not emulated by the stand-in."
            raise SqlError(40515, message, 15)
        node.set("catalog", None)
        return node

    def _variable(self, node: exp.Parameter) -> exp.Expr:
        if isinstance(node.this, exp.Parameter):
            return self._global(f"@@{node.this.name.lower()}")
        name = node.name.lower()
        if name not in self.variables:
            raise SqlError(137, f'Must declare the scalar variable "@{node.name}".', 15)
        if isinstance(node.parent, exp.Limit | exp.Offset | exp.Fetch):
            return self._bind(name, "bigint")
        return self._bind(name, typemap.parameter_cast(self.variables[name]))

    def _global(self, name: str) -> exp.Expr:
        if name == "@@dbts":
            return _raw("sys.dbts()")
        if name not in SESSION_VALUES:
            raise SqlError(137, f"{name.upper()} is not emulated by the stand-in.", 15)
        return self._bind(name, SESSION_VALUES[name])

    def _bind(self, name: str, cast: str | None) -> exp.Expr:
        self.binds.append(name)
        marker = exp.Parameter(this=exp.Literal.number(len(self.binds)))
        return exp.Cast(this=marker, to=exp.DataType.build(cast, dialect="postgres")) if cast else marker

    def _function(self, node: exp.Func) -> exp.Expr:
        if known := SQLGLOT_NAMES.get(type(node).__name__):
            return _raw(known)
        plain = isinstance(node, exp.Anonymous)
        name = node.name.lower() if plain else node.sql_name().lower()
        arguments = node.expressions if plain else []
        if name in CLOCK:
            return _raw(CLOCK[name])
        if name == "serverproperty":
            wanted = arguments[0].name.lower()
            return self._bind(SERVER_PROPERTY + wanted, "integer" if wanted in INTEGER_PROPERTIES else "text")
        if f"{name}()" in SESSION_VALUES and not arguments:
            return self._bind(f"{name}()", SESSION_VALUES[f"{name}()"])
        if plain:
            node.set("this", name)
        return node


def _reshape(tree: exp.Expr) -> None:
    """Change what cannot be changed node by node: UPDATE .. FROM, and OUTPUT's INSERTED and DELETED."""
    if isinstance(tree, exp.Update):
        if tree.args.get("from_") and not tree.this.db:
            move_target(tree)
        for assignment in tree.expressions:
            if isinstance(assignment, exp.EQ) and isinstance(assignment.this, exp.Column):
                assignment.this.set("table", None)
    output = tree.args.get("returning")
    for column in output.find_all(exp.Column) if output else ():
        table = column.table.upper()
        if table == "DELETED" and isinstance(tree, exp.Update):
            raise not_emulated("OUTPUT DELETED of an UPDATE")
        if table in {"INSERTED", "DELETED"}:
            column.set("table", None)


def _leaf(node: exp.Identifier | exp.National | exp.HexString) -> exp.Expr:
    if isinstance(node, exp.National):
        return exp.Literal.string(node.this)
    if isinstance(node, exp.HexString):
        return _raw(f"'\\x{node.this}'::bytea")
    return exp.to_identifier(node.name.lower(), quoted=True)


def _raw(sql: str) -> exp.Expr:
    return sqlglot.parse_one(sql, read="postgres")
