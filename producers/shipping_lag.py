"""What waits in the journal, for the agent's watchdog and its metrics."""

from collections.abc import Hashable
from contextlib import closing
from pathlib import Path

from fluxion import metrics
from fluxion.clock import Clock
from producers.journal import Journal


class ShippingLag:
    """Opens the journal at each look: seldom, and from whichever thread."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def pending(self) -> Hashable:
        """Return what tells whether shipping moves; falsy where everything is shipped. Raises what a Journal raises."""
        with closing(Journal(self._path, self._clock)) as journal:
            state = journal.state()
        # A store's clock may have been set back since.
        age = max(0, self._clock.micros() - state.unshipped_since) if state.unshipped_since is not None else 0
        metrics.JOURNAL_BYTES.set(state.bytes)
        metrics.JOURNAL_UNSHIPPED.set(state.unshipped)
        metrics.JOURNAL_AGE.set(age / 1_000_000)
        return (state.acknowledged,) if state.unshipped else ()
