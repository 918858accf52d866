"""The binary log from a GTID on, as one Capture a source transaction."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pymysql

from fluxion.clock import Clock
from fluxion.errors import DataValidationError
from producers.source import Capture
from producers.sources.mysql.binlog.dump import Dump
from producers.sources.mysql.binlog.events import verified
from producers.sources.mysql.binlog.reader import LogReader
from producers.sources.mysql.binlog.statements import Tables
from producers.sources.mysql.charsets import collations_of
from producers.sources.mysql.connection import Links, translate, translated
from producers.sources.mysql.position import LogPosition, verify

# How often a busy log without our tables still moves the position.
QUIET_S = 1.0
_NONSENSE = (IndexError, KeyError, ValueError, struct.error, zlib.error)


class Stream:
    """Follows the log on a connection of its own."""

    def __init__(self, links: Links, clock: Clock, after: LogPosition) -> None:
        self._links = links
        self._clock = clock
        self._after = after

    def __iter__(self) -> Iterator[Capture]:
        """Yield transactions as they are committed, empty Captures when there are none of ours."""
        reader = self._reader()
        with self._dumped(reader) as events:
            yield from self._captures(reader, events)

    def prove(self) -> None:
        """Return once the server has found the place: its first event says so, however long it looks. Raises as the stream does."""
        with self._dumped(self._reader()) as events:
            next((event for event in events if event is not None), None)

    @contextmanager
    def _dumped(self, reader: LogReader) -> Iterator[Iterator[bytes | None]]:
        dump = Dump(self._links, self._after.gtid)
        try:
            yield verified(dump.packets())
        except pymysql.MySQLError as fault:
            raise translate(fault, self._links.config) from fault
        except _NONSENSE as fault:
            message = f"the binary log behind {reader.where} cannot be read ({fault})"
            raise DataValidationError(message, "report it; a new snapshot passes over it") from fault
        finally:
            dump.drop()

    def _captures(self, reader: LogReader, events: Iterator[bytes | None]) -> Iterator[Capture]:
        now = self._clock.monotonic
        yielded = now()
        for event in events:
            if event is not None:
                reader.take(event)
            if reader.ready:
                yield from _taken(reader)
                yielded = now()
            elif now() - yielded >= QUIET_S:
                yield reader.quiet()
                yielded = now()

    def _reader(self) -> LogReader:
        """See that it is still the log that `after` names, and ask what its events do not say."""
        link = self._links.open()
        config = self._links.config
        try:
            with translated(config), link.cursor() as cursor:
                verify(cursor, self._after)
                collations = collations_of(cursor)
                cursor.execute("select @@lower_case_table_names")
                (folded,) = cursor.fetchone() or (0,)
        finally:
            self._links.drop(link)
        tables = Tables(config.database, config.tables, folded=bool(folded))
        return LogReader(self._after, tables, collations, self._clock.micros)


def _taken(reader: LogReader) -> Iterator[Capture]:
    while reader.ready:
        yield reader.ready.popleft()
