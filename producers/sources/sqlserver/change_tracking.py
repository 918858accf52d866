"""One poll of Change Tracking: what was committed since the last one, in all tables, as of one moment."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter

from fluxion.clock import Clock
from fluxion.errors import DependencyDownError, SourceNotReadyError
from fluxion.log import get_logger
from producers.source import Capture, CaptureRow, Fault, Position
from producers.sources.sqlserver.catalogue import Shapes, TableShape
from producers.sources.sqlserver.changes import Change, changes_query
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Link
from producers.sources.sqlserver.identity import Identity, Views
from producers.sources.sqlserver.position import TrackedPosition, parse
from producers.sources.sqlserver.tracking import (
    TableState,
    Tracking,
    current_version,
    demand_on,
    demand_tracked,
    demand_version,
    lost,
    position_of,
)
from producers.sources.sqlserver.tracking_check import find_faults

PART_ROWS = 500
PART_CHARACTERS = 512 * 1024


class ChangeTracking:
    """The default method; see `producers.sources.sqlserver.method`."""

    permissions = "SELECT, VIEW CHANGE TRACKING"

    def __init__(self, config: SQLServerConfig, views: Views, clock: Clock) -> None:
        self._config = config
        self._tracking = Tracking(config, views)
        self._clock = clock

    def begin(self, link: Link, identity: Identity) -> Position:
        """Return the place behind the last version; see `Method.begin`."""
        # The version, before any row: what is committed until the rows are read is read and streamed once more, which is
        # harmless; the other way round it would be in neither.
        version = demand_on(self._config, current_version(link))
        states = self._tracking.states(link)
        demand_tracked(self._config, states)
        return position_of(identity, version, states).text()

    def prove(self, link: Link, identity: Identity, position: Position) -> Identity:
        """Demand the same database, not gone back; see `Method.prove`."""
        after = parse(position)
        known = after.database.verify(identity)
        demand_version(current_version(link), after.version)
        return known

    def poller(self, identity: Identity, after: Position) -> "Poll":
        """Return what polls; see `Method.poller`."""
        return Poll(self._config, self._tracking, self._clock, identity, parse(after))

    def read(self, shape: TableShape, rows: Sequence[CaptureRow]) -> None:
        """Do nothing: deletes are told."""

    def faults(self, link: Link, shapes: Mapping[str, TableShape], in_time: Callable[[], bool]) -> Iterator[Fault]:
        """Yield what keeps us from having the changes; see `Method.faults`."""
        return find_faults(link, self._config, shapes, self._tracking.states(link), in_time)


class Poll:
    """Polls from a position on, again and again; `position` is behind what it has yielded whole.

    What it does not know it never passes over: a table whose changes are no longer whole is named in `resnapshot`, and a
    table whose changes are not to be had at all raises.
    """

    def __init__(
        self,
        config: SQLServerConfig,
        tracking: Tracking,
        clock: Clock,
        identity: Identity,
        position: TrackedPosition,
    ) -> None:
        self.position = position
        self._identity = identity
        self._config = config
        self._tracking = tracking
        self._clock = clock
        self._shapes = Shapes(config, config.tables)

    def has_moved(self, link: Link) -> bool:
        """Tell whether something was committed; see `Poller.has_moved`."""
        return demand_version(current_version(link), self.position.version) > self.position.version

    def run(self, link: Link) -> Iterator[Capture]:
        """Yield the changes as the parts of one transaction, nothing where there are none of our tables."""
        since = self.position
        parts = _Parts(since, self._clock)
        with link.snapshot():
            # (1) The version, before any row: what is committed between (1) and (2) comes in this poll and once more in
            # the next, which is harmless; the other way round it would come in none.
            version = demand_version(current_version(link), since.version)
            # (2) What is tracked, and from which version on. The clean-up may delete old changes while we read: this
            # snapshot still has them.
            states = self._tracking.states(link)
            demand_tracked(self._config, states)
            reread = self._reread(since, states)
            if version > since.version:
                # (3) The columns, in each poll: what an ALTER TABLE has changed (error 3961 if it did it just now).
                shapes = self._shapes.read(link)
                # (4) The changes.
                for table in sorted(self._config.tables - set(reread)):
                    for changes, length in self._changes(link, shapes.get(table), since.version, parts):
                        if parts.full:
                            yield parts.taken()
                        parts.add(changes, length)
        self.position = position_of(self._identity, version, states)
        if parts.any or reread:
            yield parts.last(self.position, reread)

    def quiet(self) -> Capture:
        """Return a Capture that moves the position only."""
        return Capture("stream", self.position.text(), [], [], [], self._clock.micros())

    def _reread(self, since: TrackedPosition, states: dict[str, TableState]) -> list[str]:
        found = {table: lost(table, since, state) for table, state in sorted(states.items())}
        reasons = {table: reason for table, reason in found.items() if reason is not None}
        for table, reason in reasons.items():
            get_logger().warning(
                "the changes of a table are not whole, so it is read again", table=table, reason=reason
            )
        return list(reasons)

    def _changes(
        self, link: Link, shape: TableShape | None, since: int, parts: "_Parts"
    ) -> Iterator[tuple[list[Change], int]]:
        """Yield the changes of a table, no more at once than fit into a part, and about how long they are."""
        try:
            query = changes_query(_still_there(shape))
            link.start(query.text, since)
            while True:
                rows, length = link.take(*parts.room, query.long_places)
                if not rows:
                    return
                yield query.read(rows), length
        except SourceNotReadyError as fault:
            # It was tracked a moment ago, and had these columns: it is being altered, and the next poll says how.
            message = f"a table was altered while its changes were read ({fault.message})"
            raise DependencyDownError(message, "it is tried again") from fault


def _still_there(shape: TableShape | None) -> TableShape:
    if shape is None or not shape.key:
        raise SourceNotReadyError("it, or its primary key, has gone")
    return shape


class _Parts:
    """The rows of one poll until they fill a part. All but the last carry the position in front of the poll."""

    def __init__(self, before: TrackedPosition, clock: Clock) -> None:
        self._before = before
        self._clock = clock
        self._number = 0
        self._changes: list[Change] = []
        self._characters = 0

    @property
    def any(self) -> bool:
        return bool(self._changes)

    @property
    def full(self) -> bool:
        """Whether what is held must be taken before more is added: so the last part always has rows."""
        return len(self._changes) >= PART_ROWS or self._characters >= PART_CHARACTERS

    @property
    def room(self) -> tuple[int, int]:
        """How many rows, and characters, to fetch next."""
        if self.full:
            return PART_ROWS, PART_CHARACTERS
        return PART_ROWS - len(self._changes), PART_CHARACTERS - self._characters

    def add(self, changes: list[Change], characters: int) -> None:
        self._changes += changes
        self._characters += characters

    def taken(self) -> Capture:
        return self._capture(self._before, last=False, reread=[])

    def last(self, position: TrackedPosition, reread: list[str]) -> Capture:
        return self._capture(position, last=True, reread=reread)

    def _capture(self, position: TrackedPosition, *, last: bool, reread: list[str]) -> Capture:
        # In the order of commit, as far as a part reaches; the sort is stable, so a delete stays in front of its row.
        changes = sorted(self._changes, key=attrgetter("version"))
        layouts = list({id(change.layout): change.layout for change in changes}.values())
        places = {id(layout): place for place, layout in enumerate(layouts)}
        rows = [CaptureRow(places[id(change.layout)], change.op, None, change.values) for change in changes]
        number, self._number = self._number, self._number + 1
        self._changes, self._characters = [], 0
        return Capture(
            kind="stream",
            position=position.text(),
            layouts=layouts,
            rows=rows,
            ends=[],
            captured_at=self._clock.micros(),
            part=number,
            last_part=last,
            resnapshot=reread,
        )
