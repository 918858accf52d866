"""What a statement in the log does to whole tables, where no row tells it.

The text is the writer's own (or the server's, for DROP TABLE), with comments, quotes, other databases' names. It is cut into
words and read as far as the tables and the verbs that move rows; what cannot touch a row is nothing to us.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

# Comments go, but for the marks of those that the server executes: /*!40005 TEMPORARY */, /*M! … */.
_TOKEN = re.compile(
    r"""
    (?P<none> \s+ | --(?=\s|$)[^\n]* | \#[^\n]* | /\*(?!M?!).*?(?:\*/|$) | /\*M?!\d* | \*/ )
  | (?P<name> `(?:[^`]|``)*` | "(?:[^"\\]|\\.|"")*" )
  | (?P<text> '(?:[^'\\]|\\.|'')*' )
  | (?P<word> [\w$@]+ )
  | (?P<mark> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_WRITES = {"INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH", "CALL", "SELECT", "DO"}
# Behind ADD in an ALTER TABLE: what is not a column.
_NO_COLUMN = {
    "PARTITION", "INDEX", "KEY", "UNIQUE", "FULLTEXT", "SPATIAL", "PRIMARY", "FOREIGN", "CONSTRAINT", "CHECK", "PERIOD", "SYSTEM", "VECTOR",
}  # fmt: skip
# Words of an ALTER TABLE that give rows other values, or other rows.
_MOVES_ROWS = {"MODIFY", "CHANGE", "CONVERT", "EXCHANGE", "TRUNCATE", "DISCARD", "IMPORT"}


@dataclass
class Effects:
    """Tables of ours, as the template names them. emptied: TRUNCATE, DROP, renamed away. changed: to be read again."""

    emptied: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


class Tables:
    """The captured tables of one database. folded: the server does not tell names by case (lower_case_table_names)."""

    def __init__(self, database: str, tables: frozenset[str], *, folded: bool) -> None:
        self._fold: Callable[[str], str] = str.casefold if folded else str
        self._database = self._fold(database)
        self._tables = {self._fold(table): table for table in tables}
        self.all = sorted(tables)

    def ours(self, database: str, table: str) -> str | None:
        """Return the template's name of a captured table, None for any other."""
        return self._tables.get(self._fold(table)) if self.is_database(database) else None

    def is_database(self, name: str) -> bool:
        """Tell whether this is our database."""
        return self._fold(name) == self._database


def first_word(statement: str) -> str:
    """Return the verb in capitals."""
    for token in _TOKEN.finditer(statement):
        if token.lastgroup != "none":
            return token.group().upper()
    return ""


def savepoint_of(statement: str) -> str:
    """Return the name in SAVEPOINT or ROLLBACK TO; "" in a plain ROLLBACK."""
    words = _Words(statement, "")
    words.take("SAVEPOINT")
    if words.take("ROLLBACK"):
        words.take("WORK")
        if not words.take("TO"):
            return ""
        words.take("SAVEPOINT")
    return words.name()


def writes_rows(statement: str, database: str, tables: Tables) -> bool:
    """Tell whether a statement writes rows in our database that the log does not hold as rows (binlog_format STATEMENT)."""
    if first_word(statement) not in _WRITES:
        return False
    return tables.is_database(database) or any(tables.is_database(word) for word in _Words(statement, "").all)


def effects_of(statement: str, database: str, tables: Tables) -> Effects:
    """Return what a statement does to our tables as wholes; `database` is the one in use."""
    words = _Words(statement, database)
    if words.take("SET") and words.take("STATEMENT"):  # SET STATEMENT variable = value FOR …
        words.skip_behind("FOR")
    effects = Effects()
    for verb, read in _READERS.items():
        if words.take(verb):
            read(words, tables, effects)
            break
    return effects


class _Words:
    """A statement's words, taken one after another. Names lose their quotes; marks stand for themselves."""

    def __init__(self, statement: str, database: str) -> None:
        self._database = database
        self._tokens = [token for token in _TOKEN.finditer(statement) if token.lastgroup != "none"]
        self._next = 0

    @property
    def all(self) -> list[str]:
        """Every word and name."""
        return [_unquoted(token) for token in self._tokens if token.lastgroup in {"word", "name"}]

    def take(self, *choices: str) -> bool:
        """Take the next word if it is one of these (a quoted name is none)."""
        if self._next < len(self._tokens):
            token = self._tokens[self._next]
            if token.lastgroup != "name" and token.group().upper() in choices:
                self._next += 1
                return True
        return False

    def skip_behind(self, word: str) -> None:
        """Go behind the next such word, or to the end."""
        while not self.at_end and not self.take(word):
            self._next += 1

    def skip(self) -> None:
        """Pass over one."""
        self._next += 1

    @property
    def at_end(self) -> bool:
        return self._next >= len(self._tokens)

    def name(self) -> str:
        """Take a name; "" at the end."""
        if self.at_end:
            return ""
        self._next += 1
        return _unquoted(self._tokens[self._next - 1])

    def table(self) -> tuple[str, str]:
        """Take `table` or `database.table`."""
        name = self.name()
        return (name, self.name()) if self.take(".") else (self._database, name)


def _unquoted(token: re.Match[str]) -> str:
    text = token.group()
    return text[1:-1].replace(text[0] * 2, text[0]) if token.lastgroup == "name" else text


def _truncate(words: _Words, tables: Tables, effects: Effects) -> None:
    words.take("TABLE")
    _add(effects.emptied, tables.ours(*words.table()))


def _drop(words: _Words, tables: Tables, effects: Effects) -> None:
    if words.take("DATABASE", "SCHEMA"):
        _if_exists(words)
        if tables.is_database(words.name()):
            effects.emptied += tables.all
    elif words.take("TABLE", "TABLES"):  # DROP TEMPORARY TABLE hides a table of ours at most
        _if_exists(words)
        _add(effects.emptied, tables.ours(*words.table()))
        while words.take(","):
            _add(effects.emptied, tables.ours(*words.table()))


def _create(words: _Words, tables: Tables, effects: Effects) -> None:
    replaced = words.take("OR") and words.take("REPLACE")
    if words.take("DATABASE", "SCHEMA"):
        if replaced and tables.is_database(words.name()):
            effects.emptied += tables.all
    elif words.take("TABLE"):
        _if_exists(words)
        table = tables.ours(*words.table())
        if replaced:
            _add(effects.emptied, table)
        if "SELECT" in {word.upper() for word in words.all}:  # its rows come as rows only where this word is left out
            _add(effects.changed, table)


def _rename(words: _Words, tables: Tables, effects: Effects) -> None:
    if not words.take("TABLE", "TABLES"):
        return
    _if_exists(words)
    while not words.at_end:
        old = words.table()
        words.skip_behind("TO")
        _renamed(tables.ours(*old), tables.ours(*words.table()), effects)
        if not words.take(","):
            return


def _alter(words: _Words, tables: Tables, effects: Effects) -> None:
    while words.take("ONLINE", "OFFLINE", "IGNORE"):
        pass
    if not words.take("TABLE"):
        return
    _if_exists(words)
    table = tables.ours(*words.table())
    while not words.at_end:
        if words.take("RENAME"):
            if not words.take("COLUMN", "INDEX", "KEY"):
                words.take("TO", "AS", "=")
                _renamed(table, tables.ours(*words.table()), effects)
        elif words.take("WITH"):  # EXCHANGE PARTITION … WITH TABLE …
            if words.take("TABLE"):
                _add(effects.changed, tables.ours(*words.table()))
        elif _moves_rows(words):
            _add(effects.changed, table)
        else:
            words.skip()


def _moves_rows(words: _Words) -> bool:
    """Take a clause of an ALTER TABLE if it gives rows other values, or other rows."""
    if words.take("ADD"):
        return not words.take(*_NO_COLUMN)
    if words.take("DROP"):
        return words.take("PARTITION")
    return words.take(*_MOVES_ROWS)


_READERS: dict[str, Callable[[_Words, Tables, Effects], None]] = {
    "TRUNCATE": _truncate, "DROP": _drop, "CREATE": _create, "RENAME": _rename, "ALTER": _alter,
}  # fmt: skip


def _if_exists(words: _Words) -> None:
    if words.take("IF"):
        words.take("NOT")
        words.take("EXISTS")


def _renamed(old: str | None, new: str | None, effects: Effects) -> None:
    """Rows that come by another name were not captured under it: the table is read again, which also ends its old rows."""
    if old is not None:
        _add(effects.emptied, old)
        if old in effects.changed:
            effects.changed.remove(old)
    if new is not None:
        if new in effects.emptied:
            effects.emptied.remove(new)
        _add(effects.changed, new)


def _add(tables: list[str], table: str | None) -> None:
    if table is not None and table not in tables:
        tables.append(table)
