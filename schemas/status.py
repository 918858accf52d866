"""How producers say how they fare; `avro/status.avsc` is its form on the wire."""

from typing import Literal

from msgspec import Struct

StatusKind = Literal[
    "heartbeat",
    "job_started",
    "job_progress",
    "job_finished",
    "job_failed",
    "source_error",
    "source_recovered",
    "circuit_opened",
    "circuit_closed",
    "position_lost",
    "schema_changed",
    "journal_full",
    "two_agents",
    "command_done",
]


class Status(Struct, frozen=True, kw_only=True):
    """How a producer fares; the value of pos.status.v1.

    at: by the producer's clock, which may be wrong (the record's own time is the broker's). job: id of the job, the same
    in its started, progress and finished events. table: what the event is about, where it is one table. rows of total
    (an estimate) at `rate` rows a second, seconds_left. code, message, mend: of the error. detail: JSON for people.
    """

    system_id: str
    kind: StatusKind
    at: int
    journal_id: str | None = None
    epoch: int | None = None
    job: str | None = None
    table: str | None = None
    rows: int | None = None
    total: int | None = None
    rate: int | None = None
    seconds_left: int | None = None
    code: str | None = None
    message: str | None = None
    mend: str | None = None
    detail: str | None = None
