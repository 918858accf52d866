"""Ends of snapshots that stand in the raw log behind a row that is mapped again.

A row that nobody could take was never in PostgreSQL. If a later snapshot of its table did not find it, it is gone from the point of sale, and only
that snapshot's end says so; taken alone the row would come alive for ever. So the ends go with it: the sink does them
behind the row, and a row that the snapshot did find has come with a newer version anyhow.
"""

from collections.abc import Iterator

from control.raw_log import RawLog
from fluxion.errors import DataValidationError
from schemas.records import ChangeSet, End
from stream_processors.steps.decode import Decode


def lowest_versions(change_set: ChangeSet) -> dict[str, int]:
    """Return each table's lowest version in a change set."""
    found: dict[str, int] = {}
    for row in change_set.rows:
        table = change_set.layouts[row.layout].table
        found[table] = min(found.get(table, row.version or 0), row.version or 0)
    return found


def ends_between(log: RawLog, decode: Decode, start: int, end: int) -> Iterator[tuple[int, ChangeSet]]:
    """Yield offset and change set of the records that hold an end; what cannot be read holds none."""
    for raw in log.read(start, end):
        try:
            change_set = decode(raw).change_set
        except DataValidationError:
            continue
        if change_set.ends:
            yield raw.offset, change_set


class LaterEnds:
    """The ends from an offset to the log's end, read once. Ends that are older than the log itself are not known any more."""

    def __init__(self, log: RawLog, decode: Decode, start: int) -> None:
        low, high = log.bounds()
        self._ends: dict[tuple[str, int], tuple[int, End]] = {}
        for offset, change_set in ends_between(log, decode, max(low, start), high):
            for end in change_set.ends:
                self._ends[end.table, end.first_version] = offset, end

    def behind(self, change_set: ChangeSet, offset: int) -> list[End]:
        """Return the ends behind `offset` that speak of rows as old as those of the change set."""
        lowest = lowest_versions(change_set)
        return [
            end
            for at, end in self._ends.values()
            if at > offset and end.table in lowest and lowest[end.table] < end.first_version
        ]
