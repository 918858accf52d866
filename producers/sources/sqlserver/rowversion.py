"""Capture by columns of type rowversion, where neither Change Tracking nor CDC may be switched on.

A changed row has a rowversion that no row had before, so a scan for those above the last one finds it. A deleted row has
none: it is missed when the keys of a table are compared with the known ones (`keys`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from fluxion.clock import Clock
from fluxion.errors import DependencyDownError, SourceNotReadyError
from fluxion.log import get_logger
from producers.source import Capture, CaptureRow, Fault, Position
from producers.sources.sqlserver.catalogue import TableShape
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Link
from producers.sources.sqlserver.identity import Identity, Views
from producers.sources.sqlserver.keys import Keys, Values
from producers.sources.sqlserver.rowversion_check import find_faults
from producers.sources.sqlserver.rowversion_parts import Parts
from producers.sources.sqlserver.rowversion_position import RowversionPosition, parse
from producers.sources.sqlserver.rowversion_tables import (
    VersionedTable,
    VersionedTables,
    as_binary,
    demand_not_below,
    keys_in,
    lowest_active,
    place_of,
)

# A poll scans the tables: the point of sale has them for itself at least so many times as long as a poll took.
REST_POLLS, REST_COMPARISONS = 5, 20
# Not at once: who only looks whether the stream goes on has its answer first.
FIRST_COMPARISON_S = 2.0
_KEYS_AT_ONCE = 5_000


class Rowversion:
    """The last resort; see `producers.sources.sqlserver.method`."""

    permissions = "SELECT"

    def __init__(self, config: SQLServerConfig, _views: Views, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._keys = Keys(config.scratch)

    def begin(self, link: Link, identity: Identity) -> Position:
        """Return the place in front of what may not be committed yet; see `Method.begin`."""
        tables = VersionedTables(self._config).read(link)
        # Before any row: what is committed until the rows are read is read and streamed once more, which is harmless.
        return _behind(identity, lowest_active(link), tables, self._keys.id, self._keys.generation).text()

    def prove(self, link: Link, identity: Identity, position: Position) -> Identity:
        """Demand the same database, not gone back; see `Method.prove`."""
        after = parse(position)
        known = after.database.verify(identity)
        demand_not_below(lowest_active(link), after.rowversion)
        return known

    def poller(self, identity: Identity, after: Position) -> "RowversionPoll":
        """Return what polls; see `Method.poller`."""
        return RowversionPoll(self._config, self._keys, self._clock, identity, parse(after))

    def read(self, shape: TableShape, rows: Sequence[CaptureRow]) -> None:
        """Know the keys of what a snapshot has read."""
        self._keys.put(place_of(shape), keys_in(shape, (row.values for row in rows)))

    def faults(self, link: Link, shapes: Mapping[str, TableShape], in_time: Callable[[], bool]) -> Iterator[Fault]:
        """Yield what keeps us from having the changes; see `Method.faults`."""
        return find_faults(link, shapes, in_time)


class RowversionPoll:
    """Polls from a position on, again and again; `position` is behind what it has yielded whole."""

    def __init__(
        self, config: SQLServerConfig, keys: Keys, clock: Clock, identity: Identity, position: RowversionPosition
    ) -> None:
        self.position = position
        self._config = config
        self._keys = keys
        self._clock = clock
        self._identity = identity
        self._tables = VersionedTables(config)
        self._rests_until = clock.monotonic()
        self._compares_at = self._rests_until + min(FIRST_COMPARISON_S, config.compares_every_s)
        # The tables all of whose keys were compared once: from then on all that are there are known.
        self._compared: set[str] = set()
        self._worked = 0.0
        keys.begin(position.keys, position.generation)

    def has_moved(self, link: Link) -> bool:
        """Tell whether something was committed, or deletions are to be looked for; see `Poller.has_moved`."""
        moved = demand_not_below(lowest_active(link), self.position.rowversion) > self.position.rowversion
        return not self._rests and (moved or self._clock.monotonic() >= self._compares_at)

    def run(self, link: Link) -> Iterator[Capture]:
        """Yield the changed rows, and now and then the deleted ones, as the parts of one transaction."""
        if self._rests:
            return
        self._worked = 0.0
        compares = self._clock.monotonic() >= self._compares_at
        poll = self._poll(link, compares=compares)
        while True:
            with self._working():
                capture = next(poll, None)
            if capture is None:
                break
            yield capture
        now = self._clock.monotonic()
        self._rests_until = now + REST_POLLS * self._worked
        if compares:
            self._compares_at = now + max(self._config.compares_every_s, REST_COMPARISONS * self._worked)

    def quiet(self) -> Capture:
        """Return a Capture that moves the position only."""
        return Capture("stream", self.position.text(), [], [], [], self._clock.micros())

    @property
    def _rests(self) -> bool:
        return self._clock.monotonic() < self._rests_until

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Count the time in the block: what whoever takes our Captures does meanwhile is no work of the server."""
        began = self._clock.monotonic()
        yield
        self._worked += self._clock.monotonic() - began

    def _poll(self, link: Link, *, compares: bool) -> Iterator[Capture]:
        since = self.position
        parts = Parts(since, self._clock)
        # (1) The comparison's number, before the view of the data: a key that a snapshot beside us reads from now on may be
        # of a row that is not in our view, and is not missed.
        generation = self._keys.next_generation(since.generation) if compares else since.generation
        # (2) What is below this is committed or rolled back, so in (4) the rows below it are all there are; before the view,
        # or a transaction that ends between the two would be passed over.
        high = demand_not_below(lowest_active(link), since.rowversion)
        with link.snapshot():
            # (3) The tables and their columns, in each poll: what an ALTER TABLE has changed.
            tables = self._tables.read(link)
            reread = self._reread(since, tables)
            self._compared.difference_update(reread)
            followed = [tables[table] for table in sorted(tables.keys() - set(reread))]
            with _unaltered():
                # (4) The changed rows.
                for table in followed if high > since.rowversion else []:
                    yield from self._changed(link, table, (since.rowversion, high), parts)
                # (5) The deleted ones, in the same view.
                for table in followed if compares else []:
                    yield from self._deleted(link, table, high, generation, parts)
        self.position = _behind(self._identity, high, tables, self._keys.id, generation)
        if parts.any or reread:
            yield parts.last(self.position, reread)

    def _reread(self, since: RowversionPosition, tables: Mapping[str, VersionedTable]) -> list[str]:
        """Return the tables whose changes are not whole, or not all of whose keys are known."""
        if since.keys != self._keys.id:
            get_logger().warning("the known keys were lost, so every table is read again", tables=sorted(tables))
            return sorted(tables)
        found = [name for name, table in sorted(tables.items()) if since.tables.get(name) != table.kept]
        for name in found:
            why = "was not captured until now" if name not in since.tables else "was created again, or has another key"
            get_logger().warning("the changes of a table are not whole, so it is read again", table=name, reason=why)
        return found

    def _changed(self, link: Link, table: VersionedTable, window: tuple[int, int], parts: Parts) -> Iterator[Capture]:
        link.start(table.changed, *map(as_binary, window))
        while True:
            found, length = link.take(*parts.room, table.shape.long_places)
            if not found:
                return
            rows = table.read(found)
            self._keys.put(table.place, keys_in(table.shape, rows))
            if parts.full:
                yield parts.taken()
            # Whether it was inserted or updated is not known.
            parts.add(table.shape.layout, "u", rows, length)

    def _deleted(
        self, link: Link, table: VersionedTable, high: int, generation: int, parts: Parts
    ) -> Iterator[Capture]:
        """Compare the keys where the number of rows says that one may be missing."""
        name, known = table.shape.name, self._keys.count(table.place)
        ((count,),) = link.rows(table.counted, as_binary(high))
        # All that are below `high` are known by now, so as many are the same; others may have come since, and are counted.
        if name in self._compared and count == known:
            return
        self._compared.add(name)
        if known and not link.rows(f"SELECT TOP (1) 1 FROM {table.shape.qualified}"):  # noqa: S608 -- quoted
            if self._keys.empty(table.place, generation):
                parts.end(name)
            return
        for missing in self._keys.compare(table.place, self._present(link, table), generation):
            if parts.full:
                yield parts.taken()
            parts.add(table.shape.key_layout, "d", missing, 0)

    def _present(self, link: Link, table: VersionedTable) -> Iterator[list[Values]]:
        link.start(table.keys)
        while True:
            found, _ = link.take(_KEYS_AT_ONCE, 0, ())
            if not found:
                return
            yield table.read_keys(found)


@contextmanager
def _unaltered() -> Iterator[None]:
    try:
        yield
    except SourceNotReadyError as fault:
        # It was there a moment ago, and had these columns: it is being altered, and the next poll says how.
        message = f"a table was altered while its changes were read ({fault.message})"
        raise DependencyDownError(message, "it is tried again") from fault


def _behind(
    identity: Identity, rowversion: int, tables: Mapping[str, VersionedTable], keys: str, generation: int
) -> RowversionPosition:
    kept = {name: table.kept for name, table in tables.items()}
    return RowversionPosition(identity, rowversion, kept, keys, generation)
