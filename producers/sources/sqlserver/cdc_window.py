"""The changes between two LSNs, transaction by transaction, in bounded memory."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter

import pyodbc

from fluxion.errors import DependencyDownError, SourceNotReadyError
from producers.sources.sqlserver.catalogue import Shapes, TableShape
from producers.sources.sqlserver.cdc_changes import CapturedChange, InstanceQuery, captured_shape, instance_query
from producers.sources.sqlserver.cdc_instances import Instance, Standing
from producers.sources.sqlserver.cdc_position import lsn_before, next_lsn
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Link, Row

# What is fetched of one table at once.
WINDOW_ROWS = 2_000
WINDOW_CHARACTERS = 512 * 1024
# How many transactions' times are asked for at once.
_TIMES = 100
_CLOCK = "SELECT GETDATE(), GETUTCDATE()"
_QUARTER_S = 15 * 60
_NUMBERS = "SELECT c.object_id, c.column_id, c.name FROM sys.columns AS c WHERE c.object_id IN ({})"


@dataclass(frozen=True)
class Transaction:
    """A transaction with changes in our tables, in some lists that are read one after the other.

    source_time: when it was committed, microseconds since the epoch; None where the server no longer knows.
    """

    lsn: bytes
    source_time: int | None
    changes: Iterable[list[CapturedChange]]


@dataclass(frozen=True)
class Window:
    """What was read in one snapshot: all transactions with changes in our tables up to `until`.

    Where there are too many it ends earlier than was asked for, behind one that is whole in every table. large: its only
    transaction is too large for memory; its changes are still to be read, in the same snapshot.
    """

    until: bytes
    transactions: list[Transaction]
    large: bool = False


@dataclass(frozen=True)
class _Fetched:
    """The first rows of a table in a window. end: the LSN up to which they are whole, None where they all are."""

    table: str
    rows: list[tuple[InstanceQuery, list[Row]]]
    end: bytes | None


class Reader:
    """Reads windows; what it knows of columns it keeps until the catalogue says something else."""

    def __init__(self, config: SQLServerConfig) -> None:
        self._config = config
        self._shapes = Shapes(config, config.tables)
        self._queries: dict[str, tuple[TableShape, frozenset[tuple[int, str]], InstanceQuery]] = {}

    def read(self, link: Link, after: bytes, until: bytes, standings: Mapping[str, Standing]) -> Window:
        """Read what is above `after`, up to `until`. In a snapshot, that of `link`."""
        queries = self._instance_queries(link, standings)
        with _refused():
            return self._read(link, after, until, standings, queries)

    def _read(
        self,
        link: Link,
        after: bytes,
        until: bytes,
        standings: Mapping[str, Standing],
        queries: Mapping[str, InstanceQuery],
    ) -> Window:
        fetched = [
            self._first(link, table, standing.windows(after, until), queries) for table, standing in standings.items()
        ]
        until = min([until, *(one.end for one in fetched if one.end is not None)])
        changes = [change for one in fetched for change in _changes(one, until)]
        if not changes and any(one.end is not None for one in fetched):
            # A single transaction fills all that is fetched at once. It is read table by table.
            lsn = next_lsn(until)
            (time,) = self._times(link, [lsn])
            return Window(lsn, [Transaction(lsn, time, self._large(link, lsn, standings, queries))], large=True)
        # The sort is stable, so a delete stays in front of its row.
        changes.sort(key=attrgetter("lsn", "seqval"))
        found = [(lsn, list(its)) for lsn, its in groupby(changes, key=attrgetter("lsn"))]
        times = self._times(link, [lsn for lsn, _ in found])
        both = zip(found, times, strict=True)
        return Window(until, [Transaction(lsn, time, [its]) for (lsn, its), time in both])

    def _first(
        self,
        link: Link,
        table: str,
        windows: list[tuple[Instance, bytes, bytes]],
        queries: Mapping[str, InstanceQuery],
    ) -> _Fetched:
        rows: list[tuple[InstanceQuery, list[Row]]] = []
        room, characters = WINDOW_ROWS, WINDOW_CHARACTERS
        for instance, first, last in windows:
            query = queries[instance.name]
            link.start(query.some, room, pyodbc.Binary(first), pyodbc.Binary(last))
            some, length = link.take(room, characters, query.long_places)
            rows.append((query, some))
            room, characters = room - len(some), characters - length
            if room <= 0 or characters <= 0:
                return _Fetched(table, rows, lsn_before(some[-1][0]))
        return _Fetched(table, rows, None)

    def _large(
        self, link: Link, lsn: bytes, standings: Mapping[str, Standing], queries: Mapping[str, InstanceQuery]
    ) -> Iterator[list[CapturedChange]]:
        windows = [window for standing in standings.values() for window in standing.windows(lsn_before(lsn), lsn)]
        for instance, first, last in windows:
            query, befores = queries[instance.name], deque[Row]()
            with _refused():
                link.start(query.all, pyodbc.Binary(first), pyodbc.Binary(last))
                while rows := link.take(WINDOW_ROWS, WINDOW_CHARACTERS, query.long_places)[0]:
                    yield query.read(rows, befores)

    def _times(self, link: Link, lsns: list[bytes]) -> list[int | None]:
        """Return when transactions were committed. The server tells it in its local time, of which it says how far it is off now."""
        ((local, utc),) = link.rows(_CLOCK)
        offset = round((local - utc).total_seconds() / _QUARTER_S) * _QUARTER_S * 1_000_000
        times: list[int | None] = []
        for place in range(0, len(lsns), _TIMES):
            some = [pyodbc.Binary(lsn) for lsn in lsns[place : place + _TIMES]]
            (found,) = link.rows(f"SELECT {', '.join(['sys.fn_cdc_map_lsn_to_time(?)'] * len(some))}", *some)
            times += [None if time is None else _micros(time) - offset for time in found]
        return times

    def _instance_queries(self, link: Link, standings: Mapping[str, Standing]) -> dict[str, InstanceQuery]:
        """Return the query of each instance. The columns, in each poll: what an ALTER TABLE has changed."""
        shapes = self._shapes.read(link)
        instances = {
            instance: table
            for table, its in standings.items()
            for instance in (its.older, its.target)
            if instance is not None
        }
        numbers = column_numbers(link, instances)
        return {
            instance.name: self._query(shapes.get(table), instance, numbers.get(instance.kept.source, frozenset()))
            for instance, table in instances.items()
        }

    def _query(
        self, shape: TableShape | None, instance: Instance, numbers: frozenset[tuple[int, str]]
    ) -> InstanceQuery:
        if shape is None:
            raise DependencyDownError(
                f"the table of the capture instance {instance.name} has gone", "it is tried again"
            )
        key = f"{instance.kept.table} {instance.name}"
        known = self._queries.get(key)
        if known is None or known[0] is not shape or known[1] != numbers:
            known = (shape, numbers, instance_query(captured_shape(shape, instance, numbers), instance))
            self._queries[key] = known
        return known[2]


@contextmanager
def _refused() -> Iterator[None]:
    """Have what the server refuses tried again.

    It is error 313 where the clean-up has passed us, 208 where an instance was dropped: that is being done at this moment,
    and the next poll sees it.
    """
    try:
        yield
    except SourceNotReadyError as fault:
        message = f"a capture instance was altered while its changes were read ({fault.message})"
        raise DependencyDownError(message, "it is tried again") from fault


def column_numbers(link: Link, instances: Iterable[Instance]) -> dict[int, frozenset[tuple[int, str]]]:
    """Return (number, name) of the columns of the instances' tables."""
    tables = sorted({instance.kept.source for instance in instances})
    if not tables:
        return {}
    rows = sorted(tuple(row) for row in link.rows(_NUMBERS.format(", ".join("?" * len(tables))), *tables))
    return {
        table: frozenset((int(number), str(name).casefold()) for _, number, name in its)
        for table, its in groupby(rows, key=lambda row: int(row[0]))
    }


def _changes(fetched: _Fetched, until: bytes) -> Iterator[CapturedChange]:
    for query, rows in fetched.rows:
        yield from query.read([row for row in rows if row[0] <= until], deque())


def _micros(time: datetime) -> int:
    """Return a DATETIME as if it were in UTC; its ticks are thirds of a hundredth of a second, shown in milliseconds."""
    whole = int(time.replace(microsecond=0, tzinfo=UTC).timestamp())
    return whole * 1_000_000 + round(time.microsecond, -3)
