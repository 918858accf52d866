"""What each way to have a SQL Server's changes must offer; snapshots, the stream's loop and `check` are the same for all.

The ways: Change Tracking (`change_tracking`), Change Data Capture (`cdc`), columns of type rowversion (`rowversion`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from producers.source import Capture, CaptureRow, Fault, Position
from producers.sources.sqlserver.catalogue import TableShape
from producers.sources.sqlserver.connection import Link
from producers.sources.sqlserver.identity import Identity


class Poller(Protocol):
    """Polls from a position on, again and again."""

    def has_moved(self, link: Link) -> bool:
        """Tell whether something was committed behind the position. Touches no table; PositionLostError where it went back."""
        ...

    def run(self, link: Link) -> Iterator[Capture]:
        """Yield what has come since the last poll, nothing where there is none of our tables."""
        ...

    def quiet(self) -> Capture:
        """Return a Capture that moves the position only."""
        ...


class Method(Protocol):
    """How the changes of a database are had. Its pollers and snapshots may be driven by different threads.

    permissions: what it needs on a table, as GRANT names them.
    """

    permissions: str

    def begin(self, link: Link, identity: Identity) -> Position:
        """Return where a stream begins that misses nothing of what is not yet in a view of the data opened behind this call.

        SourceNotReadyError or AccessDeniedError where the changes of a table are not to be had.
        """
        ...

    def prove(self, link: Link, identity: Identity, position: Position) -> Identity:
        """Return `identity` and what was known of it; PositionLostError or AnotherSourceError where no stream can begin there."""
        ...

    def poller(self, identity: Identity, after: Position) -> Poller:
        """Return what follows the changes from a proved position on."""
        ...

    def read(self, shape: TableShape, rows: Sequence[CaptureRow]) -> None:
        """Take note of rows that a snapshot has read."""
        ...

    def faults(self, link: Link, shapes: Mapping[str, TableShape], in_time: Callable[[], bool]) -> Iterator[Fault]:
        """Yield what keeps us from having the changes; `shapes` are the captured tables that are there."""
        ...
