"""Split a T-SQL batch into statements and control flow: IF / ELSE, WHILE, BEGIN / END, TRY / CATCH.

T-SQL does not need semicolons: a statement ends where a word that can only start another one stands outside parentheses
and CASE.
"""

from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot.tokenizer_core import Token, TokenType

from tests.support.tds.errors import SqlError, syntax
from tests.support.tds.tsql.starters import STARTERS, begins_another

QUOTED = (TokenType.IDENTIFIER, TokenType.STRING, TokenType.NATIONAL_STRING, TokenType.HEX_STRING)


@dataclass(frozen=True)
class Statement:
    """Anything but control flow."""

    text: str


@dataclass(frozen=True)
class If:
    """IF condition .. ELSE .."""

    condition: str
    then: "tuple[Node, ...]"
    otherwise: "tuple[Node, ...]"


@dataclass(frozen=True)
class While:
    """WHILE condition .."""

    condition: str
    body: "tuple[Node, ...]"


@dataclass(frozen=True)
class Try:
    """BEGIN TRY .. END TRY BEGIN CATCH .. END CATCH."""

    body: "tuple[Node, ...]"
    catch: "tuple[Node, ...]"


Node = Statement | If | While | Try


@lru_cache(maxsize=2000)
def parse_batch(sql: str) -> tuple[Node, ...]:
    """Return the nodes of a batch; raises SqlError 102 or 105."""
    try:
        tokens = sqlglot.tokenize(sql, read="tsql")
    except sqlglot.errors.SqlglotError as failure:
        raise SqlError(105, f"Unclosed quotation mark, or text the stand-in cannot read: {failure}", 15) from failure
    return tuple(_Splitter(sql, tokens).block(until_end=False))


class _Splitter:
    """A recursive-descent reader over the tokens of one batch."""

    def __init__(self, sql: str, tokens: list[Token]) -> None:
        self.sql = sql
        self.tokens = tokens
        self.at = 0

    def block(self, *, until_end: bool) -> list[Node]:
        nodes: list[Node] = []
        while not self._done():
            if self._word() == ";":
                self.at += 1
            elif self._word() == "END" and until_end:
                return nodes
            else:
                nodes += self._node()
        if until_end:
            raise syntax("Incorrect syntax near 'BEGIN': no END.")
        return nodes

    def _word(self, ahead: int = 0) -> str:
        """The upper-case word at the cursor; '' for quoted names, literals and the end."""
        index = self.at + ahead
        if not 0 <= index < len(self.tokens) or self.tokens[index].token_type in QUOTED:
            return ""
        return self.tokens[index].text.upper()

    def _done(self) -> bool:
        return self.at >= len(self.tokens)

    def _skip_semicolons(self) -> None:
        while self._word() == ";":
            self.at += 1

    def _node(self) -> list[Node]:
        word, following = self._word(), self._word(1)
        if word == "IF":
            return [self._branch()]
        if word == "WHILE":
            self.at += 1
            return [While(self._condition(), tuple(self._node()))]
        if word == "BEGIN" and following == "TRY":
            return [self._guarded()]
        if word == "BEGIN" and not following.startswith("TRAN"):
            return self._bracketed(1)
        return self._simple()

    def _bracketed(self, words: int) -> list[Node]:
        """BEGIN .. END; `words` on either side, 2 for BEGIN TRY."""
        self.at += words
        nodes = self.block(until_end=True)
        self.at += words
        return nodes

    def _guarded(self) -> Try:
        body = self._bracketed(2)
        self._skip_semicolons()
        if (self._word(), self._word(1)) != ("BEGIN", "CATCH"):
            raise syntax("Incorrect syntax near 'TRY': no BEGIN CATCH.")
        return Try(tuple(body), tuple(self._bracketed(2)))

    def _branch(self) -> If:
        self.at += 1
        condition = self._condition()
        then = self._node()
        while self._word() == ";" and self._word(1) == "ELSE":
            self.at += 1
        if self._word() != "ELSE":
            return If(condition, tuple(then), ())
        self.at += 1
        return If(condition, tuple(then), tuple(self._node()))

    def _condition(self) -> str:
        start, depth = self.at, 0
        while not self._done():
            word = self._word()
            depth += (word == "(") - (word == ")")
            if depth == 0 and self.at > start and word in STARTERS and self._word(-1) != "@":
                break
            self.at += 1
        return self._text(start, self.at)

    def _simple(self) -> list[Node]:
        start, depth, cases = self.at, 0, 0
        head = self.tokens[start].text.upper()
        seen: set[str] = set()
        while not self._done():
            word = self._word()
            outside = depth == 0 and cases == 0 and self.at > start
            if outside and begins_another(word, self._word(-1), head, seen, self._word(1)):
                break
            depth += (word == "(") - (word == ")")
            cases += (word == "CASE") - (word == "END" and cases > 0)
            if depth == 0:
                seen.add(word)
            self.at += 1
        text = self._text(start, self.at)
        return [Statement(text)] if text else []

    def _text(self, start: int, end: int) -> str:
        if start >= end:
            return ""
        return self.sql[self.tokens[start].start : self.tokens[end - 1].end + 1].strip()
