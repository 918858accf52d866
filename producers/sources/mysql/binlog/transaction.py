"""What one transaction of the log said, gathered until it is committed, or until it is too much to be held."""

from producers.source import Capture, CaptureEnd, CaptureRow, Position
from producers.sources.mysql.binlog.events import Gtid
from producers.sources.mysql.binlog.rows import TableRows
from producers.sources.mysql.binlog.statements import Effects
from schemas.records import Layout

# A part is about what a change set holds, and a few of them are in memory at once.
MAX_ROWS = 500
MAX_BYTES = 512 * 1024


class Transaction:
    """The transaction that `head` begins. part: how many parts of it have been taken."""

    def __init__(self, head: Gtid) -> None:
        self.head = head
        self.part = 0
        self._size = 0
        self._added = 0
        self._rows: list[CaptureRow] = []
        self._ends: list[CaptureEnd] = []
        self._layouts: list[Layout] = []
        self._index: dict[int, int] = {}
        self._savepoints: dict[str, int] = {}
        self._touched: dict[str, None] = {}  # a set that keeps its order
        self._reread: dict[str, None] = {}

    @property
    def says_something(self) -> bool:
        """Whether it is more than a step of the position."""
        return bool(self._rows or self._ends or self._reread or self.part)

    @property
    def must_be_cut(self) -> bool:
        """Whether a part is to be taken before more rows are added: the last part always has one, and ends come first."""
        # (events of one statement have about as many rows each)
        too_many = bool(self._rows) and len(self._rows) + self._added > MAX_ROWS
        return too_many or self._size >= MAX_BYTES or bool(self._ends)

    def add(self, table: TableRows, event: bytes) -> None:
        """Add the rows of an event."""
        layout = self._index.get(id(table))
        if layout is None:
            layout = self._index[id(table)] = self._layout(table.layout)
        rows = table.read(event, layout)
        self._rows += rows
        self._added = len(rows)
        self._size += len(event)

    def _layout(self, layout: Layout) -> int:
        self._touched[layout.table] = None
        if layout not in self._layouts:
            self._layouts.append(layout)
        return self._layouts.index(layout)

    def apply(self, effects: Effects) -> None:
        """Add what a statement did to whole tables."""
        self._ends += [CaptureEnd(table) for table in effects.emptied]
        self._reread |= dict.fromkeys(effects.changed)

    def save(self, savepoint: str) -> None:
        """Remember the place of a savepoint."""
        self._savepoints[savepoint] = len(self._rows)

    def roll_back(self, savepoint: str = "") -> None:
        """Take rows back, to a savepoint or all.

        The log holds a rollback only where something was not rolled back, such as rows of a table without transactions.
        Which of the rows stay is not told then, so their tables are read again; so are they where rows are out already.
        """
        if self.part or not self.head.transactional:
            self._reread |= self._touched
        if not self.part:
            del self._rows[self._savepoints.get(savepoint, 0) :]

    def take(self, position: Position, captured_at: int, *, last: bool) -> Capture:
        """Return what is held, as a part or the end of it, and hold nothing any more. position: see `Capture`."""
        capture = Capture(
            kind="stream",
            position=position,
            layouts=self._layouts if self._rows else [],
            rows=self._rows,
            ends=self._ends,
            captured_at=captured_at,
            part=self.part,
            last_part=last,
            resnapshot=list(self._reread) if last else [],
        )
        self.part += 1
        self._size = 0
        self._rows, self._ends, self._layouts, self._index, self._savepoints = [], [], [], {}, {}
        return capture
