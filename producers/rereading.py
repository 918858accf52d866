"""The thread that reads tables again beside the stream, chunk by chunk, in turns with it."""

from collections.abc import Iterator
from contextlib import closing

from fluxion.errors import AnotherSourceError, FluxionError, PositionLostError, Retry
from fluxion.log import get_logger
from producers.context import POLL_S, Context
from producers.job import Job
from producers.journal import Journal, JournalSetAsideError, Run
from producers.source import Capture, Position, Source, table_of

# How soon a run that was asked for is noticed.
NOTICE_S = 1.0
_SOON_S, _AFTER_MENDING_S = 5.0, 60.0


class Rereading:
    """Works on the journal's runs of kind "again" while a source streams.

    What fails is tried again; but for a damaged journal it never ends the agent.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._failed: set[int] = set()

    def run(self) -> None:
        """Look for runs until the agent ends."""
        with closing(self._context.journal()) as journal:
            while self._context.pause(NOTICE_S):
                source = self._context.live
                run = journal.run() if source is not None else None
                if source is not None and run is not None and run.kind == "again":
                    self._try(journal, source, run)

    def _try(self, journal: Journal, source: Source, run: Run) -> None:
        job = self._context.job(run, journal, source)
        try:
            self._work(journal, source, run, job)
        except JournalSetAsideError:
            raise  # it is not the source that is lost
        except FluxionError as fault:
            get_logger().warning("reading again failed, trying again", tables=run.tables, reason=str(fault))
            ident = run.id
            if isinstance(fault, PositionLostError) and not isinstance(fault, AnotherSourceError):
                with self._context.handover.standstill():  # where it stood cannot be read: from the beginning
                    ident = journal.request_run("again", run.tables, run.bounds)
                    journal.finish_run(run.id)
            if fault.retry is Retry.SOON:
                self._context.pause(_SOON_S)
            else:
                job.failed(fault)
                self._put_off(journal, ident)

    def _put_off(self, journal: Journal, ident: int) -> None:
        """Let the other runs go before one that needs somebody, a table that was dropped say; wait once all of them do."""
        with self._context.handover.standstill():
            journal.put_off_run(ident)
        self._failed.add(ident)
        ahead = journal.run()
        if ahead is None or ahead.id in self._failed:
            self._failed.clear()
            self._context.pause(_AFTER_MENDING_S)

    def _work(self, journal: Journal, source: Source, run: Run, job: Job) -> None:
        get_logger().info("reading again", tables=run.tables, resumed=bool(run.position), rows=run.rows)
        job.started()
        captured = frozenset(run.tables).intersection(
            self._context.config.source.tables
        )  # the template may have changed
        captures = source.resnapshot(run.position, captured, run.bounds)
        last = run.position
        while (capture := self._next(captures, job)) is not None:
            last = capture.position
        # A source that was closed ends too, and then it is no longer live.
        if self._context.live is not source or self._context.ending.is_set():
            return
        self._wait_until_stored(journal, run, last)
        if not self._context.ending.is_set():
            journal.finish_run(run.id)
            job.finished()
            get_logger().info("read again", tables=run.tables, rows=job.rows)

    def _next(self, captures: Iterator[Capture], job: Job) -> Capture | None:
        """Ask for the next chunk in a turn of its own, and then leave the stream as much time as that took."""
        clock = self._context.clock
        took = 0.0

        def ask() -> Capture | None:
            nonlocal took
            began = clock.monotonic()
            found = next(captures, None)
            took = clock.monotonic() - began
            return found if found is None else self._context.fit(found)

        capture = self._context.handover.put_asked(ask)
        if capture is not None:
            job.moved(table_of(capture), len(capture.rows))
            self._context.pause(took)
        return capture

    def _wait_until_stored(self, journal: Journal, run: Run, position: Position | None) -> None:
        """Wait for the last chunk only: the stream never stands still."""
        while True:
            now = journal.run()
            if now is None or now.id != run.id or now.position == position or not self._context.pause(POLL_S):
                return
