"""Where we are in a database's row versions."""

import msgspec
from msgspec import Struct

from producers.source import Position
from producers.sources.sqlserver.identity import Identity
from producers.sources.sqlserver.position import decoded


class Versioned(Struct, frozen=True, array_like=True):
    """A table as it was when the position was taken: its object_id, and the columns of its key."""

    object_id: int
    key: tuple[str, ...]


class RowversionPosition(Struct, frozen=True):
    """Behind every committed row whose rowversion is below `rowversion`, in every table of `tables`.

    keys: the file of known keys. generation: the last comparison with it whose deletions are told.
    """

    database: Identity
    rowversion: int
    tables: dict[str, Versioned]
    keys: str
    generation: int

    def text(self) -> Position:
        """Return the position as the journal keeps it."""
        return msgspec.json.encode(self).decode()


def parse(position: Position) -> RowversionPosition:
    """Read `RowversionPosition.text` back; PositionLostError for anything else."""
    return decoded(position, RowversionPosition)
