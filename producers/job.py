"""How far a snapshot is: rows, of an estimate, a rate and the seconds left, for status events and `agent status`."""

import json
from typing import Any, Protocol
from uuid import UUID, uuid5

from fluxion.clock import Clock
from fluxion.errors import FluxionError
from fluxion.log import get_logger
from producers.journal import Run
from producers.note import Note
from schemas.status import StatusKind

PROGRESS_S = 2.0
LOG_S = 30.0


class Say(Protocol):
    """`status.Reporter.say`."""

    def __call__(self, kind: StatusKind, *, fault: FluxionError | None = None, **fields: Any) -> None:
        """Send an event soon."""
        ...


class Job:
    """One run of a snapshot as others see it. Its id stays the same when the run is gone on with after a crash."""

    def __init__(self, run: Run, journal_id: str, total: int, say: Say, note: Note, clock: Clock) -> None:
        self._run = run
        self._id = str(uuid5(UUID(journal_id), str(run.id)))
        self._total = total
        self._say = say
        self._note = note
        self._clock = clock
        self._rows = run.rows
        self._began = self._said = self._logged = clock.monotonic()

    @property
    def rows(self) -> int:
        """How many were read so far, also before a crash."""
        return self._rows

    def started(self) -> None:
        """Say that it begins, or goes on."""
        detail = json.dumps(
            {"snapshot": self._run.kind, "tables": self._run.tables, "resumed": bool(self._run.position)}
        )
        self._say("job_started", job=self._id, rows=self._rows, total=self._most(), detail=detail)
        self._write_down(None)

    def moved(self, table: str, rows: int) -> None:
        """Count rows that were read; say it every 2 s at most."""
        self._rows += rows
        now = self._clock.monotonic()
        if now - self._said < PROGRESS_S:
            return
        self._said = now
        rate, left = self._pace(now)
        self._say(
            "job_progress",
            job=self._id,
            table=table,
            rows=self._rows,
            total=self._most(),
            rate=rate,
            seconds_left=left,
        )
        self._write_down(table)
        if now - self._logged >= LOG_S:
            self._logged = now
            get_logger().info("reading", table=table, rows=self._rows, of=self._most(), rate=rate, seconds_left=left)

    def finished(self) -> None:
        """Say that the last chunk is stored."""
        rate, _ = self._pace(self._clock.monotonic())
        self._say("job_finished", job=self._id, rows=self._rows, total=self._rows, rate=rate, seconds_left=0)
        self._note.write(job=None)

    def failed(self, fault: FluxionError) -> None:
        """Say that it cannot go on until somebody mends something."""
        self._say("job_failed", fault=fault, job=self._id, rows=self._rows, total=self._most())

    def _most(self) -> int:
        return max(self._total, self._rows)

    def _pace(self, now: float) -> tuple[int, int | None]:
        seconds = now - self._began
        rate = round((self._rows - self._run.rows) / seconds) if seconds > 0 else 0
        return rate, (self._most() - self._rows) // rate if rate else None

    def _write_down(self, table: str | None) -> None:
        rate, left = self._pace(self._clock.monotonic())
        self._note.write(
            job={
                "snapshot": self._run.kind,
                "table": table,
                "rows": self._rows,
                "of_about": self._most(),
                "rows_per_second": rate,
                "seconds_left": left,
            }
        )
