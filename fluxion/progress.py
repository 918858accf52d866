"""What a process says of its own progress, and the watchdog: where work waits and nothing moves, the process is ended."""

import os
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from fluxion import metrics
from fluxion.clock import Clock
from fluxion.errors import FluxionError
from fluxion.log import get_logger

STALL_S = 60.0
CHECK_S = 5.0
SAY_AGAIN_S = 10.0
RESTART_ME = 70

# What waits to be done, as it stands; falsy: nothing. Raises FluxionError where it cannot be asked.
Pending = Callable[[], Hashable]


class SaidBefore:
    """Keeps a line that would repeat every second to its first time, and then one every 10 s for each subject."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[str, float] = {}

    def due(self, subject: str) -> bool:
        """Tell whether to say it now; asking counts as saying."""
        now = self._clock.monotonic()
        if now - self._said.get(subject, now - SAY_AGAIN_S) < SAY_AGAIN_S:
            return False
        self._said[subject] = now
        return True


@dataclass(frozen=True)
class Wait:
    """What is waited for, and why."""

    dependency: str
    reason: str


class Progress:
    """Counts what was finished, and every wait for a dependency that has a name; read by another thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = 0
        self._until = 0.0
        self._said = SaidBefore(clock)
        self._wait: Wait | None = None

    @property
    def count(self) -> int:
        """Rises with whatever is progress."""
        return self._count

    @property
    def wait(self) -> Wait | None:
        """What is waited for since something was last finished."""
        return self._wait

    def finished(self, records: int = 1) -> None:
        """Records whose outputs are confirmed, or a turn of a loop that is never still."""
        self._count += records
        self._wait = None

    @property
    def is_waiting(self) -> bool:
        """Whether an announced wait is still within its time."""
        return self._wait is not None and self._clock.monotonic() < self._until

    def waits(self, dependency: str, reason: str, seconds: float = 1.0) -> None:
        """Waiting for a named dependency is progress, for as long as it is announced. Nothing is logged."""
        self._count += 1
        self._wait, self._until = Wait(dependency, reason), self._clock.monotonic() + seconds
        metrics.WAITS.labels(dependency).inc(seconds)

    def waiting(self, dependency: str, reason: str) -> None:
        """As `waits`, and it is said at once, then every 10 s."""
        self.waits(dependency, reason)
        if self._said.due(dependency):
            get_logger().warning("waiting", dependency=dependency, reason=reason)


@dataclass(frozen=True)
class Standing:
    """How one piece of work stands. since: micros since the epoch when it last moved (or had nothing to do)."""

    name: str
    stalled: bool
    still_s: float
    since: int
    wait: Wait | None


def always() -> Hashable:
    """Say that something waits: for a loop that turns also when it has nothing to do."""
    return True


def unless_waiting(progress: Progress, pending: Pending) -> Pending:
    """Ask `pending`, and let nothing wait while `progress` waits for a dependency: then nothing can move."""

    def asked() -> Hashable:
        found = pending()
        return () if progress.wait else found

    return asked


def end_process(reason: str) -> None:
    """End this process so that its supervisor starts another."""
    get_logger().error("process ends, to be started again", reason=reason)
    os._exit(RESTART_ME)


@dataclass
class _Watch:
    name: str
    progress: Progress
    pending: Pending
    asks: str
    end: Callable[[str], None]
    since: float
    since_micros: int
    seen: tuple[int, Hashable] | None = None
    unanswered: bool = False


class Watchdog:
    """Looks every 5 s at all that it watches and ends the process where work waits and nothing moves for `stall_s` seconds.

    Whoever reads `standings` hears of it at half that time.
    """

    def __init__(self, clock: Clock, stall_s: float = STALL_S) -> None:
        self._clock = clock
        self._stall_s = stall_s
        self._watches: list[_Watch] = []
        self._looked = clock.monotonic()

    def watch(
        self,
        name: str,
        pending: Pending = always,
        *,
        asks: str = "",
        progress: Progress | None = None,
        end: Callable[[str], None] = end_process,
    ) -> Progress:
        """Watch one piece of work and return what it reports to. asks: the dependency that `pending` asks."""
        progress = progress or Progress(self._clock)
        now, micros = self._clock.monotonic(), self._clock.micros()
        self._watches.append(_Watch(name, progress, pending, asks, end, now, micros))
        return progress

    def start(self) -> None:
        """Watch from a thread until the process ends."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._clock.sleep(min(CHECK_S, self._stall_s / 4))
            self.look()

    def look(self) -> None:
        """Look once."""
        for watch in list(self._watches):
            self._look_at(watch)
        self._looked = self._clock.monotonic()

    def _look_at(self, watch: _Watch) -> None:
        count = watch.progress.count
        try:
            pending = watch.pending()
        except FluxionError as fault:
            watch.progress.waiting(watch.asks, fault.message)
            watch.unanswered, pending = True, None
        else:
            if watch.unanswered:
                watch.unanswered = False
                watch.progress.finished(0)  # that wait is over
        seen, now = (count, pending), self._clock.monotonic()
        if not pending or seen != watch.seen or watch.progress.is_waiting:
            watch.seen, watch.since, watch.since_micros = seen, now, self._clock.micros()
        elif now - watch.since >= self._stall_s:
            watch.end(f"{watch.name}: work waits and nothing moved for {now - watch.since:.0f} s")

    def standings(self) -> list[Standing]:
        """Return how everything stands, the watchdog too: one that hangs sees nothing."""
        limit, now = self._stall_s / 2, self._clock.monotonic()
        ours = now - self._looked
        looked = Standing("watchdog", ours >= self._stall_s, ours, self._clock.micros() - int(ours * 1_000_000), None)
        return [looked, *(_standing(watch, now, limit) for watch in list(self._watches))]


def _standing(watch: _Watch, now: float, limit: float) -> Standing:
    still = now - watch.since
    return Standing(watch.name, still >= limit, still, watch.since_micros, watch.progress.wait)
