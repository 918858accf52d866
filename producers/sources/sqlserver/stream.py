"""The changes from a position on, poll after poll, by whichever method."""

from collections.abc import Iterator

from fluxion.clock import Clock
from producers.source import Capture, Position
from producers.sources.sqlserver.connection import Link, Links
from producers.sources.sqlserver.identity import Views
from producers.sources.sqlserver.method import Method, Poller
from producers.sources.sqlserver.pace import Pace

# How often an idle stream says that it lives, and looks whether its tables are still what they were.
QUIET_S, LOOK_S = 1.0, 10.0


class Stream:
    """Follows the changes on a connection of its own."""

    def __init__(self, links: Links, views: Views, method: Method, clock: Clock, after: Position) -> None:
        self._links = links
        self._views = views
        self._method = method
        self._clock = clock
        self._after = after

    def __iter__(self) -> Iterator[Capture]:
        """Yield the changes of each poll, empty Captures when there are none of ours."""
        link = self._links.open()
        try:
            identity = self._method.prove(link, self._views.identity(link), self._after)
            yield from self._follow(link, self._method.poller(identity, self._after))
        finally:
            self._links.drop(link)

    def _follow(self, link: Link, poller: Poller) -> Iterator[Capture]:
        pace = Pace()
        now = self._clock.monotonic
        yielded, looked = now(), now() - LOOK_S
        while True:
            found = False
            # One statement that touches no table, as long as nothing was committed.
            moved = poller.has_moved(link)
            if moved or now() - looked >= LOOK_S:
                looked = now()
                for capture in poller.run(link):
                    found = True
                    yield capture
            if not found and now() - yielded >= QUIET_S:
                yield poller.quiet()
                yielded = now()
            if found:
                yielded = now()
            self._links.pause(pace.next(found=found))
