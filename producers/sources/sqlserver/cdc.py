"""Change Data Capture: what the server's capture job has read from its log, one Capture a transaction."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from fluxion.clock import Clock
from fluxion.log import get_logger
from producers.source import Capture, CaptureRow, Fault, Position
from producers.sources.sqlserver.catalogue import TableShape
from producers.sources.sqlserver.cdc_changes import CapturedChange
from producers.sources.sqlserver.cdc_check import find_faults
from producers.sources.sqlserver.cdc_instances import Instances, Standing, demand_newest, demand_on, newest, standings
from producers.sources.sqlserver.cdc_position import CapturedPosition, parse_captured
from producers.sources.sqlserver.cdc_window import Reader, Window
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Link
from producers.sources.sqlserver.identity import Identity, Views

PART_ROWS = 500
PART_CHARACTERS = 512 * 1024


class ChangeDataCapture:
    """For servers whose edition has it; see `producers.sources.sqlserver.method`."""

    permissions = "SELECT"

    def __init__(self, config: SQLServerConfig, views: Views, clock: Clock) -> None:
        self._config = config
        self._views = views
        self._clock = clock

    def begin(self, link: Link, identity: Identity) -> Position:
        """Return the place behind the last transaction that was captured; see `Method.begin`."""
        # The LSN, before any row: what is committed until the rows are read is read and streamed once more, which is
        # harmless; the other way round it would be in neither.
        demand_on(link, self._config)
        lsn = newest(link)
        found = Instances(self._config).demanded(link)
        # An instance that begins above that place misses what was committed before it was made: that is read.
        tables = {table: instances[-1].kept for table, instances in found.items()}
        return CapturedPosition(identity, lsn.hex(), tables).text()

    def prove(self, link: Link, identity: Identity, position: Position) -> Identity:
        """Demand the same database, not gone back; see `Method.prove`."""
        after = parse_captured(position)
        known = after.database.verify(identity)
        demand_on(link, self._config)
        demand_newest(newest(link), after.number)
        return known

    def poller(self, identity: Identity, after: Position) -> "WindowPoll":
        """Return what polls; see `Method.poller`."""
        return WindowPoll(self._config, self._clock, identity, parse_captured(after))

    def read(self, shape: TableShape, rows: Sequence[CaptureRow]) -> None:
        """Do nothing: deletes are told."""

    def faults(self, link: Link, shapes: Mapping[str, TableShape], in_time: Callable[[], bool]) -> Iterator[Fault]:
        """Yield what keeps us from having the changes; see `Method.faults`."""
        return find_faults(link, self._config, self._views, shapes, in_time)


class WindowPoll:
    """Polls from a position on, again and again; `position` is behind what it has yielded whole.

    What it does not know it never passes over: a table whose changes are no longer whole is named in `resnapshot`, and a
    table whose changes are not to be had at all raises.
    """

    def __init__(self, config: SQLServerConfig, clock: Clock, identity: Identity, position: CapturedPosition) -> None:
        self.position = position
        self._identity = identity
        self._clock = clock
        self._instances = Instances(config)
        self._reader = Reader(config)

    def has_moved(self, link: Link) -> bool:
        """Tell whether something was captured; see `Poller.has_moved`."""
        return demand_newest(newest(link), self.position.number) > self.position.number

    def run(self, link: Link) -> Iterator[Capture]:
        """Yield each transaction, in parts where it is large; before them, which tables must be read again."""
        ended = False
        while not ended:
            # (1) The last LSN, before the instances: one that is made later begins above it.
            until = demand_newest(newest(link), self.position.number)
            # (2) The instances, before the rows: where the clean-up or a drop comes between, the rows are refused.
            found = standings(self.position, self._instances.demanded(link))
            yield from self._reread(found)
            # (3) The rows. The clean-up may delete old changes while we read: this snapshot still has them.
            since, ended = self.position.number, True
            if since < until:
                with link.snapshot():
                    window = self._reader.read(link, since, until, found)
                    if window.large:
                        yield from self._told(window, found)
                if not window.large:
                    yield from self._told(window, found)
                ended = window.until == until
                self.position = self._at(window.until, found)

    def quiet(self) -> Capture:
        """Return a Capture that moves the position only."""
        return Capture("stream", self.position.text(), [], [], [], self._clock.micros())

    def _reread(self, found: dict[str, Standing]) -> Iterator[Capture]:
        """Yield which tables must be read again, and let them go on where their instance begins."""
        reasons = {table: its.lost for table, its in found.items() if its.lost is not None}
        for table, reason in reasons.items():
            get_logger().warning(
                "the changes of a table are not whole, so it is read again", table=table, reason=reason
            )
            found[table] = Standing(found[table].target)
        if reasons:
            self.position = self._at(self.position.number, found)
            micros = self._clock.micros()
            yield Capture("stream", self.position.text(), [], [], [], micros, resnapshot=list(reasons))

    def _told(self, window: Window, found: Mapping[str, Standing]) -> Iterator[Capture]:
        for transaction in window.transactions:
            before, after = self.position, self._at(transaction.lsn, found)
            for part, (changes, last) in enumerate(_parts(transaction.changes)):
                position = after if last else before
                yield self._capture(changes, position, transaction.source_time, part=part, last=last)
            self.position = after

    def _at(self, lsn: bytes, found: Mapping[str, Standing]) -> CapturedPosition:
        return CapturedPosition(self._identity, lsn.hex(), {table: its.at(lsn) for table, its in found.items()})

    def _capture(
        self, changes: list[CapturedChange], position: CapturedPosition, time: int | None, *, part: int, last: bool
    ) -> Capture:
        layouts = list({id(change.layout): change.layout for change in changes}.values())
        places = {id(layout): place for place, layout in enumerate(layouts)}
        rows = [CaptureRow(places[id(change.layout)], change.op, time, change.values) for change in changes]
        now = self._clock.micros()
        return Capture("stream", position.text(), layouts, rows, [], now, part=part, last_part=last)


def _parts(changes: Iterable[list[CapturedChange]]) -> Iterator[tuple[list[CapturedChange], bool]]:
    """Yield what fits into a part, and whether it is the last; only of an empty transaction is it empty."""
    held: list[CapturedChange] = []
    characters = 0
    for some in changes:
        for change in some:
            if len(held) >= PART_ROWS or characters >= PART_CHARACTERS:
                yield held, False
                held, characters = [], 0
            held.append(change)
            characters += sum(len(value) for value in change.values if value is not None)
    yield held, True
