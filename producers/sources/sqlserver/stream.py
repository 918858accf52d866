"""Change Tracking from a version on, poll after poll."""

from collections.abc import Iterator

from fluxion.clock import Clock
from producers.source import Capture
from producers.sources.sqlserver.change_tracking import Poll
from producers.sources.sqlserver.connection import Link, Links
from producers.sources.sqlserver.pace import Pace
from producers.sources.sqlserver.position import Identity, TrackedPosition
from producers.sources.sqlserver.tracking import Tracking, current_version, demand_version

# How often an idle stream says that it lives, and looks whether its tables are still tracked.
QUIET_S, LOOK_S = 1.0, 10.0


class Stream:
    """Follows the changes on a connection of its own."""

    def __init__(self, links: Links, tracking: Tracking, clock: Clock, after: TrackedPosition) -> None:
        self._links = links
        self._tracking = tracking
        self._clock = clock
        self._after = after

    def __iter__(self) -> Iterator[Capture]:
        """Yield the changes of each poll, empty Captures when there are none of ours."""
        link = self._links.open()
        try:
            yield from self._follow(link, prove(link, self._tracking.identity(link), self._after))
        finally:
            self._links.drop(link)

    def _follow(self, link: Link, identity: Identity) -> Iterator[Capture]:
        poll, pace = Poll(self._links.config, self._tracking, self._clock, self._after), Pace()
        now = self._clock.monotonic
        yielded, looked = now(), now() - LOOK_S
        while True:
            found = False
            # One statement that touches no table, as long as nothing was committed.
            moved = demand_version(current_version(link), poll.position.version) > poll.position.version
            if moved or now() - looked >= LOOK_S:
                looked = now()
                for capture in poll.run(link, identity):
                    found = True
                    yield capture
            if not found and now() - yielded >= QUIET_S:
                yield poll.quiet()
                yielded = now()
            if found:
                yielded = now()
            self._links.pause(pace.next(found=found))


def prove(link: Link, identity: Identity, position: TrackedPosition) -> Identity:
    """Return `identity` and what was known of it; PositionLostError where it is not the one, or no longer at the place, of `position`."""
    known = position.database.verify(identity)
    demand_version(current_version(link), position.version)
    return known
