"""The rows of one poll by rowversion, until they fill a part of a transaction."""

from fluxion.clock import Clock
from producers.source import Capture, CaptureEnd, CaptureRow
from producers.sources.sqlserver.keys import Values
from producers.sources.sqlserver.rowversion_position import RowversionPosition
from schemas.records import Layout, Op

PART_ROWS = 500
PART_CHARACTERS = 512 * 1024


class Parts:
    """All but the last part carry the position in front of the poll."""

    def __init__(self, before: RowversionPosition, clock: Clock) -> None:
        self._before = before
        self._clock = clock
        self._number = 0
        self._layouts: dict[int, tuple[int, Layout]] = {}
        self._rows: list[CaptureRow] = []
        self._ends: list[CaptureEnd] = []
        self._characters = 0

    @property
    def any(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._rows or self._ends)

    @property
    def full(self) -> bool:
        """Whether what is held must be taken before more is added: so the last part always has rows."""
        return len(self._rows) >= PART_ROWS or self._characters >= PART_CHARACTERS

    @property
    def room(self) -> tuple[int, int]:
        """How many rows, and characters, to fetch next."""
        if self.full:
            return PART_ROWS, PART_CHARACTERS
        return PART_ROWS - len(self._rows), PART_CHARACTERS - self._characters

    def add(self, layout: Layout, op: Op, rows: list[Values], characters: int) -> None:
        """Hold some rows of a table."""
        place, _ = self._layouts.setdefault(id(layout), (len(self._layouts), layout))
        self._rows += [CaptureRow(place, op, None, row) for row in rows]
        self._characters += characters

    def end(self, table: str) -> None:
        """Tell that a table is empty; none of its rows are held."""
        self._ends.append(CaptureEnd(table))

    def taken(self) -> Capture:
        """Return a part that is not the last."""
        return self._capture(self._before, last=False, reread=[])

    def last(self, position: RowversionPosition, reread: list[str]) -> Capture:
        """Return the last part; behind it the stream is at `position`."""
        return self._capture(position, last=True, reread=reread)

    def _capture(self, position: RowversionPosition, *, last: bool, reread: list[str]) -> Capture:
        capture = Capture(
            kind="stream",
            position=position.text(),
            layouts=[layout for _, layout in self._layouts.values()],
            rows=self._rows,
            ends=self._ends,
            captured_at=self._clock.micros(),
            part=self._number,
            last_part=last,
            resnapshot=reread,
        )
        self._number += 1
        self._layouts, self._rows, self._ends, self._characters = {}, [], [], 0
        return capture
