"""The source's thread: a first snapshot where there was none, then the stream, for as long as the agent runs."""

from collections.abc import Iterator
from contextlib import closing

from fluxion import metrics
from fluxion.errors import (
    AccessDeniedError,
    AnotherSourceError,
    DependencyDownError,
    FluxionError,
    PositionLostError,
    Retry,
    SourceNotReadyError,
)
from fluxion.log import get_logger
from producers.circuit import Circuit
from producers.context import Context
from producers.journal import Journal, JournalSetAsideError, Run
from producers.note import read_note
from producers.source import Fault, Source, table_of

# How soon what a person asked for is noticed.
NOTICE_S = 1.0


class Following:
    """Drives the source; what it cannot mend by itself ends `run` as the error that says so."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._circuit = Circuit(context.clock)
        self._looked = context.clock.monotonic()
        # What the process before us said of the source, a person has mended since: only we can take it back.
        self._was_lost = read_note(context.home).get("doing") == "lost"

    def run(self) -> None:
        """Capture until the agent ends."""
        with closing(self._context.journal()) as journal:
            while not self._context.ending.is_set():
                try:
                    for _ in self._follow(journal):
                        self._succeeded()
                except JournalSetAsideError:
                    raise  # it is not the source that is lost
                except PositionLostError as fault:
                    self._lost(journal, fault)
                except FluxionError as fault:
                    if fault.retry is not Retry.SOON or self._context.ending.is_set():
                        self._context.note.write(doing="lost", reason=str(fault))
                        self._context.reporter.say("source_error", fault=fault)
                        raise
                    self._failed(fault)

    def _follow(self, journal: Journal) -> Iterator[None]:
        """Snapshot where there was none, then stream from the stored position; yields after each Capture."""
        context = self._context
        context.handover.settle()
        source = context.source = context.open_source()
        try:
            if context.ending.is_set():  # who ends us may have looked before the line above
                return
            run = self._first_run(journal, source)
            if run is not None:
                yield from self._snapshot(journal, source, run)
            if not context.ending.is_set():
                yield from self._stream(journal, source)
        finally:
            context.handover.end_parts()
            context.live = None  # before it is closed: who reads beside the stream tells by it
            source.close()

    # The first snapshot ----------------------------------------------------------------------------------------------

    def _first_run(self, journal: Journal, source: Source) -> Run | None:
        run = journal.run()
        is_first = run is not None and run.kind == "first"
        if not is_first and journal.state().stream_position is not None:
            return None
        refuse_faults(source.check())
        if not is_first:
            self._request_first(journal)
        return journal.run()

    def _request_first(self, journal: Journal) -> None:
        config = self._context.config
        journal.request_run("first", config.source.tables, config.snapshot.at(self._context.clock))

    def _snapshot(self, journal: Journal, source: Source, run: Run) -> Iterator[None]:
        context = self._context
        # (after a lost position, or where a person asked for it, it is another one)
        what = "a new snapshot" if journal.state().rows > run.rows else "the first snapshot"
        log = get_logger().bind(what=what, tables=sorted(run.tables))
        log.info("going on with a snapshot" if run.position else "taking a snapshot", rows=run.rows)
        context.note.write(doing="snapshot", reason=None)
        job = context.job(run, journal, source)
        job.started()
        try:
            for capture in source.snapshot(run.position, frozenset(run.tables), run.bounds):
                context.watch_layouts(capture)
                context.handover.put(context.fit(capture))
                job.moved(table_of(capture), len(capture.rows))
                yield
        except FluxionError as fault:
            if fault.retry is not Retry.SOON:
                job.failed(fault)
            raise
        context.handover.settle()
        if not context.ending.is_set():
            journal.finish_run(run.id)
            job.finished()
            log.info("a snapshot is whole", rows=job.rows)

    # The stream ------------------------------------------------------------------------------------------------------

    def _stream(self, journal: Journal, source: Source) -> Iterator[None]:
        context = self._context
        position = journal.state().stream_position
        for capture in source.stream(position or ""):
            if context.live is not source:  # the first one: only now it is known that the source can be read
                context.live = source
                get_logger().info("streaming", position=position)
                context.note.write(doing="streaming", reason=None)
            context.watch_layouts(capture)
            if capture.resnapshot:
                # Before the Capture is stored: after a crash it comes, and asks, again.
                self._reread(journal, capture.resnapshot)
            context.handover.put_streamed(context.fit(capture))
            yield
            if self._is_superseded(journal):
                return

    def _reread(self, journal: Journal, tables: list[str]) -> None:
        get_logger().warning("tables are read again", tables=tables)
        journal.request_run("again", tables, self._context.config.snapshot.at(self._context.clock))

    def _is_superseded(self, journal: Journal) -> bool:
        """Tell whether a first snapshot was asked for; looks once a second."""
        now = self._context.clock.monotonic()
        if now - self._looked < NOTICE_S:
            return False
        self._looked = now
        run = journal.run()
        return run is not None and run.kind == "first"

    # What goes wrong -------------------------------------------------------------------------------------------------

    def _succeeded(self) -> None:
        self._context.progress.finished()
        recovery = self._circuit.succeeded()
        if recovery is None and not self._was_lost:
            return
        self._was_lost = False
        get_logger().info("the source is back")
        metrics.CIRCUIT.set(0)
        self._context.reporter.say("source_recovered")
        if recovery is not None and recovery.closed:
            self._context.reporter.say("circuit_closed")

    def _failed(self, fault: FluxionError) -> None:
        attempt = self._circuit.failed()
        context = self._context
        metrics.RECONNECTS.inc()
        context.note.write(doing="lost", reason=str(fault))
        get_logger().warning("the source is lost, trying again", reason=fault.message, in_seconds=attempt.wait_s)
        if attempt.first:
            context.reporter.say("source_error", fault=fault)
        if attempt.opened:
            metrics.CIRCUIT.set(1)
            get_logger().error("the source stays lost, it is tried once a minute", reason=str(fault))
            context.reporter.say("circuit_opened", fault=fault)
        context.progress.waits("source", fault.message, attempt.wait_s)
        context.pause(attempt.wait_s)

    def _lost(self, journal: Journal, fault: PositionLostError) -> None:
        """Begin anew, or wait until a person says so: never go on behind a gap."""
        context = self._context
        waits = isinstance(fault, AnotherSourceError) or context.config.snapshot.position_lost == "wait"
        then = "waiting for a person" if waits else "everything is read again"
        get_logger().error("position lost", reason=str(fault), then=then)
        context.reporter.say("position_lost", fault=fault)
        with context.handover.standstill():
            if context.ending.is_set():
                return
            if not waits:
                self._request_first(journal)
        if waits:
            self._wait_for_person(journal, fault)

    def _wait_for_person(self, journal: Journal, fault: PositionLostError) -> None:
        known = journal.run()
        self._context.note.write(doing="waiting", reason=str(fault))
        while self._context.pause(NOTICE_S):
            self._context.progress.waits("person", fault.message, NOTICE_S)
            run = journal.run()
            if run is not None and run.kind == "first" and (known is None or run.id != known.id):
                get_logger().info("a person asked for a new snapshot")
                return


def refuse_faults(faults: list[Fault]) -> None:
    """Raise the first fault before a snapshot that takes hours finds it at its end; what passes by itself is tried."""
    mending = [fault for fault in faults if fault.code != DependencyDownError.code and not fault.warning]
    if mending:
        first, *others = mending
        more = f" (and {len(others)} more: `fluxion agent check`)" if others else ""
        kind = AccessDeniedError if first.code == AccessDeniedError.code else SourceNotReadyError
        raise kind(first.message, first.mend + more)
