"""When to try a source again that was lost: soon, then less often, then once a minute for an hour. Pure."""

from dataclasses import dataclass

from fluxion.clock import Clock

BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 16.0)
PROBE_S = 60.0
OPEN_S = 3600.0


@dataclass(frozen=True)
class Attempt:
    """What a failure leads to. opened: with it the circuit opened, or has been open for another hour."""

    wait_s: float
    first: bool
    opened: bool


@dataclass(frozen=True)
class Recovery:
    """What a success after failures ends. closed: the circuit was open."""

    closed: bool


class Circuit:
    """Counts the failures of one source in a row. The first success closes it, however long it was open."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None

    def failed(self) -> Attempt:
        """Note a failure and return how long to wait before the next try."""
        self._failures += 1
        if self._failures <= len(BACKOFF_S):
            return Attempt(BACKOFF_S[self._failures - 1], first=self._failures == 1, opened=False)
        now = self._clock.monotonic()
        opened = self._opened_at is None or now - self._opened_at >= OPEN_S
        if opened:
            self._opened_at = now
        return Attempt(PROBE_S, first=False, opened=opened)

    def succeeded(self) -> Recovery | None:
        """Note a success; None where nothing had failed."""
        if not self._failures:
            return None
        was_open = self._opened_at is not None
        self._failures, self._opened_at = 0, None
        return Recovery(closed=was_open)
