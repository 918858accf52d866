"""decode: bytes to a change set whose rows fit their layouts."""

from collections.abc import Callable

from schemas.codec import Decoder, LookUp, UnreadableRecordError
from schemas.records import ChangeSet
from schemas.topics import CHANGES
from stream_processors.drafts import Decoded, Raw

Decode = Callable[[Raw], Decoded]
_MEND = "find what else produces to this topic"


def decoding(look_up: LookUp) -> Decode:
    """Return the step. It raises UnreadableRecordError for bytes that are no sound change set.

    `look_up` is asked once for each schema id; what it raises passes.
    """
    read: Decoder[ChangeSet] = Decoder(CHANGES.schema or "", ChangeSet, look_up)

    def decode(raw: Raw) -> Decoded:
        return Decoded(raw, fitting(read(raw.value)))

    return decode


def fitting(change_set: ChangeSet) -> ChangeSet:
    """Return the change set; raises UnreadableRecordError where a row does not fit its layout or has no version."""
    widths = [len(layout.columns) for layout in change_set.layouts]
    for row in change_set.rows:
        if not 0 <= row.layout < len(widths) or len(row.values) != widths[row.layout]:
            raise UnreadableRecordError("a row does not fit its layout", _MEND)
        if row.version is None:
            raise UnreadableRecordError("a row has no version", _MEND)
    return change_set
