"""What keeps an agent from capturing: the source's own faults, and a place in its log that it can no longer go on from."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from fluxion.clock import Clock
from fluxion.errors import AccessDeniedError, DependencyDownError, FluxionError, PositionLostError
from producers.home import JOURNAL
from producers.journal import Journal
from producers.source import Capture, Fault, Position, Source

# A source that may not be entered is asked nothing more.
_OUTSIDE = {DependencyDownError.code, AccessDeniedError.code}
# How long a transaction is read to its end, where what is lost is told.
READ_S = 5.0


def find_faults(home: Path, source: Source, clock: Clock) -> list[Fault]:
    """Return every fault at once, also those of the position that the journal in `home` holds. Writes nothing."""
    faults = source.check()
    if _OUTSIDE & {fault.code for fault in faults}:
        return faults
    is_sound = all(fault.warning for fault in faults)
    try:
        position = _position(home, clock)
        if position is not None:
            faults += _lost_tables(source.stream(position), clock)
    except FluxionError as fault:
        # (what the source lacks is said already, by all its names)
        if is_sound or isinstance(fault, PositionLostError):
            faults.append(Fault(fault.code, fault.message, fault.mend))
    return sorted(faults, key=lambda fault: fault.warning)


def _position(home: Path, clock: Clock) -> Position | None:
    """Return where the stream goes on; None where it begins behind a first snapshot, also where a new one was asked for."""
    if not (home / JOURNAL).exists():
        return None
    with closing(Journal(home / JOURNAL, clock)) as journal:
        return journal.state().stream_position


def _lost_tables(captures: Iterator[Capture], clock: Clock) -> list[Fault]:
    """Open the stream and return what its first transaction says of tables whose changes are not whole."""
    until = clock.monotonic() + READ_S
    for capture in captures:
        if capture.resnapshot:
            tables = ", ".join(capture.resnapshot)
            message = f"the log no longer tells every change of {tables} behind the stored position"
            return [Fault(PositionLostError.code, message, "the agent reads that again by itself", warning=True)]
        if capture.last_part or clock.monotonic() >= until:
            break
    return []
