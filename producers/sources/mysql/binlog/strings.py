"""Text, bytes and labels of the log as canonical text: a length of 1 to 4 bytes and the value, or a label's number."""

import zlib
from base64 import b64encode
from collections.abc import Callable
from functools import lru_cache

from producers.sources.mysql.binlog.numbers import Decode

Convert = Callable[[bytes], str]

_ONE_BYTE_LENGTHS = 255
_RAW_DEFLATE, _LENGTH_SIZE = 0x08, 0x07


def length_size(most: int) -> int:
    """Return how many bytes the length of a CHAR or VARCHAR of at most `most` bytes takes."""
    return 1 if most <= _ONE_BYTE_LENGTHS else 2


def prefixed(size: int, convert: Convert) -> Decode:
    """A value behind its length, which takes `size` bytes."""
    return _short(convert) if size == 1 else _long(size, convert)


def _short(convert: Convert) -> Decode:
    def decode(event: bytes, at: int) -> tuple[str | None, int]:
        start = at + 1
        end = start + event[at]
        return convert(event[start:end]), end

    return decode


def _long(size: int, convert: Convert) -> Decode:
    def decode(event: bytes, at: int) -> tuple[str | None, int]:
        start = at + size
        end = start + int.from_bytes(event[at:start], "little")
        return convert(event[start:end]), end

    return decode


def base64(raw: bytes) -> str:
    """VARBINARY and BLOB."""
    return b64encode(raw).decode()


def padded(width: int) -> Convert:
    """BINARY(n): it is logged without the zeros on its right."""
    return lambda raw: b64encode(raw.ljust(width, b"\0")).decode()


def compressed(convert: Convert) -> Convert:
    """A column that is COMPRESSED: nothing for '', else a byte (0, or what follows), its length, a deflated stream."""

    def converted(raw: bytes) -> str:
        if not raw:
            return convert(raw)
        head = raw[0]
        if not head:
            return convert(raw[1:])
        window = -zlib.MAX_WBITS if head & _RAW_DEFLATE else zlib.MAX_WBITS
        return convert(zlib.decompress(raw[1 + (head & _LENGTH_SIZE) :], window))

    return converted


def enum(size: int, labels: list[str]) -> Decode:
    """An ENUM: the number of its label from 1 on, 0 for what was no label."""
    texts = ("", *labels)

    def decode(event: bytes, at: int) -> tuple[str | None, int]:
        end = at + size
        return texts[int.from_bytes(event[at:end], "little")], end

    return decode


def set_of(size: int, labels: list[str]) -> Decode:
    """A SET: a bit for each label, in the order of their definition."""

    @lru_cache(256)
    def chosen(bits: int) -> str:
        return ",".join(label for place, label in enumerate(labels) if bits >> place & 1)

    def decode(event: bytes, at: int) -> tuple[str | None, int]:
        end = at + size
        return chosen(int.from_bytes(event[at:end], "little")), end

    return decode
