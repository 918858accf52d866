"""The agent: source → journal → shipper, threads that meet at the journal; one that reads again, one that says how it goes.

A source that is lost is tried again; Kafka may be away for days; a journal that is damaged, or a restored copy, is set aside
and begun anew; what only a person can mend ends the process and says so.
"""

import platform
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluxion.clock import Clock
from fluxion.errors import DependencyDownError, TwoAgentsError
from fluxion.log import get_logger
from fluxion.progress import Progress, SaidBefore, Watchdog
from fluxion.schema_registry import SchemaRegistry
from fluxion.settings import Settings
from producers.context import Context
from producers.following import Following
from producers.handover import Handover
from producers.home import JOURNAL, AgentConfig, only_one
from producers.journal import Journal, JournalFullError, JournalSetAsideError, prepare
from producers.layouts import Layouts
from producers.note import Note
from producers.rereading import Rereading
from producers.shipper import Destination, Shipper
from producers.shipping_lag import ShippingLag
from producers.source import Capture
from producers.sources.choice import open_source
from producers.status import Reporter
from schemas.codec import schema_text
from schemas.topics import CHANGES, STATUS

_WAIT_S = 0.25
# All threads together; SIGTERM ends the process within 10 s.
_JOIN_S = 8.0


class Agent:
    """One agent in `home`. `run` blocks; `stop` may come from a signal handler or another thread."""

    def __init__(self, home: Path, config: AgentConfig, settings: Settings, clock: Clock, watchdog: Watchdog) -> None:
        self._home = home
        self._config = config
        self._settings = settings
        self._clock = clock
        self._stopped = threading.Event()
        self._turn: _Turn | None = None
        lag = ShippingLag(home / JOURNAL, clock)
        self._watched = _Watched(
            source=watchdog.watch("source", self._is_running),
            shipper=watchdog.watch("shipper", lambda: self._is_running() and lag.pending(), asks="journal"),
        )

    def _is_running(self) -> bool:
        """Whether the threads are at work: in between, the journal is made ready by nobody but `run`."""
        return self._turn is not None and not self._turn.ending.is_set()

    def run(self) -> None:
        """Capture and ship until `stop`; raises what ended it otherwise."""
        with only_one(self._home):
            while not self._stopped.is_set():
                prepare(self._home / JOURNAL)
                self._turn = turn = _Turn(self._home, self._config, self._settings, self._clock, self._watched)
                if self._stopped.is_set():  # between the loop's look and the line above
                    return
                failure = turn.run()
                if isinstance(failure, JournalSetAsideError):
                    get_logger().error("beginning anew with a new journal", reason=str(failure))
                elif failure is not None:
                    raise failure

    def stop(self) -> None:
        """End `run` soon, cleanly: what the source told and the journal has not stored is read again next time."""
        self._stopped.set()
        if self._turn is not None:
            self._turn.ending.set()


@dataclass(frozen=True)
class _Watched:
    """What the threads tell the watchdog."""

    source: Progress
    shipper: Progress


