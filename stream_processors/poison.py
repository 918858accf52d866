"""A raw record that no chain could take: set aside whole, so that its neighbours go on and nothing is lost."""

import base64

from fluxion.errors import DataValidationError, FluxionError, MappingError
from schemas.records import CanonicalSet, Quarantined
from stream_processors.drafts import Raw

# A canonical set must fit into a Kafka record of 8 MiB, and base64 adds a third.
MAX_RAW_BYTES = 5 * 1024 * 1024
MICROS = 1000


class StepFailedError(DataValidationError):
    """A pure step stumbled over a record; the fault is in the step or in the record."""

    code = "STEP_FAILED"


class EndsWorkerError(DataValidationError):
    """A record ended the worker that took it, three times."""

    code = "ENDS_WORKER"


class UnknownSystemError(MappingError):
    """The registry knows no such system."""

    code = "UNKNOWN_SYSTEM"


def poison(raw: Raw, system_id: str, timestamp_ms: int, revision: int, fault: Exception) -> CanonicalSet:
    """Return the canonical set that takes a poisoned record to quarantine."""
    if not isinstance(fault, FluxionError):
        fault = StepFailedError(f"a step failed on the record ({type(fault).__name__}: {fault})", "report it")
    large = len(raw.value) > MAX_RAW_BYTES
    mend = (
        f"{fault.mend}; too large to keep here, the raw record stays in {raw.topic} for 14 days"
        if large
        else fault.mend
    )
    entry = Quarantined(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        external_table=None,
        external_id=None,
        version=None,
        code=fault.code,
        error_class=fault.error_class.value,
        message=_writable(f"{fault.message}; {mend}"),
        raw="" if large else base64.b64encode(raw.value).decode("ascii"),
    )
    return CanonicalSet(
        system_id=_writable(system_id),
        mapping_revision=revision,
        source_offset=raw.offset,
        captured_at=timestamp_ms * MICROS,
        quarantined=[entry],
    )


def _writable(text: str) -> str:
    """Return text that Avro and PostgreSQL take: no NUL, no half of a surrogate pair."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")
