"""decode: bytes to a change set whose rows fit their layouts."""

from collections.abc import Callable

from msgspec.structs import replace

from schemas.codec import Decoder, LookUp, UnreadableRecordError
from schemas.identity import version_of
from schemas.records import ChangeSet
from schemas.topics import CHANGES
from stream_processors.drafts import Decoded, Raw

Decode = Callable[[Raw], Decoded]
# What a version has room for beside a raw record's offset; the gateway refuses an event of more than 1,000 rows.
ROW_BITS = 10
ROWS_OF_A_RECORD = 1 << ROW_BITS
_MEND = "find what else produces to this topic"


def decoding(look_up: LookUp) -> Decode:
    """Return the step. It raises UnreadableRecordError for bytes that are no sound change set.

    `look_up` is asked once for each schema id; what it raises passes.
    """
    read: Decoder[ChangeSet] = Decoder(CHANGES.schema or "", ChangeSet, look_up)

    def decode(raw: Raw) -> Decoded:
        return Decoded(raw, fitting(numbered(read(raw.value), raw.offset)))

    return decode


def numbered(change_set: ChangeSet, offset: int) -> ChangeSet:
    """Return a gateway's change set with the versions that its rows lack: `epoch << 47 | offset << 10 | row`.

    offset: the raw record's. Raises UnreadableRecordError where a row has no room in that.
    """
    rows = change_set.rows
    if change_set.producer != "gateway" or all(row.version is not None for row in rows):
        return change_set
    if len(rows) > ROWS_OF_A_RECORD:
        message = f"the event has {len(rows)} rows, {ROWS_OF_A_RECORD} is the most"
        raise UnreadableRecordError(message, "send it in several events")
    try:
        first = version_of(change_set.epoch, offset << ROW_BITS)
    except ValueError:
        message = f"epoch {change_set.epoch} or offset {offset} is out of range"
        raise UnreadableRecordError(message, _MEND) from None
    given = [row if row.version is not None else replace(row, version=first | at) for at, row in enumerate(rows)]
    return replace(change_set, rows=given)


def fitting(change_set: ChangeSet) -> ChangeSet:
    """Return the change set; raises UnreadableRecordError where a row does not fit its layout or has no version."""
    widths = [len(layout.columns) for layout in change_set.layouts]
    for row in change_set.rows:
        if not 0 <= row.layout < len(widths) or len(row.values) != widths[row.layout]:
            raise UnreadableRecordError("a row does not fit its layout", _MEND)
        if row.version is None:
            raise UnreadableRecordError("a row has no version", _MEND)
    return change_set
