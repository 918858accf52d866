"""PostgreSQL's errors as SQL Server's numbers and messages: the only module that knows SQLSTATEs."""

import re

import psycopg

from tests.support.tds.errors import SqlError

RAISED_ON_PURPOSE = "TDSER"  # by sql/*.sql; the number travels as detail
CANCELLED = "57014"
#: SQLSTATEs after which SQL Server has already rolled the whole transaction back.
DOOMED = frozenset({"40001", "40P01"})
#: SQLSTATE -> (number, severity) where PostgreSQL's own message is good enough.
PLAIN = {
    "22012": (8134, 16),  # division by zero
    "22003": (8115, 16),  # out of range
    "22P02": (245, 16),  # text that does not convert
    "22007": (241, 16),  # text that is no date
    "22008": (242, 16),  # date out of range
    "42601": (102, 15),  # syntax
    "55P03": (1222, 16),  # lock timeout
}
OTHER = 50_000
DEADLOCK = (
    "Transaction was deadlocked on lock resources with another process and has been chosen as the deadlock victim. "
    "Rerun the transaction."
)


def translated(error: psycopg.Error, database: str, verb: str) -> SqlError:
    """Translate an error of the driver; `verb` is the failed statement's first word."""
    state = error.sqlstate or ""
    text = error.diag.message_primary or str(error)
    if state == RAISED_ON_PURPOSE:
        return SqlError(int(error.diag.message_detail or OTHER), text)
    if state in {"23505", "23502", "23503", "23514", "22001"}:
        return _integrity(error.diag, state, database, verb)
    if state in DOOMED:
        return SqlError(1205, DEADLOCK, 13) if state == "40P01" else _conflict(_table(error.diag), database)
    return _missing(state, text) or _plain(state, text)


def _plain(state: str, text: str) -> SqlError:
    number, severity = PLAIN.get(state, (OTHER, 16))
    return SqlError(number, text if number != OTHER else f"[stand-in, SQLSTATE {state}] {text}", severity)


def _table(diagnostic: psycopg.errors.Diagnostic) -> str:
    return f"{diagnostic.schema_name}.{diagnostic.table_name}"


def _integrity(diagnostic: psycopg.errors.Diagnostic, state: str, database: str, verb: str) -> SqlError:
    table, name = _table(diagnostic), diagnostic.constraint_name or ""
    if state == "23505":
        return _duplicate(name, table, diagnostic.message_detail or "")
    if state == "23502":
        message = (
            f"Cannot insert the value NULL into column '{diagnostic.column_name}', table '{database}.{table}'; "
            f"column does not allow nulls. {verb} fails."
        )
        return SqlError(515, message)
    if state == "22001" or name.startswith("len_"):
        column = name.removeprefix("len_") or diagnostic.column_name or ""
        message = (
            f"String or binary data would be truncated in table '{table}', column '{column}'. Truncated value: ''."
        )
        return SqlError(2628, message)
    kind = "FOREIGN KEY" if state == "23503" else "CHECK"
    message = (
        f'The {verb} statement conflicted with the {kind} constraint "{name}". '
        f'The conflict occurred in database "{database}", table "{table}".'
    )
    return SqlError(547, message)


def _duplicate(name: str, table: str, detail: str) -> SqlError:
    found = re.search(r"=\((.*)\) already exists", detail)
    value = f"The duplicate key value is ({found.group(1) if found else ''})."
    if name.endswith("_pkey") or name.lower().startswith("pk"):
        message = (
            f"Violation of PRIMARY KEY constraint '{name}'. Cannot insert duplicate key in object '{table}'. {value}"
        )
        return SqlError(2627, message, 14)
    message = f"Cannot insert duplicate key row in object '{table}' with unique index '{name}'. {value}"
    return SqlError(2601, message, 14)


def _conflict(table: str, database: str) -> SqlError:
    message = (
        "Snapshot isolation transaction aborted due to update conflict. You cannot use snapshot isolation to access "
        f"table '{table}' directly or indirectly in database '{database}' to update, delete, or insert the row that has "
        "been modified or deleted by another transaction. Retry the transaction or change the isolation level for the "
        "update/delete statement."
    )
    return SqlError(3960, message)


def _missing(state: str, text: str) -> SqlError | None:
    if state in {"42P01", "3F000"}:
        return SqlError(208, f"Invalid object name '{_quoted(text)}'.")
    if state == "42703":
        column = re.search(r"column (\S+) ", text)
        name = _quoted(text) or (column.group(1) if column else "")
        return SqlError(207, f"Invalid column name '{name.rsplit('.', 1)[-1]}'.")
    if state == "42P07":
        return SqlError(2714, f"There is already an object named '{_quoted(text)}' in the database.")
    return _missing_function(text) if state == "42883" else None


def _missing_function(text: str) -> SqlError:
    found = re.search(r"function (\S+?)\(", text)
    name = (found.group(1) if found else text).replace('"', "")
    if name.startswith("ct.changes_"):
        table = name.removeprefix("ct.changes_").replace("$", ".", 1)
        return SqlError(22105, f"Change tracking is not enabled on table '{table}'.")
    if name.startswith("cdc."):
        return SqlError(208, f"Invalid object name '{name}'.")
    return SqlError(195, f"'{name}' is not a recognized built-in function name.", 15)


def _quoted(text: str) -> str:
    """The first "quoted" name in a PostgreSQL message."""
    found = re.search(r'"([^"]+)"', text)
    return found.group(1) if found else ""
