"""How long to wait until the next poll: fast while changes come, slower when idle, to spare an old PC. Pure."""

FAST_S, SLOW_S = 0.1, 2.0
# So many empty polls in a row are still fast: between two sales of a busy register it does not doze off.
_PATIENCE = 20
_GROWTH = 1.25


class Pace:
    """Counts polls in a row that found nothing."""

    def __init__(self) -> None:
        self._empty = 0

    def next(self, *, found: bool) -> float:
        """Return the seconds until the next poll, told whether the last one found something."""
        self._empty = 0 if found else self._empty + 1
        doublings = max(0, self._empty - _PATIENCE)
        return SLOW_S if doublings > 2 * _PATIENCE else min(SLOW_S, FAST_S * _GROWTH**doublings)
