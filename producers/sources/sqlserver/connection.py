"""Connections to SQL Server that nobody has to wait for longer than he wants to.

A call of an ODBC driver cannot be interrupted: on a line that is cut without a word FreeTDS waits for twice its timeout, and
after SQLCancel for ever. So each connection has a thread that makes its calls; who asked waits for the answer, and leaves the
thread to itself when it is late or the source is closed. The thread ends, and closes its connection, when its call returns.
"""

import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from queue import Empty, SimpleQueue
from typing import Any

import pyodbc

from fluxion.errors import DependencyDownError, FluxionError
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.drivers import chosen, connection_string
from producers.sources.sqlserver.errors import LOCK_TIMEOUT_MS, translate

Row = Any  # a pyodbc.Row: values by their place
_Task = Callable[[], Any]

CONNECT_TIMEOUT_S = 10
# How long the server may work before it sends a row, and how much later its answer may come before the line is taken for dead.
QUERY_TIMEOUT_S, MARGIN_S = 20, 2.0
# How long a snapshot may be held while nobody asks for more (the journal is full, say): the old versions of rows that it
# keeps alive fill tempdb, on the disk of the point of sale.
HOLD_S = 60.0
_CLOSE_S = 0.5
_MOST_AT_ONCE = 64
_DATETIMEOFFSET = -155  # SQL_SS_TIMESTAMPOFFSET
# Nobody at a register waits for us: on a deadlock we give way, and a lock that is held is not waited for. TEXTSIZE: some
# drivers cut long text at 64 KiB.
_SESSION = f"""
SET LOCK_TIMEOUT {LOCK_TIMEOUT_MS}; SET DEADLOCK_PRIORITY LOW; SET QUOTED_IDENTIFIER ON; SET TEXTSIZE 2147483647;
SET NOCOUNT ON; SET XACT_ABORT OFF; SET TRANSACTION ISOLATION LEVEL READ COMMITTED
"""

# A closed connection must not be handed out again with what its session was told.
pyodbc.pooling = False


