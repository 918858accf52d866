"""Captures as the journal stores them: made ready to be stored, and read back as entries. Pure but for encoding."""

import zlib
from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from producers.source import Capture, CaptureRow, Position
from schemas.records import Layout

MAX_ROW_BYTES = 1024 * 1024
TOO_LARGE = f"the row is larger than {MAX_ROW_BYTES} bytes"

_encode = msgspec.msgpack.Encoder().encode
_decode_layouts = lru_cache(256)(msgspec.msgpack.Decoder(list[Layout]).decode)


class _Stored(Capture, frozen=True):
    """A Capture whose layouts are still to be decoded: they are half of the work, and nearly always the same."""

    layouts: Raw  # type: ignore[assignment] # the same field in another form is the point


_decode = msgspec.msgpack.Decoder(_Stored).decode


class Entry(Struct, frozen=True):
    """A stored Capture. `numbers` are its rows' own; `ends_from` is the number that its ends begin at.

    size: bytes of its body, near enough to what Avro makes of it.
    """

    sequence: int
    numbers: list[int]
    ends_from: int
    size: int
    capture: Capture


class Place(Struct, frozen=True):
    """How far the journal is shipped: up to `sequence`, whose last record carried `position`.

    next_part: where a split transaction stands in the middle, what its next record's `part` is; else 0.
    """

    sequence: int
    position: Position
    next_part: int = 0


class Ready(Struct, frozen=True):
    """A Capture encoded without the rows that are too large to be sent.

    too_large: their indexes; aside: each with its layout, encoded by itself.
    """

    capture: Capture
    body: bytes
    too_large: list[int]
    aside: list[bytes]

    @property
    def is_stored(self) -> bool:
        """Whether it becomes an entry; one without rows and ends moves a position only."""
        return bool(self.capture.rows or self.capture.ends)

    def table(self, index: int) -> str:
        """Return the table of a row."""
        return self.capture.layouts[self.capture.rows[index].layout].table

    @property
    def checksum(self) -> int:
        """CRC-32 of the body: SQLite checks the form of a page, not what is written on it."""
        return zlib.crc32(self.body)


def made_ready(capture: Capture) -> Ready:
    """Encode a Capture; outside the transaction that stores it."""
    too_large = [index for index, row in enumerate(capture.rows) if _is_too_large(row)]
    if not too_large:
        return Ready(capture, _encode(capture), too_large, [])
    aside = [_encode([capture.layouts[capture.rows[index].layout], capture.rows[index]]) for index in too_large]
    left_out = set(too_large)
    kept = [row for index, row in enumerate(capture.rows) if index not in left_out]
    return Ready(capture, _encode(msgspec.structs.replace(capture, rows=kept)), too_large, aside)


def is_intact(body: bytes, checksum: int | None) -> bool:
    """Whether the disk gave back what was stored; entries of format 1 have no checksum."""
    return checksum is None or zlib.crc32(body) == checksum


def read_back(body: bytes) -> Capture:
    """Decode a stored Capture; msgspec.DecodeError where it is none."""
    stored = msgspec.structs.asdict(_decode(body))
    return Capture(**{**stored, "layouts": _decode_layouts(bytes(stored["layouts"]))})


def numbers_of(first: int, kept: int, skipped: str) -> list[int]:
    """Return the numbers of an entry's rows: `kept` of them from `first`, without those set aside (`skipped`: JSON)."""
    unused = set(msgspec.json.decode(skipped))
    return [first + index for index in range(kept + len(unused)) if index not in unused]


def _is_too_large(row: CaptureRow) -> bool:
    # Characters first: counting bytes of every value would cost more than storing it.
    if sum(len(value) for value in row.values if value is not None) * 4 <= MAX_ROW_BYTES:
        return False
    return sum(len(value.encode()) for value in row.values if value is not None) > MAX_ROW_BYTES
