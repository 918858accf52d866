"""What a PostgreSQL error means for a batch: bad data, try again, or wait."""

import re

import psycopg

from fluxion.clock import Clock
from fluxion.errors import DataValidationError, DependencyDownError, FluxionError
from fluxion.log import get_logger
from fluxion.postgres import translate

SAY_AGAIN_S = 10.0
_LIBPQ_ASKS = re.compile(r"\s*Is the server running[^?]*\?")

_BAD_DATA = {"22", "23", "54"}
_CLASHES = {"40001", "40P01"}


class RowRefusedError(DataValidationError):
    """PostgreSQL cannot hold the row's values."""

    code = "ROW_REFUSED"


def is_bad_data(fault: psycopg.Error) -> bool:
    """Tell whether a row is at fault. psycopg refuses a NUL itself, without a SQLSTATE."""
    if fault.sqlstate is None:
        return isinstance(fault, psycopg.DataError | psycopg.IntegrityError)
    return fault.sqlstate[:2] in _BAD_DATA


def is_clash(fault: psycopg.Error) -> bool:
    """Tell whether the same transaction can succeed when it is done again."""
    return fault.sqlstate in _CLASHES


def refusal(fault: psycopg.Error) -> FluxionError:
    """Return the error that goes to quarantine with the row."""
    reason = " ".join((fault.diag.message_primary or str(fault)).split())
    return RowRefusedError(
        f"PostgreSQL refuses the row ({reason})", "mend the value in the source and send the row again"
    )


def down(fault: psycopg.Error) -> FluxionError | None:
    """Return ours where a connection or a privilege is at fault; None: it is our own mistake."""
    if isinstance(fault, psycopg.InterfaceError):
        return DependencyDownError(
            f"PostgreSQL's connection is gone ({fault})", "it is tried again; check that it runs"
        )
    return translate(fault)


def awaited(fault: psycopg.Error | DependencyDownError) -> DependencyDownError:
    """Return what to wait for; raises where waiting cannot help: ours for a privilege, the driver's for our own mistake."""
    known = down(fault) if isinstance(fault, psycopg.Error) else fault
    if not isinstance(known, DependencyDownError):
        raise known or fault from fault
    return known


class Waiting:
    """Says what is waited for: each reason at once, and again at most every 10 s."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[str, float] = {}

    def say(self, fault: DependencyDownError) -> None:
        """Write one line, or none where it was written just now."""
        now = self._clock.monotonic()
        self._said = {reason: at for reason, at in self._said.items() if now - at < SAY_AGAIN_S}
        reason = _LIBPQ_ASKS.sub("", str(fault))
        if reason not in self._said:
            self._said[reason] = now
            get_logger().warning("waiting", reason=reason)