class Link:
    """One connection and the thread that makes its calls. Raises FluxionError only; what is left of a result is dropped."""

    def __init__(self, config: SQLServerConfig, query_timeout_s: int) -> None:
        self._config = config
        self._timeout_s = query_timeout_s
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Any, Exception | None] | None] = SimpleQueue()
        self._left = False
        self._holds = False
        self._why = "the connection was closed"
        self._connection: pyodbc.Connection | None = None
        self._cursor: pyodbc.Cursor | None = None
        self._thread = threading.Thread(target=self._serve, name="sqlserver", daemon=True)
        self._thread.start()

    def connect(self) -> None:
        """Log in."""
        self._ask(self._connect)

    def rows(self, query: str, *parameters: Any) -> list[Row]:
        """Return all rows of a small result."""

        def run() -> list[Row]:
            cursor = self._execute(query, parameters)
            return list(cursor.fetchall()) if cursor.description else []

        found: list[Row] = self._ask(run)
        return found

    def start(self, query: str, *parameters: Any) -> None:
        """Run a query whose rows are taken bit by bit."""
        self._ask(lambda: self._execute(query, parameters) and None)

    def take(self, rows: int, characters: int, long_places: Sequence[int]) -> tuple[list[Row], int]:
        """Return the next rows of the query that was started, and how long the values at `long_places` are.

        As many as `rows`, fewer where those values get longer than `characters` (by some rows at most); none: it is at its end.
        """
        found: tuple[list[Row], int] = self._ask(lambda: self._fetch(rows, characters, long_places))
        return found

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read in the block what was committed when the first statement in it began, without a lock.

        Who asks for nothing in it for HOLD_S loses the connection.
        """
        self._holds = True
        self.rows("SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION")
        yield
        # Only of a block that has ended well: who leaves it otherwise drops the connection, which rolls back.
        self.rows("COMMIT TRANSACTION; SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        self._holds = False

    def leave(self) -> None:
        """From any thread: end who waits for an answer, and the thread as soon as it can. Safe to call twice."""
        self._left = True
        self._answers.put(None)
        self._tasks.put(None)

    def close(self) -> None:
        """End the connection; waits a moment for it, so that a server sees it go before who closed it goes on."""
        waits = not self._left
        self.leave()
        if waits:
            self._thread.join(_CLOSE_S)

    # Of whoever asks ------------------------------------------------------------------------------------------------------

    def _ask(self, task: _Task) -> Any:
        if self._left:
            raise self._lost(self._why)
        self._tasks.put(task)
        try:
            answer = self._answers.get(timeout=self._timeout_s + MARGIN_S)
        except Empty:
            self.leave()
            raise self._lost("the line is silent") from None
        if answer is None:
            raise self._lost(self._why)
        value, fault = answer
        if isinstance(fault, FluxionError):
            raise fault
        if fault is not None:
            raise translate(fault, self._config) from fault
        return value

    def _lost(self, why: str) -> DependencyDownError:
        message = f"SQL Server at {self._config.address} does not answer ({why})"
        return DependencyDownError(message, "it is tried again; check that it runs")

    # Of the thread --------------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while (task := self._next_task()) is not None and not self._left:
            try:
                self._answers.put((task(), None))
            except Exception as fault:  # noqa: BLE001 -- it is raised again where it was asked for
                self._answers.put((None, fault))
        if self._connection is not None:
            _quietly(self._connection.close)

    def _next_task(self) -> _Task | None:
        while True:
            try:
                return self._tasks.get(timeout=HOLD_S if self._holds else None)
            except Empty:
                if self._holds:
                    self._why = f"a snapshot was held for {HOLD_S:.0f} s, which the point of sale pays for"
                    self.leave()

    def _connect(self) -> None:
        driver = chosen(self._config, pyodbc.drivers())
        text = connection_string(self._config, driver)
        # autocommit, or the driver begins a transaction of its own before SNAPSHOT can be set (3951).
        self._connection = pyodbc.connect(text, autocommit=True, timeout=CONNECT_TIMEOUT_S)
        self._connection.timeout = self._timeout_s
        self._connection.add_output_converter(_DATETIMEOFFSET, _offset_time)
        self._cursor = self._connection.cursor()
        self._execute(_SESSION, ())

    def _execute(self, query: str, parameters: Sequence[Any]) -> pyodbc.Cursor:
        assert self._cursor is not None  # noqa: S101 -- `connect` was the first task
        return self._cursor.execute(query, *parameters)

    def _fetch(self, rows: int, characters: int, long_places: Sequence[int]) -> tuple[list[Row], int]:
        """Fetch few rows first, more while they are short, so that long ones are not all in memory before they are counted."""
        assert self._cursor is not None  # noqa: S101 -- as above
        if not long_places:
            return self._cursor.fetchmany(rows), 0
        found: list[Row] = []
        length, size = 0, 1
        while len(found) < rows and length < characters:
            some = self._cursor.fetchmany(min(size, rows - len(found)))
            if not some:
                break
            found += some
            length += sum(len(row[place] or "") for row in some for place in long_places)
            size = max(1, min(size * 2, _MOST_AT_ONCE, (characters - length) * len(found) // max(length, 1)))
        return found, length


def _quietly(close: Callable[[], None]) -> None:
    try:
        close()
    except pyodbc.Error:
        return


def _offset_time(raw: bytes) -> datetime:
    """Read SQL_SS_TIMESTAMPOFFSET_STRUCT, which pyodbc does not know."""
    year, month, day, hour, minute, second, nanos, hours, minutes = struct.unpack("<6hI2h", raw)
    zone = timezone(timedelta(hours=hours, minutes=minutes)) if hours or minutes else UTC
    return datetime(year, month, day, hour, minute, second, nanos // 1000, zone)


class Links:
    """The open connections of one source. `shut` may come from another thread and ends whatever waits on them."""

    def __init__(self, config: SQLServerConfig) -> None:
        self.config = config
        self._closing = threading.Event()
        self._open: set[Link] = set()
        self._lock = threading.Lock()

    @property
    def closed(self) -> bool:
        """Whether `shut` was called."""
        return self._closing.is_set()

    def open(self, query_timeout_s: int | None = None) -> Link:
        """Connect. Raises FluxionError only."""
        link = Link(self.config, query_timeout_s or QUERY_TIMEOUT_S)
        with self._lock:
            self._open.add(link)
            if self.closed:
                link.leave()
        try:
            link.connect()
        except FluxionError:
            self.drop(link)
            raise
        return link

    def drop(self, link: Link) -> None:
        """Close a connection without reading what is still under way on it."""
        with self._lock:
            self._open.discard(link)
        link.close()

    def shut(self) -> None:
        """End every connection and refuse new ones. Safe to call twice."""
        self._closing.set()
        with self._lock:
            for link in self._open:
                link.leave()

    def pause(self, seconds: float) -> None:
        """Wait; shorter where `shut` is called."""
        self._closing.wait(seconds)


def ask(config: SQLServerConfig) -> None:
    """Ask the database for a sign of life: a login. Raises FluxionError."""
    links = Links(config)
    links.drop(links.open())
