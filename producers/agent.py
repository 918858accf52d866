"""The agent: source → journal → shipper, three threads that meet at the journal and at nothing else.

A source that is lost is tried again; Kafka may be away for days; what needs mending ends the process and says so.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Full, Queue

from fluxion.clock import Clock
from fluxion.errors import AccessDeniedError, DependencyDownError, FluxionError, Retry, SourceNotReadyError
from fluxion.log import get_logger
from fluxion.schema_registry import SchemaRegistry
from fluxion.settings import Settings
from producers.home import JOURNAL, AgentConfig, only_one
from producers.journal import Journal
from producers.shipper import Shipper
from producers.source import Capture, Fault, Source
from producers.sources.mysql import MySQLSource
from schemas.codec import schema_text
from schemas.topics import CHANGES

BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
# What is committed to the journal together at most, if it is there already; one Capture alone never waits for another.
GROUP_CAPTURES = 64
GROUP_ROWS = 2_000
_WAIT_S = 0.25
_SETTLE_S = 0.02
_JOIN_S = 10.0


class Agent:
    """One run of the agent in `home`. `run` blocks; `stop` may come from a signal handler or another thread."""

    def __init__(self, home: Path, config: AgentConfig, settings: Settings, clock: Clock) -> None:
        self._home = home
        self._config = config
        self._settings = settings
        self._clock = clock
        self._captures: Queue[Capture] = Queue(GROUP_CAPTURES)
        self._stopping = threading.Event()
        self._written = threading.Event()
        self._failure: BaseException | None = None
        self._source: Source | None = None

    def run(self) -> None:
        """Capture and ship until `stop`; raises what ended it otherwise."""
        with only_one(self._home):
            threads = [
                threading.Thread(target=self._guarded, args=[work], name=name, daemon=True)
                for name, work in (("source", self._capture), ("journal", self._write), ("shipper", self._ship))
            ]
            for thread in threads:
                thread.start()
            # Not an endless wait: on Windows that would keep the signal from us.
            while not self._stopping.wait(_WAIT_S):
                pass
            self._interrupt()
            for thread in threads:
                thread.join(_JOIN_S)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End `run` soon, cleanly: what the source told and the journal has not stored is read again next time."""
        self._stopping.set()

    def _interrupt(self) -> None:
        self._written.set()
        if self._source is not None:
            self._source.close()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as fault:  # noqa: BLE001 -- `run` raises it in the main thread
            self._failure = self._failure or fault
        finally:
            self._stopping.set()

    # The source's thread ---------------------------------------------------------------------------------------------

    def _capture(self) -> None:
        journal = Journal(self._home / JOURNAL, self._clock)
        tries = 0
        while not self._stopping.is_set():
            try:
                for _ in self._follow(journal):
                    tries = 0
            except FluxionError as fault:
                if fault.retry is not Retry.SOON:
                    raise
                delay = BACKOFF_S[min(tries, len(BACKOFF_S) - 1)]
                get_logger().warning("the source is lost, trying again", reason=fault.message, in_seconds=delay)
                self._stopping.wait(delay)
                tries += 1
        journal.close()

    def _follow(self, journal: Journal) -> Iterator[None]:
        """Snapshot where there was none, then stream from the stored position; yields after each Capture."""
        self._settle()
        source = MySQLSource(self._config.mysql(self._settings), self._clock)
        self._source = source
        if self._stopping.is_set():  # between the loop's look and the line above
            return
        try:
            state = journal.state()
            if state.stream_position is None:
                _refuse_faults(source.check())
                get_logger().info("taking the first snapshot", tables=sorted(self._config.source.tables))
                for capture in source.snapshot(state.snapshot_position, frozenset(self._config.source.tables), {}):
                    journal.append([capture])
                    self._written.set()
                    yield
                if self._stopping.is_set():
                    return
                journal.finish_snapshot()
                get_logger().info("the first snapshot is whole", rows=journal.state().next_number - 1)
            get_logger().info("streaming", position=journal.state().stream_position)
            for capture in source.stream(journal.state().stream_position or ""):
                self._hand_over(capture)
                yield
        finally:
            source.close()

    def _settle(self) -> None:
        """Wait until what was read before a connection was lost is stored: that moves the position."""
        while self._captures.unfinished_tasks and not self._stopping.wait(_SETTLE_S):
            pass

    def _hand_over(self, capture: Capture) -> None:
        while not self._stopping.is_set():
            try:
                self._captures.put(capture, timeout=_WAIT_S)
            except Full:
                continue
            return

    # The journal's thread --------------------------------------------------------------------------------------------

    def _write(self) -> None:
        journal = Journal(self._home / JOURNAL, self._clock)
        while not self._stopping.is_set():
            try:
                group = self._group()
            except Empty:
                continue
            try:
                self._store(journal, group)
            finally:
                for _ in group:
                    self._captures.task_done()
        journal.close()

    def _group(self) -> list[Capture]:
        """Wait for one Capture and take along what is there already."""
        group: list[Capture] = []
        rows = 0
        while len(group) < GROUP_CAPTURES and rows < GROUP_ROWS:
            try:
                capture = self._captures.get(timeout=_WAIT_S) if not group else self._captures.get_nowait()
            except Empty:
                if not group:
                    raise
                break
            group.append(capture)
            rows += len(capture.rows)
        return group

    def _store(self, journal: Journal, group: list[Capture]) -> None:
        while True:
            try:
                journal.append(group)
            except DependencyDownError as fault:
                get_logger().error("the journal cannot be written, the source waits", reason=str(fault))
                if self._stopping.wait(1.0):
                    return
            else:
                self._written.set()
                return

    # The shipper's thread --------------------------------------------------------------------------------------------

    def _ship(self) -> None:
        journal = Journal.for_shipping(self._home / JOURNAL, self._clock)
        registry = SchemaRegistry(self._settings.schema_registry, sleep=self._pause)
        shipper = Shipper(
            journal, self._config.sender(journal.journal_id), self._settings.kafka, self._written, self._stopping
        )
        try:
            shipper.run(lambda: registry.schema_id(CHANGES.subject, schema_text("change_set")))
        except _StoppedError:
            pass
        finally:
            journal.close()

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise _StoppedError


def _refuse_faults(faults: list[Fault]) -> None:
    """Raise the first fault before a snapshot that takes hours finds it at its end; what passes by itself is tried."""
    mending = [fault for fault in faults if fault.code != DependencyDownError.code]
    if mending:
        first, *others = mending
        more = f" (and {len(others)} more: `fluxion agent check`)" if others else ""
        kind = AccessDeniedError if first.code == AccessDeniedError.code else SourceNotReadyError
        raise kind(first.message, first.mend + more)


class _StoppedError(Exception):
    """The agent ends while it waits for a service."""
