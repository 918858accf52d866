"""The way from the threads that read the source to the one that journals: first in, first out, bounded in rows and size.

It also keeps the turn between the stream and a snapshot beside it: from before a chunk's SELECT until the chunk stands in
the line, nothing of the stream enters; and nothing enters between the parts of one transaction.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from producers.fitting import characters
from producers.source import Capture

# What is committed to the journal together at most, if it is there already; one Capture alone never waits for another.
GROUP_CAPTURES = 64
GROUP_ROWS = 1_000
GROUP_CHARACTERS = 512 * 1024
# What may wait, beside one Capture that is larger by itself.
WAITING_CAPTURES = 128
WAITING_ROWS = 2_000
WAITING_CHARACTERS = 1024 * 1024
_WAIT_S = 0.25


class Handover:
    """`ending` is set where the agent ends: then nothing waits any more, and what was not stored is read again next time."""

    def __init__(self, ending: threading.Event) -> None:
        self._ending = ending
        self._line: deque[tuple[Capture, int]] = deque()
        self._rows = self._characters = 0
        self._unstored = 0
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        self._in_parts = False

    # The source's threads --------------------------------------------------------------------------------------------

    def put(self, capture: Capture) -> None:
        """Put a Capture into the line, once there is room."""
        size = characters(capture)
        with self._changed:
            while self._is_full(len(capture.rows), size) and not self._ending.is_set():
                self._changed.wait(_WAIT_S)
            self._line.append((capture, size))
            self._rows += len(capture.rows)
            self._characters += size
            self._unstored += 1
            self._changed.notify_all()

    def put_streamed(self, capture: Capture) -> None:
        """Put a Capture of the stream into the line, when it is its turn; a transaction's parts follow each other."""
        if not self._in_parts:
            self._turn.acquire()
        self._in_parts = True
        try:
            self.put(capture)
        finally:
            if capture.last_part:
                self.end_parts()

    def end_parts(self) -> None:
        """Give the turn away where the stream broke off between two parts. By the stream's thread."""
        if self._in_parts:
            self._in_parts = False
            self._turn.release()

    def put_asked(self, ask: Callable[[], Capture | None]) -> Capture | None:
        """Ask for a chunk and put it into the line, in one turn; returns it, None where there is none left."""
        with self._turn:
            capture = ask()
            if capture is not None:
                self.put(capture)
            return capture

    @contextmanager
    def standstill(self) -> Iterator[None]:
        """Hold the turn once everything in the line is stored: what happens inside meets no Capture on its way."""
        with self._turn:
            self.settle()
            yield

    def settle(self) -> None:
        """Wait until everything that was put is stored."""
        with self._changed:
            while self._unstored and not self._ending.is_set():
                self._changed.wait(_WAIT_S)

    def _is_full(self, rows: int, size: int) -> bool:
        return bool(self._line) and (
            len(self._line) >= WAITING_CAPTURES
            or self._rows + rows > WAITING_ROWS
            or self._characters + size > WAITING_CHARACTERS
        )

    # The journal's thread --------------------------------------------------------------------------------------------

    def take(self) -> list[Capture]:
        """Wait a moment for a Capture and take along what is there already; empty where there was none."""
        with self._changed:
            if not self._line:
                self._changed.wait(_WAIT_S)
            group: list[Capture] = []
            rows = size = 0
            while self._line and len(group) < GROUP_CAPTURES and rows < GROUP_ROWS and size < GROUP_CHARACTERS:
                capture, its_size = self._line.popleft()
                group.append(capture)
                rows, size = rows + len(capture.rows), size + its_size
            self._rows -= rows
            self._characters -= size
            self._changed.notify_all()
            return group

    def stored(self, count: int) -> None:
        """Note that so many of the Captures taken are in the journal."""
        with self._changed:
            self._unstored -= count
            self._changed.notify_all()
