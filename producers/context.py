"""What the threads of one run of the agent share."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fluxion.clock import Clock, SystemClock
from fluxion.errors import FluxionError
from fluxion.log import get_logger
from fluxion.progress import Progress
from producers.fitting import MAX_ROW_BYTES, LeftOut, fitted
from producers.handover import Handover
from producers.home import JOURNAL, AgentConfig
from producers.job import Job
from producers.journal import Journal, Run
from producers.layouts import Layouts
from producers.note import Note
from producers.source import Capture, Source
from producers.status import Reporter

POLL_S = 0.02


@dataclass
class Context:
    """`ending` is set where the run ends; `pause` waits so many seconds and tells whether it did.

    progress: what the source's thread tells the watchdog. source: the one that was opened last; live: the same while its stream goes on, None while it does not.
    """

    home: Path
    config: AgentConfig
    clock: Clock
    ending: threading.Event
    written: threading.Event
    handover: Handover
    reporter: Reporter
    note: Note
    layouts: Layouts
    open_source: Callable[[], Source]
    pause: Callable[[float], bool]
    progress: Progress = field(default_factory=lambda: Progress(SystemClock()))
    source: Source | None = field(default=None)
    live: Source | None = field(default=None)
    _said: set[tuple[str, str]] = field(default_factory=set)

    def journal(self) -> Journal:
        """Open the journal for the calling thread."""
        return Journal(self.home / JOURNAL, self.clock)

    def job(self, run: Run, journal: Journal, source: Source) -> Job:
        """Return the progress of a run; its estimate is best effort."""
        try:
            total = source.estimate(frozenset(run.tables), run.bounds)
        except FluxionError as fault:
            get_logger().warning("the rows cannot be estimated", reason=fault.message)
            total = 0
        return Job(run, journal.journal_id, total, self.reporter.say, self.note, self.clock)

    def watch_layouts(self, capture: Capture) -> None:
        """Say where a table has other columns than before. A deleted row says nothing of it: often its key is all that is told."""
        whole = {row.layout for row in capture.rows if row.op != "d"}
        layouts = [layout for place, layout in enumerate(capture.layouts) if place in whole]
        for change in self.layouts.changes(layouts):
            get_logger().warning("a table has changed", reason=change.message)
            self.reporter.say("schema_changed", table=change.table, message=change.message)

    def fit(self, capture: Capture) -> Capture:
        """Return the Capture with no row that is too large to be sent; what it goes without is said once a column."""
        found, left_out = fitted(capture)
        for one in left_out:
            if (one.table, one.column) not in self._said:
                self._said.add((one.table, one.column))
                self._say_left_out(one)
        return found

    def _say_left_out(self, one: LeftOut) -> None:
        message = (
            f"a value of {one.size} bytes in {one.table}.{one.column} is not sent, the rest of its row is:"
            f" a row may have {MAX_ROW_BYTES} bytes; what was sent of it before stays as it was"
        )
        mend = "nothing to do where the template does not use the column; else let the point of sale keep it smaller"
        get_logger().warning("a large value is left out", reason=message, mend=mend)
        self.reporter.say("schema_changed", table=one.table, code="VALUE_TOO_LARGE", message=message, mend=mend)