class _Turn:
    """The threads, from a journal that is ready to what ends them."""

    def __init__(self, home: Path, config: AgentConfig, settings: Settings, clock: Clock, watched: _Watched) -> None:
        self.ending = threading.Event()
        self._settings = settings
        self._watched = watched
        self._failure: BaseException | None = None
        self._schemas = SchemaRegistry(settings.schema_registry, sleep=self._sleep, waiting=watched.shipper.waiting)
        status_id = lambda: self._schemas.schema_id(STATUS.subject, schema_text("status"))  # noqa: E731 -- plain here
        self._context = Context(
            home=home,
            config=config,
            clock=clock,
            ending=self.ending,
            written=threading.Event(),
            handover=Handover(self.ending),
            reporter=Reporter(config.system_id, settings.kafka, status_id, clock, self.ending),
            note=Note(home),
            layouts=Layouts(home),
            open_source=lambda: open_source(config.place(settings, home), clock),
            pause=lambda seconds: not self.ending.wait(seconds),
            progress=watched.source,
        )

    def run(self) -> BaseException | None:
        """Run until `ending` is set; returns what ended it, None where somebody else did."""
        works: list[tuple[str, Callable[[], None]]] = [
            ("source", Following(self._context).run),
            ("again", Rereading(self._context).run),
            ("journal", self._write),
            ("shipper", self._ship),
            ("status", self._report),
        ]
        threads = [threading.Thread(target=self._guarded, args=[work], name=name, daemon=True) for name, work in works]
        for thread in threads:
            thread.start()
        # Not an endless wait: on Windows that would keep the signal from us.
        while not self.ending.wait(_WAIT_S):
            pass
        self._context.written.set()
        if self._context.source is not None:
            self._context.source.close()
        until = self._context.clock.monotonic() + _JOIN_S
        for thread in threads:
            thread.join(max(0.0, until - self._context.clock.monotonic()))
        if isinstance(self._failure, JournalSetAsideError) and any(thread.is_alive() for thread in threads):
            return RuntimeError("a thread did not end, so the journal cannot be set aside now")
        return self._failure

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except _StoppedError:
            pass
        except BaseException as fault:  # noqa: BLE001 -- `run` returns it to the main thread
            if isinstance(fault, TwoAgentsError):
                self._context.reporter.say("two_agents", fault=fault)
            self._failure = self._failure or fault
        finally:
            self.ending.set()

    # The journal's thread --------------------------------------------------------------------------------------------

    def _write(self) -> None:
        context = self._context
        budget = context.config.journal_bytes
        journal = Journal(context.home / JOURNAL, context.clock, budget=budget, say_full=self._say_full)
        said = SaidBefore(context.clock)
        with closing(journal):
            while not self.ending.is_set():
                group = context.handover.take()
                if group:
                    self._store(journal, group, said)
                    context.handover.stored(len(group))

    def _store(self, journal: Journal, group: list[Capture], said: SaidBefore) -> None:
        while True:
            try:
                journal.append(group)
            except DependencyDownError as fault:
                self._watched.source.waits("journal", str(fault))
                if said.due(fault.code):
                    get_logger().error("the journal cannot be written, the source waits", reason=str(fault))
                if self.ending.wait(1.0):
                    return
            else:
                self._context.written.set()
                return

    def _say_full(self, fault: JournalFullError | None) -> None:
        if fault is None:
            get_logger().info("the journal has room again")
            self._context.reporter.say("source_recovered", code=JournalFullError.code)
        else:
            self._context.reporter.say("journal_full", fault=fault)

    # The shipper's thread --------------------------------------------------------------------------------------------

    def _ship(self) -> None:
        journal = Journal.for_shipping(self._context.home / JOURNAL, self._context.clock)
        destination = Destination(
            system_id=self._context.config.system_id,
            servers=self._settings.kafka,
            database=self._settings.database.get_secret_value(),
            host=platform.node(),
        )
        shipper = Shipper(journal, destination, self._context.written, self.ending, self._watched.shipper)
        with closing(journal):
            shipper.run(lambda: self._schemas.schema_id(CHANGES.subject, schema_text("change_set")))

    # The status thread -----------------------------------------------------------------------------------------------

    def _report(self) -> None:
        with closing(self._context.journal()) as journal:
            self._context.reporter.identify(journal.journal_id)

            def facts() -> dict[str, Any]:
                state = journal.state()
                return {
                    "sequence": state.last_sequence,
                    "acknowledged": state.acknowledged,
                    "unshipped": state.unshipped,
                    "journal_bytes": state.bytes,
                    **self._context.note.said,
                }

            self._context.reporter.run(facts)

    def _sleep(self, seconds: float) -> None:
        if self.ending.wait(seconds):
            raise _StoppedError


class _StoppedError(Exception):
    """The agent ends while it waits for a service."""
