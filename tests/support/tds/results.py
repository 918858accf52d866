"""What a statement leaves behind, before it becomes tokens on the wire, and what a client sent with a statement."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.tds.types import SqlType


@dataclass(frozen=True)
class Column:
    """One column of a result set as the client sees it."""

    name: str
    type: SqlType
    nullable: bool = True
    identity: bool = False


@dataclass
class Result:
    """One statement's outcome. `columns` is None where there is no result set; `database` is set by USE."""

    columns: list[Column] | None = None
    rows: Sequence[Sequence[Any]] = ()
    rowcount: int | None = None
    messages: list[str] = field(default_factory=list)
    database: str | None = None


@dataclass
class Parameter:
    """A value that the client sent beside the statement's text."""

    name: str
    type: SqlType
    value: Any
