"""Captures as the journal stores them: made ready to be stored, and read back as entries. Pure but for encoding."""

import zlib
from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from producers.source import Capture, Position
from schemas.records import Layout

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
    """A Capture and its encoded form."""

    capture: Capture
    body: bytes

    @property
    def is_stored(self) -> bool:
        """Whether it becomes an entry; one without rows and ends moves a position only."""
        return bool(self.capture.rows or self.capture.ends)

    @property
    def checksum(self) -> int:
        """CRC-32 of the body: SQLite checks the form of a page, not what is written on it."""
        return zlib.crc32(self.body)


def made_ready(capture: Capture) -> Ready:
    """Encode a Capture; outside the transaction that stores it."""
    return Ready(capture, _encode(capture))


def is_intact(body: bytes, checksum: int | None) -> bool:
    """Whether the disk gave back what was stored; entries of format 1 have no checksum."""
    return checksum is None or zlib.crc32(body) == checksum


def read_back(body: bytes) -> Capture:
    """Decode a stored Capture; msgspec.DecodeError where it is none."""
    stored = msgspec.structs.asdict(_decode(body))
    return Capture(**{**stored, "layouts": _decode_layouts(bytes(stored["layouts"]))})
