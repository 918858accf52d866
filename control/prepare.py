"""What prepares a point-of-sale database for capture, as statements that a database administrator reviews in a minute.

Everything here is text: nothing is connected. `control.prepare_apply` runs it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from fluxion.errors import ConfigurationError

# In a printed script it stands for what nobody but the administrator knows.
PASSWORD = "<PASSWORD>"  # noqa: S105 -- the place of one
MAX_NAME = 128
# A line's end would end a comment, or be taken for the separator GO; `$(name)` is a variable to sqlcmd, even inside quotes.
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]|\$\(")


class Method(StrEnum):
    """How SQL Server is to record its changes."""

    CHANGE_TRACKING = "change_tracking"
    CDC = "cdc"
    ROWVERSION = "rowversion"


@dataclass(frozen=True)
class Target:
    """What is to be captured, and as whom: `tables` of `schema` in `database`, read by `user`."""

    system_id: str
    system_name: str
    database: str
    schema: str
    tables: tuple[str, ...]
    user: str

    def __post_init__(self) -> None:
        for name in (self.database, self.schema, self.user, *self.tables):
            if not 0 < len(name) <= MAX_NAME or _NOT_IN_NAMES.search(name):
                message = f"{name!r} cannot stand in a script that a person reviews"
                mend = f"correct the name: up to {MAX_NAME} characters, no line ends or other control characters, no $("
                raise ConfigurationError(message, mend)


@dataclass(frozen=True)
class Step:
    """One statement. guard: the condition under which there is something to do; None: repeating it changes nothing.

    comment: why, printed before it; empty where the step before has said it. chosen: False where only a comment shows it, for
    it would touch what is not ours alone. Where `statement` needs a password it holds PASSWORD.
    """

    statement: str
    guard: str | None = None
    comment: str = ""
    chosen: bool = True

    @property
    def needs_password(self) -> bool:
        """Whether somebody has to say a password."""
        return PASSWORD in self.statement

    def lines(self) -> Iterator[str]:
        """Return the step as a script shows it."""
        if self.comment:
            yield ""
            yield from (f"-- {line}" for line in self.comment.splitlines())
        text = f"{self.statement};" if self.guard is None else f"IF {self.guard}\n    {self.statement};"
        yield from (line if self.chosen else f"-- {line}" for line in text.splitlines())


@dataclass(frozen=True)
class Script:
    """The steps in their order. heading: what a reader must know; before: statements about the session alone."""

    heading: str
    before: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def text(self) -> str:
        """The script as it is printed."""
        lines = [f"-- {line}".rstrip() for line in self.heading.splitlines()]
        lines += ["", *(f"{statement};" for statement in self.before)] if self.before else []
        for step in self.steps:
            lines += step.lines()
        return "\n".join(lines)

    @property
    def to_run(self) -> tuple[Step, ...]:
        """What is not only shown."""
        return tuple(step for step in self.steps if step.chosen)


def said_once(comment: str, steps: Iterable[Step]) -> Iterator[Step]:
    """Give the comment to the first of some steps of a kind."""
    for place, step in enumerate(steps):
        yield replace(step, comment="" if place else comment)


def one_line(text: str) -> str:
    """Return free text so that it stays inside a comment."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", " ", text).split())
