"""A shipper's session in PostgreSQL: opened before anything is shipped, then kept apart from the hot path.

What Kafka has acknowledged is written to PostgreSQL by a thread of its own, so that a PostgreSQL that is away delays that note
and nothing else; and the note is where a shipper learns that another agent took over.
"""

import threading
from collections.abc import Callable

from fluxion.errors import FencedError, FluxionError
from fluxion.log import get_logger
from fluxion.postgres import STAGE, connect
from fluxion.registry import Link, Session, note_acknowledged, open_session
from producers.journal import Journal

# At most one note in this time; and one at least in the other, which also finds out whether we are still the newest.
_EVERY_S = 0.5
_SIGN_OF_LIFE_S = 30.0
_RETRY_S = (1.0, 2.0, 5.0)
_LAST_NOTE_S = 3.0


def opened(database: str, system_id: str, journal: Journal, host: str) -> Session:
    """Open a session for the journal, noted in it first.

    Raises TwoAgentsError, RestoredCopyError, DependencyDownError where PostgreSQL is away.
    """
    standing = journal.standing()
    with connect(database, STAGE) as link:
        session = open_session(link, system_id, standing, host, journal.note_session)
    get_logger().info("a session is open", session=session.id, epoch=session.epoch, journal=standing.journal_id)
    return session


class Notes:
    """Notes of one session. `lost` is called from the thread, once, when `fault` says why no more can be shipped."""

    def __init__(self, database: str, session: Session, lost: Callable[[], None]) -> None:
        self._database = database
        self._session = session
        self._lost = lost
        self._sequence = session.acknowledged
        self._noted = session.acknowledged
        self._asked = 0
        self._answered = 0
        self._changed = threading.Condition()
        self._closing = False
        self._link: Link | None = None
        self.fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="session", daemon=True)
        self._thread.start()

    def acknowledged(self, sequence: int) -> None:
        """Have it noted soon that Kafka has everything up to `sequence`."""
        with self._changed:
            self._sequence = max(self._sequence, sequence)
            self._changed.notify_all()

    def still_newest(self, stopped: Callable[[], bool]) -> bool:
        """Ask PostgreSQL whether this session is still the newest, for as long as it takes; False: `stopped`, or `fault`."""
        with self._changed:
            self._asked += 1
            question = self._asked
            self._changed.notify_all()
            while self._answered < question and self.fault is None and not stopped():
                self._changed.wait(0.1)
            return self._answered >= question and self.fault is None

    def close(self) -> None:
        """Write the last note, for 3 s at most: one that is missing costs nothing, the journal knows it."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(_LAST_NOTE_S)

    def _run(self) -> None:
        try:
            self._note_until_closed()
        except BaseException as fault:  # noqa: BLE001 -- the shipper raises it in its own thread
            with self._changed:
                self.fault = fault
                self._changed.notify_all()
            self._lost()
        finally:
            self._disconnect()

    def _note_until_closed(self) -> None:
        failures = 0
        while not self._waited_for_reason():
            try:
                self._note()
            except FencedError:
                raise
            except FluxionError as fault:  # away, or somebody is changing a password
                self._disconnect()
                if self._closing:
                    return
                get_logger().warning("PostgreSQL cannot be told what was shipped", reason=str(fault))
                self._pause(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1
            else:
                failures = 0
                self._pause(_EVERY_S)

    def _note(self) -> None:
        with self._changed:
            sequence, question = self._sequence, self._asked
        if self._link is None:
            self._link = connect(self._database, STAGE)
        note_acknowledged(self._link, self._session, sequence)
        with self._changed:
            self._noted, self._answered = sequence, question
            self._changed.notify_all()

    def _disconnect(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _waited_for_reason(self) -> bool:
        """Wait until there is something to say; True: nothing more, ever."""
        with self._changed:
            self._changed.wait_for(self._has_reason, _SIGN_OF_LIFE_S)
            return self._closing and self._noted >= self._sequence

    def _has_reason(self) -> bool:
        return self._closing or self._noted < self._sequence or self._answered < self._asked

    def _pause(self, seconds: float) -> None:
        """Rest between notes, but not from a question or the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._answered < self._asked, seconds)
