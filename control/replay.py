"""The raw log of one system mapped again with its present mapping: original versions, the new mapping revision.

Raw records are never produced again, and no offset of anybody moves: what comes out is appended to fluxion.records.v1 among the live
records, and the sink's guard on (version, mapping revision) decides row by row.

The end of a snapshot is repeated only where the log from its first row on is in the window. Then it is right by version order however late it
comes: every row that the snapshot read has a version from `first_version` on, and what is older was not there. A window that
begins in the middle of a snapshot leaves its end out: it is no witness of what that snapshot did not see, and it holds no row that is
older. Where the window ends before the log does, the ends behind it that speak of its rows come too (see `later_ends`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec.structs import replace

from control.later_ends import ends_between, lowest_versions
from control.raw_log import RawLog
from fluxion.errors import DataValidationError
from fluxion.registry import System
from schemas.codec import LookUp
from schemas.records import CanonicalSet, ChangeSet, End
from schemas.topics import CHANGES
from stream_processors.remap import Place, Remapping
from stream_processors.steps.decode import decoding


@dataclass(frozen=True)
class Window:
    """Offsets `start` up to `end`, which is not read. lost_until: the log no longer holds what was before; None: it does."""

    start: int
    end: int
    lost_until: datetime | None


def window(log: RawLog, since: datetime, until: datetime | None) -> Window:
    """Return what lies between two times, up to the log's end as it is now."""
    low, high = log.bounds()
    start = max(low, log.offset_at(since))
    end = min(high, log.offset_at(until)) if until is not None else high
    begins = log.moment_of(low) if low and start == low else None
    lost_until = begins.astimezone(UTC) if begins is not None and begins > since else None
    return Window(start, end, lost_until)


@dataclass
class Passed:
    """What went by: records, those that cannot be mapped at all (offset, reason), and the tables whose ends were left out."""

    records: int = 0
    unmapped: list[tuple[int, str]] = field(default_factory=list)
    ends_left_out: set[str] = field(default_factory=set)


class Replay:
    """Maps a window again. Raises MappingError where the system's template is unsound. `passed` is true after `records`."""

    def __init__(self, system: System, look_up: LookUp, log: RawLog) -> None:
        self._remapping = Remapping(system)
        self._decode = decoding(look_up)
        self._log = log
        self.passed = Passed()

    def records(self, chosen: Window, told: Callable[[int], object] = lambda _: None) -> Iterator[CanonicalSet]:
        """Yield what each record means now; `told` hears how many were read. Raises DependencyDownError."""
        lowest: dict[str, int] = {}
        for raw in self._log.read(chosen.start, chosen.end):
            self.passed.records += 1
            told(self.passed.records)
            try:
                change_set = self._decode(raw).change_set
            except DataValidationError as fault:
                self.passed.unmapped.append((raw.offset, str(fault)))
                continue
            for table, version in lowest_versions(change_set).items():
                lowest[table] = min(lowest.get(table, version), version)
            if (made := self._mapped(raw.offset, self._with_ends(change_set, lowest))) is not None:
                yield made
        yield from self._ends_behind(chosen.end, lowest)

    def _ends_behind(self, start: int, lowest: dict[str, int]) -> Iterator[CanonicalSet]:
        for offset, change_set in ends_between(self._log, self._decode, start, self._log.bounds()[1]):
            ends = [end for end in change_set.ends if lowest.get(end.table, end.first_version) < end.first_version]
            if ends and (made := self._mapped(offset, replace(change_set, rows=[], ends=ends))) is not None:
                yield made

    def _with_ends(self, change_set: ChangeSet, lowest: dict[str, int]) -> ChangeSet:
        whole = [end for end in change_set.ends if _is_whole(end, lowest)]
        self.passed.ends_left_out |= {end.table for end in change_set.ends if end not in whole}
        return replace(change_set, ends=whole)

    def _mapped(self, offset: int, change_set: ChangeSet) -> CanonicalSet | None:
        try:
            return self._remapping.change_set(change_set, Place(CHANGES.name, self._log.partition, offset))
        except Exception as fault:  # noqa: BLE001 -- the steps are pure: what one stumbles over is this record's fault
            self.passed.unmapped.append((offset, str(fault)))
            return None


def _is_whole(end: End, lowest: dict[str, int]) -> bool:
    """Tell whether everything from the snapshot's first row on was read: versions of a system stand in order in its log."""
    return bool(lowest) and min(lowest.values()) <= end.first_version
