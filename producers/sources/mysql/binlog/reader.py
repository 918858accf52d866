"""Events in, Captures out: which rows belong to which transaction, and where the log goes on behind it. Pure."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from fluxion.errors import DataValidationError, PositionLostError, SourceNotReadyError
from fluxion.log import get_logger
from producers.source import Capture, Position
from producers.sources.mysql.binlog import events
from producers.sources.mysql.binlog.events import HEADER
from producers.sources.mysql.binlog.rows import TableRows
from producers.sources.mysql.binlog.statements import Tables, effects_of, first_word, savepoint_of, writes_rows
from producers.sources.mysql.binlog.table_map import table_map, table_of
from producers.sources.mysql.binlog.transaction import Transaction
from producers.sources.mysql.position import LogPosition

# Table maps are known by their bytes, which change with a table's number: at a DDL, a FLUSH, a restart.
_MAPS_KEPT = 512
_ID: Final = slice(HEADER, HEADER + 6)
_NO_TABLE = b"\xff\xff\xff\0\0\0"  # an event without rows that ends a statement
_AGAIN = "then `fluxion agent resnapshot`, which reads the tables again"


class LogReader:
    """Takes event after event of the log behind `after`; Captures come to stand in `ready`.

    collations: the character set of every collation's number. now: microseconds since 1970.
    """

    def __init__(
        self, after: LogPosition, tables: Tables, collations: Mapping[int, str], now: Callable[[], int]
    ) -> None:
        self.ready: deque[Capture] = deque()
        self._tables = tables
        self._collations = collations
        self._now = now
        self._place = _Place(after)
        self._maps: dict[bytes, TableRows | None] = {}
        self._open: dict[bytes, TableRows | None] = {}
        self._transaction: Transaction | None = None
        self._handlers: dict[int, Callable[[bytes], None]] = {
            **dict.fromkeys(events.ROWS, self._on_rows),
            **dict.fromkeys(events.STATEMENTS, self._on_statement),
            events.TABLE_MAP: self._on_table_map,
            events.GTID: self._on_gtid,
            events.XID: self._finish,
            events.XA_PREPARE: self._on_prepared,
            events.ROTATE: self._on_rotation,
            events.HEARTBEAT: self._on_heartbeat,
            events.INCIDENT: self._on_incident,
        }

    def take(self, event: bytes) -> None:
        """Take the next event, without its checksum.

        Raises SourceNotReadyError for what the log was not set up to tell, PositionLostError where it says that it lost
        something, DataValidationError for a row that cannot be read; ValueError, IndexError and the like for nonsense.
        """
        handler = self._handlers.get(event[events.KIND])
        if handler is not None:
            handler(event)
        elif event[events.KIND] not in events.SILENT and not events.is_ignorable(event):
            message = f"the binary log has an event of a kind that is not known ({event[events.KIND]})"
            raise DataValidationError(message, "update the agent; a new snapshot passes over it")

    def quiet(self) -> Capture:
        """Return a Capture that only says how far we are; inside of a transaction that is already out in part, too."""
        part = self._transaction.part if self._transaction else 0
        return Capture("stream", self._place.position(), [], [], [], self._now(), part=part, last_part=not part)

    @property
    def where(self) -> str:
        """The place of the last commit, for messages."""
        return self._place.position()

    # Transactions ----------------------------------------------------------------------------------------------------

    def _on_gtid(self, event: bytes) -> None:
        left = self._transaction
        if left is not None:  # the server died before it had written the end: it was never committed
            get_logger().warning("a transaction has no end in the binary log", gtid=left.head.text)
            left.roll_back()
            self._yield_last(left)
        self._open.clear()
        self._transaction = Transaction(events.gtid(event))

    def _finish(self, event: bytes) -> None:
        transaction = self._current
        self._place.move(transaction.head, events.end_of(event))
        self._transaction = None
        self._yield_last(transaction)

    def _yield_last(self, transaction: Transaction) -> None:
        if transaction.says_something:
            self.ready.append(transaction.take(self._place.position(), self._now(), last=True))

    def _on_prepared(self, event: bytes) -> None:
        if self._current.says_something and not event[HEADER]:  # (a byte: committed in one phase)
            message = f"the XA transaction {self._current.head.text} touches captured tables"
            raise SourceNotReadyError(message, f"let the point of sale write in ordinary transactions, {_AGAIN}")
        self._finish(event)

    @property
    def _current(self) -> Transaction:
        if self._transaction is None:
            raise ValueError("an event stands outside of every transaction")
        return self._transaction

    # Rows ------------------------------------------------------------------------------------------------------------

    def _on_table_map(self, event: bytes) -> None:
        known = event[HEADER:]
        if known not in self._maps:
            if len(self._maps) >= _MAPS_KEPT:
                self._maps.clear()
            self._maps[known] = self._compiled(event)
        self._open[event[_ID]] = self._maps[known]

    def _compiled(self, event: bytes) -> TableRows | None:
        table = self._tables.ours(*table_of(event))
        return None if table is None else TableRows(table_map(event, self._collations), table)

    def _on_rows(self, event: bytes) -> None:
        number = event[_ID]
        if number == _NO_TABLE:
            return
        table = self._open[number]
        if table is None:
            return
        transaction = self._current
        if transaction.must_be_cut:
            self.ready.append(transaction.take(self._place.position(), self._now(), last=False))
        transaction.add(table, event)

    # Statements ------------------------------------------------------------------------------------------------------

    def _on_statement(self, event: bytes) -> None:
        statement = events.query(event)
        transaction = self._current
        match first_word(statement.text):
            case "COMMIT":
                self._finish(event)
            case "SAVEPOINT":
                transaction.save(savepoint_of(statement.text))
            case "ROLLBACK":
                savepoint = savepoint_of(statement.text)
                transaction.roll_back(savepoint)
                if not savepoint:
                    self._finish(event)
            case _:
                self._apply(statement, transaction)
                if transaction.head.standalone:
                    self._finish(event)

    def _apply(self, statement: events.Query, transaction: Transaction) -> None:
        if writes_rows(statement.text, statement.database, self._tables):
            message = f"a session writes statements instead of rows to the binary log ({statement.text[:80]!r})"
            raise SourceNotReadyError(message, f"keep binlog_format = ROW in every session, {_AGAIN}")
        effects = effects_of(statement.text, statement.database, self._tables)
        if effects.emptied or effects.changed:
            get_logger().warning("a statement changes captured tables as wholes", statement=statement.text[:200])
            transaction.apply(effects)

    # The log itself --------------------------------------------------------------------------------------------------

    def _on_rotation(self, event: bytes) -> None:
        self._place.rotate(events.rotation(event))

    def _on_heartbeat(self, event: bytes) -> None:
        if self._transaction is None:  # everything before it was read
            self._place.reach(events.end_of(event))

    def _on_incident(self, _event: bytes) -> None:
        raise PositionLostError(
            f"the server says that its binary log lost events behind {self.where}",
            "a new snapshot mends it: `fluxion agent resnapshot`; see the server's error log for the cause",
        )


class _Place:
    """How far the log was read: one GTID a domain, and file and offset of the same moment."""

    def __init__(self, after: LogPosition) -> None:
        self._server = after.server
        self._gtids = {gtid.split("-")[0]: gtid for gtid in after.gtid.split(",") if gtid}
        self._at = (after.file, after.offset)
        self._file = ""
        self._end = 0
        self._is_told = True

    def position(self) -> Position:
        return LogPosition(self._server, ",".join(self._gtids.values()), *self._at).text()

    def rotate(self, file: str) -> None:
        self._file, self._end, self._is_told = file, 0, True

    def move(self, head: events.Gtid, end: int) -> None:
        """Go behind a transaction."""
        self._gtids[str(head.domain)] = head.text
        if end < self._end:  # offsets have 32 bits: from 4 GiB on a file's places are not told
            self._is_told = False
        self._end = end
        self._at = (self._file, end) if self._is_told else ("", 0)

    def reach(self, end: int) -> None:
        """Go on to where no transaction follows yet."""
        if end >= self._end and self._is_told:
            self._end, self._at = end, (self._file, end)
