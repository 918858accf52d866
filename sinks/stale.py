"""STALE_EPOCH: rows of an agent that a newer one has replaced. They are not applied; they are counted, and said."""

from collections.abc import Iterable

from fluxion import metrics
from fluxion.clock import Clock
from fluxion.log import get_logger
from fluxion.progress import SaidBefore


class StaleRows:
    """Counts them for each system, and says so at most every 10 s each."""

    def __init__(self, clock: Clock) -> None:
        self._said = SaidBefore(clock)
        self._unsaid: dict[str, int] = {}

    def add(self, met: Iterable[tuple[str, int]]) -> None:
        """Count (system, rows) of a batch that was committed."""
        for system_id, rows in met:
            metrics.STALE_EPOCH.inc(rows)
            self._unsaid[system_id] = self._unsaid.get(system_id, 0) + rows
            if self._said.due(system_id):
                get_logger().warning(
                    "rows of an older agent were not applied: two agents, or a restored copy",
                    code="STALE_EPOCH",
                    system=system_id,
                    rows=self._unsaid.pop(system_id),
                )
