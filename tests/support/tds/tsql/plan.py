"""What is known of a statement before it runs, read off its tree: the names and types of its result, its target."""

from dataclasses import dataclass

from sqlglot import exp

from tests.support.tds.tsql import typemap
from tests.support.tds.types import SqlType

CHANGE_FUNCTIONS = ("changes_", "fn_cdc_get_all_changes_")


@dataclass(frozen=True)
class Output:
    """One column of the result: its name as SQL Server shows it, a CAST's type, and the plain column behind it."""

    name: str
    cast: SqlType | None
    source: str


@dataclass(frozen=True)
class Plan:
    """A statement for PostgreSQL. Plans depend on the text and the variables' types alone, so they can be cached."""

    sql: str
    binds: tuple[str, ...]  # names of variables and session values, in order of $1, $2, ..
    outputs: tuple[Output, ...]  # empty where a star stands
    tables: frozenset[str]  # whose declared types may explain a column
    verb: str
    target: str = ""  # table of an INSERT
    columns: tuple[str, ...] = ()  # column list of an INSERT, lower case
    assigns: tuple[str, ...] = ()  # SELECT @a = ..: the variables


def outputs(tree: exp.Expr) -> tuple[Output, ...]:
    """Return the columns of the result, none where it is unknown how many a star will be."""
    projections = list(tree.selects) if isinstance(tree, exp.Query) else _returned(tree)
    if any(projection.is_star for projection in projections):
        return ()
    return tuple(Output(_shown(it), _cast(it), _source(it)) for it in projections)


def _returned(tree: exp.Expr) -> list[exp.Expr]:
    output = tree.args.get("returning")
    return list(output.expressions) if output else []


def _shown(projection: exp.Expr) -> str:
    return projection.alias or (projection.name if isinstance(projection, exp.Column) else "")


def _cast(projection: exp.Expr) -> SqlType | None:
    inner = projection.unalias()
    return typemap.declared(inner.to) if isinstance(inner, exp.Cast) else None


def _source(projection: exp.Expr) -> str:
    """The column that a projection shows, looking through aliases, MAX, MIN, ISNULL and parentheses."""
    inner = projection.unalias()
    while isinstance(inner, exp.Max | exp.Min | exp.Coalesce | exp.Paren):
        inner = inner.this
    return inner.name.lower() if isinstance(inner, exp.Column) and not inner.is_star else ""


def tables(tree: exp.Expr) -> frozenset[str]:
    """Return the tables of a statement, and its functions of change tracking and CDC, whose tables the session knows."""
    named = {
        f"{table.db}.{table.name}" if table.args.get("db") else table.sql("tsql")
        for table in tree.find_all(exp.Table)
        if table.name
    }
    functions = {function.name.lower() for function in tree.find_all(exp.Anonymous)}
    return frozenset(named | {name for name in functions if name.startswith(CHANGE_FUNCTIONS)})


def insert_target(tree: exp.Expr) -> tuple[str, tuple[str, ...]]:
    """Return the table and the column list of an INSERT; nothing of any other statement."""
    if not isinstance(tree, exp.Insert):
        return "", ()
    target = tree.this
    if not isinstance(target, exp.Schema):
        return f"{target.db or 'dbo'}.{target.name}", ()
    return f"{target.this.db or 'dbo'}.{target.this.name}", tuple(it.name.lower() for it in target.expressions)


def take_assignments(tree: exp.Expr) -> tuple[str, ...]:
    """Strip the variables off SELECT @a = x, @b = y, and return their names."""
    if not isinstance(tree, exp.Select) or not tree.selects:
        return ()
    if not all(isinstance(it, exp.EQ) and isinstance(it.this, exp.Parameter) for it in tree.selects):
        return ()
    names = tuple(it.this.name.lower() for it in tree.selects)
    tree.set("expressions", [it.expression for it in tree.selects])
    return names
