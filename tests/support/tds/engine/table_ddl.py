"""CREATE, ALTER and DROP TABLE, remembering what was declared for results and the catalogue views."""

import re
from collections.abc import Sequence

from sqlglot import exp

from tests.support.tds.engine.catalogue import Declared
from tests.support.tds.engine.session import Session
from tests.support.tds.engine.table import Table, length_check
from tests.support.tds.errors import SqlError, not_emulated, syntax
from tests.support.tds.tsql import rewrite, typemap
from tests.support.tds.tsql.translate import parse

REMEMBER_TABLE = "INSERT INTO standin.tables VALUES ($1::bigint::oid, $2, $3, $4)"
REMEMBER_COLUMN = (
    "INSERT INTO standin.columns SELECT $1::bigint::oid, attnum, $2, $3, $4, $5, $6, $7, $8 "
    "FROM pg_attribute WHERE attrelid = $1::bigint::oid AND attname = lower($2)"
)
FORGET_COLUMN = "DELETE FROM standin.columns WHERE oid = $1::bigint::oid AND lower(name) = lower($2)"
CHANGE_COLUMN = (
    "UPDATE standin.columns SET type = $3, length = $4, prec = $5, scale = $6, nullable = coalesce($7, nullable) "
    "WHERE oid = $1::bigint::oid AND lower(name) = $2"
)
RENEW_CAPTURE = "SELECT standin.cdc_trigger(object_id) FROM cdc.change_tables WHERE source_object_id = $1"


def create_table(session: Session, found: re.Match[str]) -> None:
    """CREATE TABLE, without temporary tables and computed columns."""
    tree = parse(rewrite.with_renamed_types(found.string))
    if not isinstance(tree, exp.Create) or not isinstance(tree.this, exp.Schema):
        raise syntax("The stand-in does not emulate this CREATE TABLE.")
    if tree.find(exp.TemporaryProperty) is not None:
        raise not_emulated("temporary tables")
    target = tree.this.this
    table = Table(target.db or "dbo", target.name)
    for part in tree.this.expressions:
        table.add(part)
    parts = [*table.parts, table.primary_key] if table.key else table.parts
    session.run(f"CREATE TABLE {table.quoted} ({', '.join(parts)})", verb="CREATE")
    oid = session.one("SELECT $1::regclass::oid::bigint", table.quoted)
    session.run(REMEMBER_TABLE, [oid, table.schema, table.name, table.key])
    _remember_columns(session, oid, table.columns, table.key)
    _touch_rowversion(session, table)


def alter_table(session: Session, found: re.Match[str]) -> None:
    """ALTER TABLE: ADD, DROP and ALTER COLUMN, ADD CONSTRAINT. A capture instance keeps the columns that it has."""
    text = re.sub(r"\bWITH\s+(?:NO)?CHECK\s+ADD\b", "ADD", found.string, flags=re.IGNORECASE)
    tree = parse(rewrite.with_renamed_types(text))
    if not isinstance(tree, exp.Alter):
        raise syntax(f"The stand-in does not emulate this ALTER TABLE: {text[:120]}")
    table = Table(tree.this.db or "dbo", tree.this.name)
    oid = session.one("SELECT sys.object_id($1)", f"{table.schema}.{table.name}")
    if oid is None:
        name = tree.this.sql("tsql")
        message = f'Cannot find the object "{name}" because it does not exist or you do not have permissions.'
        raise SqlError(4902, message)
    for action in tree.args["actions"]:
        _alter(session, table, oid, action)
    session.run(RENEW_CAPTURE, [oid])


def drop_table(session: Session, found: re.Match[str]) -> None:
    """DROP TABLE, with its tracking and its capture instances."""
    tree = parse(found.string)
    for target in tree.find_all(exp.Table):
        table = Table(target.db or "dbo", target.name)
        oid = session.one("SELECT sys.object_id($1)", f"{table.schema}.{table.name}")
        if oid is None and not tree.args.get("exists"):
            message = f"Cannot drop the table '{target.name}', because it does not exist or you do not have permission."
            raise SqlError(3701, message, 11)
        if oid is not None:
            session.run(f"DROP TABLE {table.quoted}", verb="DROP")
            session.run("SELECT standin.forget($1::bigint::oid)", [oid])


def _touch_rowversion(session: Session, table: Table) -> None:
    """Give each row that is updated a new rowversion, where the table has that column."""
    if table.rowversion:
        touch = f"standin.touch_rowversion('{table.rowversion}')"
        session.run(f"CREATE TRIGGER rowversion BEFORE UPDATE ON {table.quoted} FOR EACH ROW EXECUTE FUNCTION {touch}")


def _remember_columns(session: Session, oid: int, columns: Sequence[Declared], key: Sequence[str]) -> None:
    for column in columns:
        kind, nullable = column.type, column.nullable and column.name.lower() not in key
        size = (kind.name, kind.length, kind.precision, kind.scale)
        session.run(REMEMBER_COLUMN, [oid, column.name, *size, nullable, column.identity])


def _alter(session: Session, table: Table, oid: int, action: exp.Expr) -> None:
    match action:
        case exp.ColumnDef():
            step = Table(table.schema, table.name)
            step.add(action)
            session.run(f"ALTER TABLE {table.quoted} ADD COLUMN {step.parts[0]}", verb="ALTER")
            _remember_columns(session, oid, step.columns, ())
            _touch_rowversion(session, step)
        case exp.Drop():
            for column in action.args.get("tables") or [action.this]:
                session.run(f'ALTER TABLE {table.quoted} DROP COLUMN "{column.name.lower()}"', verb="ALTER")
                session.run(FORGET_COLUMN, [oid, column.name])
        case exp.AlterColumn() if action.args.get("dtype"):
            _alter_column(session, table, oid, action)
        case exp.AddConstraint():
            _add_constraints(session, table, oid, action)
        case _:
            raise not_emulated(f"ALTER TABLE {action.sql('tsql')[:80]}")


def _alter_column(session: Session, table: Table, oid: int, action: exp.AlterColumn) -> None:
    column, kind = action.name.lower(), typemap.declared(action.args["dtype"])
    steps = [f'DROP CONSTRAINT IF EXISTS "len_{column}"', f'ALTER COLUMN "{column}" TYPE {typemap.postgres(kind)}']
    if check := length_check(column, kind):
        steps.append("ADD" + check)
    nullable = action.args.get("allow_null")
    if nullable is not None:
        steps.append(f'ALTER COLUMN "{column}" {"DROP" if nullable else "SET"} NOT NULL')
    session.run(f"ALTER TABLE {table.quoted} {', '.join(steps)}", verb="ALTER")
    session.run(CHANGE_COLUMN, [oid, column, kind.name, kind.length, kind.precision, kind.scale, nullable])


def _add_constraints(session: Session, table: Table, oid: int, action: exp.AddConstraint) -> None:
    step = Table(table.schema, table.name)
    for part in action.expressions:
        step.add(part)
    for text in step.parts:
        session.run(f"ALTER TABLE {table.quoted} ADD {text}", verb="ALTER")
    if step.key:
        session.run(f"ALTER TABLE {table.quoted} ADD {step.primary_key}", verb="ALTER")
        session.run("UPDATE standin.tables SET pk = $2 WHERE oid = $1::bigint::oid", [oid, step.key])
