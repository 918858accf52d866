"""The chain without Kafka, for rows and records that are mapped again after something was mended.

What comes out carries the original versions, the present mapping revision and `replayed`; it goes to fluxion.records.v1.
"""

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from fluxion.registry import System
from schemas.codec import LookUp, UnreadableRecordError
from schemas.records import CanonicalSet, ChangeSet
from stream_processors.drafts import Decoded, Raw
from stream_processors.pipeline import mapped_again
from stream_processors.steps.decode import decoding, fitting
from stream_processors.steps.map import Mapping


class Place(Struct, frozen=True):
    """Where the raw record stood: `Quarantined.topic`, `.partition`, `.offset`."""

    topic: str
    partition: int
    offset: int


class Remapping:
    """A system's chain at its present mapping, compiled once. Raises MappingError where the stored template is unsound."""

    def __init__(self, system: System) -> None:
        self._chain = mapped_again(Mapping(system))

    def change_set(self, change_set: ChangeSet, place: Place) -> CanonicalSet:
        """Return what a change set means now; raises DataValidationError where it is another system's."""
        raw = Raw(place.topic, place.partition, place.offset, b"")
        return replace(self._chain(Decoded(raw, fitting(change_set))), replayed=True)

    def row(self, change: str, place: Place) -> CanonicalSet:
        """Return what a quarantined row means now. `change`: `Quarantined.change`, a change set in JSON."""
        return self.change_set(read_change(change), place)


def remap(system: System, change_set: ChangeSet, place: Place) -> CanonicalSet:
    """Map one change set again; for many of a system make a `Remapping` once."""
    return Remapping(system).change_set(change_set, place)


class RawRemapping:
    """As `Remapping`, from the bytes of pos.changes.v1. `look_up`: schema id → the writer's schema."""

    def __init__(self, system: System, look_up: LookUp) -> None:
        self._remapping = Remapping(system)
        self._decode = decoding(look_up)

    def record(self, raw: Raw) -> CanonicalSet:
        """Return what a raw record means now; raises UnreadableRecordError, or DataValidationError for another system's."""
        change_set = self._decode(raw).change_set
        return self._remapping.change_set(change_set, Place(raw.topic, raw.partition, raw.offset))


def read_change(text: str) -> ChangeSet:
    """Return the change set that `Quarantined.change` holds; raises UnreadableRecordError."""
    try:
        return msgspec.json.decode(text, type=ChangeSet)
    except msgspec.MsgspecError as fault:
        message = f"the quarantined row cannot be read ({fault})"
        raise UnreadableRecordError(message, "take it from its raw record, with a replay") from None
