"""Chunks by primary key: the conditions that say "behind this row", so that the server walks the index and nothing else.

A key goes back to the server as it came from it, never as canonical text: text and bytes in hexadecimal of the column's own
character set (then the column's collation decides what is greater, also where two texts compare equal, and no character is
converted), numbers as plain literals (against a string a BIGINT or DECIMAL would be compared as a double). Pure.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fluxion.errors import PositionLostError
from producers.sources.mysql.position import MEND
from producers.sources.mysql.values import TableColumn, quoted

# How a key column is selected and written as a literal.
Form = Literal["number", "float", "ordinal", "label", "bytes", "text", "plain"]

_FORMS: dict[str, Form] = {
    **dict.fromkeys(["tinyint", "smallint", "mediumint", "int", "bigint", "decimal"], "number"),
    **dict.fromkeys(["float", "double"], "float"),
    # What orders an ENUM is its number, not its label; but only by labels does the server walk the index.
    "enum": "label",
    **dict.fromkeys(["set", "bit"], "ordinal"),
    **dict.fromkeys(["binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"], "bytes"),
    **dict.fromkeys(["char", "varchar", "tinytext", "text", "mediumtext", "longtext"], "text"),
}
# What each form looks like in a stored position; anything else never reaches the server.
_SHAPES: dict[Form, re.Pattern[str]] = {
    "number": re.compile(r"-?\d+(\.\d+)?"),
    "float": re.compile(r"-?\d+(\.\d+)?(e[-+]?\d+)?"),
    "ordinal": re.compile(r"\d+"),
    "label": re.compile(r"\d+"),
    "bytes": re.compile(r"([0-9a-f]{2})*"),
    "text": re.compile(r"([0-9a-f]{2})*"),
    "plain": re.compile(r"[-0-9A-Za-z:. ]*"),  # dates, times, years, UUIDs, addresses
}

_LABEL = re.compile(r"'((?:[^']|'')*)'")

Key = tuple[str, ...]
Sign = Literal[">", "<", "<=", "="]


@dataclass(frozen=True)
class KeyColumn:
    """A column of a primary key. charset: of text; labels: of an ENUM, in their order."""

    name: str
    form: Form
    charset: str | None = None
    labels: tuple[str, ...] = ()

    @property
    def selected(self) -> str:
        """What to SELECT for the value in its own form."""
        name = quoted(self.name)
        match self.form:
            case "float":
                return f"{name} + 0e0"
            case "ordinal" | "label":
                return f"cast({name} as unsigned)"
            case "text":
                return f"cast({name} as binary)"
        return name

    def read(self, value: str | bytes) -> str:
        """Return what SELECT gave as it is kept in a position."""
        return value.hex() if isinstance(value, bytes) else value

    def compared(self, sign: Sign, value: str) -> str:
        """Return `column sign value` as SQL; PositionLostError for a value that is none."""
        if not _SHAPES[self.form].fullmatch(value):
            raise PositionLostError(f"the stored key {value!r:.60} of column {self.name} cannot be read", MEND)
        name = quoted(self.name)
        match self.form:
            case "label":
                return self._labelled(sign, int(value))
            case "float":
                literal = value if "e" in value else f"{value}e0"
            case "bytes" | "text":
                literal = _text(self.charset or "binary", value)
            case "plain":
                literal = f"'{value}'"
            case _:
                literal = value
        return f"{name} {sign} {literal}"

    def _labelled(self, sign: Sign, number: int) -> str:
        """0 is the value that MariaDB gives to what is no label."""
        name = quoted(self.name)
        if sign in {"<", "<="} or number == 0:
            return f"{name} {sign} {number}"
        chosen = self.labels[number:] if sign == ">" else self.labels[number - 1 : number]
        return (
            f"{name} in ({', '.join(_text('utf8mb4', label.encode().hex()) for label in chosen)})"
            if chosen
            else "false"
        )


def _text(charset: str, value: str) -> str:
    return f"_{charset} x'{value}'"


def key_column(column: TableColumn) -> KeyColumn:
    """Return how a column is compared."""
    form = _FORMS.get(column.data_type, "plain")
    labels = [label.replace("''", "'") for label in _LABEL.findall(column.column_type)] if form == "label" else []
    return KeyColumn(column.name, form, column.charset if form == "text" else None, tuple(labels))


def behind(columns: Sequence[KeyColumn], key: Key) -> str:
    """Return the condition of the rows behind `key`, in the order of `columns`."""
    return _beyond(columns, key, ">", ">")


def up_to(columns: Sequence[KeyColumn], key: Key) -> str:
    """Return the condition of the rows up to and with `key`."""
    return _beyond(columns, key, "<", "<=")


def _beyond(columns: Sequence[KeyColumn], key: Key, beyond: Sign, last: Sign) -> str:
    """Return a > 1 or (a = 1 and b > 2) or …: unlike (a, b) > (1, 2), the server walks the index for it."""
    pairs = list(zip(columns, key, strict=True))
    cases = []
    for depth, (column, value) in enumerate(pairs):
        equal = [one.compared("=", its) for one, its in pairs[:depth]]
        cases.append(" and ".join([*equal, column.compared(last if depth == len(pairs) - 1 else beyond, value)]))
    return "(" + " or ".join(f"({case})" for case in cases) + ")"
