"""Rewrites on the text of a statement, for what sqlglot does not read as T-SQL."""

import re
from collections.abc import Callable

NAME = r"((?:\[[^\]]+\]|[\w.])+)"
LOCKING = "NOLOCK|READUNCOMMITTED|READCOMMITTED|READPAST|ROWLOCK|HOLDLOCK|UPDLOCK|TABLOCKX?|SNAPSHOT"
HINT = rf"WITH\s*\(\s*(?:{LOCKING})(?:\s*,\s*\w+)*\s*\)"
INDEX_OPTIONS = r"WITH\s*\(\s*(?:PAD_INDEX|FILLFACTOR|STATISTICS_NORECOMPUTE|IGNORE_DUP_KEY)\b[^)]*\)"
STORAGE = r"\b(?:NON)?CLUSTERED\b|\bON\s+\[PRIMARY\]|\bTEXTIMAGE_ON\s+\[PRIMARY\]"
LITERAL_OR_COMMENT = r"('(?:[^']|'')*'|--[^\n]*|/\*.*?\*/)"
# sqlglot reads real as float, numeric as decimal and ntext as text: they travel under these names.
RENAMED_TYPES = (
    r"(?<=[\s\]])\[?(real|numeric|ntext)\]?"
    r"(?=\s*(?:[,()]|NOT\b|NULL\b|DEFAULT\b|CONSTRAINT\b|PRIMARY\b|UNIQUE\b|$))"
)

Replacement = str | Callable[[re.Match[str]], str]


def outside_literals(sql: str, pattern: str, replacement: Replacement) -> str:
    """re.sub that leaves '...' literals and comments alone; the groups of `pattern` start at 2."""

    def swap(found: re.Match[str]) -> str:
        if found.group(1):
            return found.group(0)
        return replacement(found) if callable(replacement) else found.expand(replacement)

    return re.sub(rf"{LITERAL_OR_COMMENT}|{pattern}", swap, sql, flags=re.IGNORECASE | re.DOTALL)


def slug(table: str) -> str:
    """Return the name of a table's CHANGETABLE function: dbo.Ventas is dbo$ventas."""
    parts = re.sub(r'[\[\]"]', "", table).lower().split(".")
    schema = parts[-2] if len(parts) > 1 and parts[-2] else "dbo"
    return re.sub(r"[ -]", "_", f"{schema}${parts[-1]}")


def bare(name: str) -> str:
    """Return a name without its brackets."""
    return re.sub(r"[\[\]]", "", name)


RULES: tuple[tuple[str, Replacement], ...] = (
    (rf"CHANGETABLE\s*\(\s*CHANGES\s+{NAME}\s*,", lambda found: f"ct.changes_{slug(found.group(2))}("),
    (rf"{STORAGE}|\b{HINT}|\b{INDEX_OPTIONS}", ""),
    (  # DELETE t FROM dbo.x AS t JOIN ..
        rf"^DELETE\s+(?:FROM\s+)?(\w+)\s+FROM\s+{NAME}\s+(?:AS\s+)?\2\b(.*)",
        r"DELETE FROM \3 WHERE ctid IN (SELECT \2.ctid FROM \3 AS \2\4)",
    ),
    (
        rf"^DELETE\s+TOP\s*\((.+?)\)\s+FROM\s+{NAME}(.*)",
        r"DELETE FROM \3 WHERE ctid IN (SELECT TOP (\2) ctid FROM \3\4)",
    ),
    (r"(?<![\w$])\$(\d)", r"\2"),  # money literals
    (r"(?<![\[\w$])(__\$\w+)", r"[\2]"),
    (r"\bINFORMATION_SCHEMA\.(\w+)", lambda found: f"sys.is_{found.group(2).lower()}"),
    (r"\b(?:SUSER_S?NAME\s*\(\s*\)|SYSTEM_USER\b)", "ORIGINAL_LOGIN()"),  # sqlglot takes them for CURRENT_USER
    (r"\b(?:master|tempdb)\s*\.\s*sys\s*\.\s*", "sys."),
)


def readable(sql: str) -> str:
    """Return a statement as sqlglot can read it."""
    for pattern, replacement in RULES:
        sql = outside_literals(sql, pattern, replacement)
    return sql


def with_renamed_types(sql: str) -> str:
    """Return a CREATE or ALTER TABLE with the names that keep real, numeric and ntext apart."""
    return outside_literals(sql, RENAMED_TYPES, r"standin_\2")
