"""Where we are in a database's change tracking, or in a snapshot."""

from typing import TypeVar

import msgspec
from msgspec import Struct

from fluxion.errors import PositionLostError
from producers.source import Position
from producers.sources.sqlserver.identity import MEND, Identity

_T = TypeVar("_T", bound=Struct)


class Tracked(Struct, frozen=True, array_like=True):
    """The change tracking of one table as it was when the position was taken.

    object_id: of the table. begin: the version at which its tracking began. log: the object that keeps its changes, None
    where the login may not see it. valid: the least version from which its changes are whole, where that is above the
    position: the table was read again for it already.
    """

    object_id: int
    begin: int
    log: int | None = None
    valid: int = 0


class TrackedPosition(Struct, frozen=True):
    """Behind the changes of `version` in every table, all of which were tracked as `tables` says."""

    database: Identity
    version: int
    tables: dict[str, Tracked]

    def text(self) -> Position:
        """Return the position as the journal keeps it."""
        return msgspec.json.encode(self).decode()


class ChunkPosition(Struct, frozen=True):
    """A place in a snapshot: behind the row of `table` whose columns `by` hold `key` (in `keyset`'s form).

    key: None where the table was read to its end. start: where the stream begins behind a first run, None in a later one.
    """

    database: Identity
    start: Position | None
    table: str
    by: tuple[str, ...]
    key: tuple[str, ...] | None

    def text(self) -> Position:
        """Return the position as the journal keeps it."""
        return msgspec.json.encode(self).decode()


def parse(position: Position) -> TrackedPosition:
    """Read `TrackedPosition.text` back; PositionLostError for anything else."""
    return decoded(position, TrackedPosition)


def parse_chunk(position: Position) -> ChunkPosition:
    """Read `ChunkPosition.text` back; PositionLostError for anything else."""
    return decoded(position, ChunkPosition)


def decoded(position: Position, kind: type[_T]) -> _T:
    """Read the text of a position of that kind; PositionLostError for anything else, such as one of another method."""
    try:
        return msgspec.json.decode(position, type=kind)
    except msgspec.DecodeError as fault:
        raise PositionLostError(f"the stored position cannot be read ({fault})", MEND) from None
