"""Where we are in a database's change tracking or in a snapshot of it, and whether it is still the same database."""

from typing import TypeVar

import msgspec
from msgspec import Struct

from fluxion.errors import AnotherSourceError, PositionLostError
from producers.source import Position

_T = TypeVar("_T", bound=Struct)

MEND = "a new snapshot mends it: `fluxion agent resnapshot`"
_ANOTHER = "point the agent at the right one, or accept this one with `fluxion agent resnapshot`, which reads it whole"


class Identity(Struct, frozen=True, array_like=True):
    """What tells one database from another, and from itself before a backup of it was restored.

    server: a digest of the server's name and the database's. created: when it was created or restored, local time of the
    server. guid, fork: digests of its database_guid and of the recovery fork that a restore begins; None where the login
    may not see them.
    """

    server: str
    created: str
    guid: str | None = None
    fork: str | None = None

    def verify(self, now: "Identity") -> "Identity":
        """Return `now` with what is no longer seen of it.

        Raises AnotherSourceError where it is another database, PositionLostError where this one was restored.
        """
        if now.server != self.server or _differ(self.guid, now.guid):
            message = "this is another SQL Server database than the one that was read until now"
            raise AnotherSourceError(message, _ANOTHER)
        if now.created != self.created or _differ(self.fork, now.fork):
            message = (
                "the database was restored from a backup, so the changes that were read until now need not be in it"
            )
            raise PositionLostError(message, MEND)
        return Identity(now.server, now.created, now.guid or self.guid, now.fork or self.fork)


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
    start: TrackedPosition | None
    table: str
    by: tuple[str, ...]
    key: tuple[str, ...] | None

    def text(self) -> Position:
        """Return the position as the journal keeps it."""
        return msgspec.json.encode(self).decode()


def parse(position: Position) -> TrackedPosition:
    """Read `TrackedPosition.text` back; PositionLostError for anything else."""
    return _decoded(position, TrackedPosition)


def parse_chunk(position: Position) -> ChunkPosition:
    """Read `ChunkPosition.text` back; PositionLostError for anything else."""
    return _decoded(position, ChunkPosition)


def _decoded(position: Position, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(position, type=kind)
    except msgspec.DecodeError as fault:
        raise PositionLostError(f"the stored position cannot be read ({fault})", MEND) from None


def _differ(before: str | None, now: str | None) -> bool:
    return before is not None and now is not None and before != now
