"""Numbers of the log as canonical text. A decoder takes an event and a place and returns the text and the place behind it."""

import struct
from collections.abc import Callable
from functools import lru_cache

from producers.sources.mysql.values import double, single

Decode = Callable[[bytes, int], tuple[str | None, int]]

_SIGNED = {1: struct.Struct("<b"), 2: struct.Struct("<h"), 4: struct.Struct("<i"), 8: struct.Struct("<q")}
_UNSIGNED = {1: struct.Struct("<B"), 2: struct.Struct("<H"), 4: struct.Struct("<I"), 8: struct.Struct("<Q")}
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
_FIRST_YEAR = 1900

# DECIMAL: nine digits in four bytes, and fewer in fewer.
_CACHED = 2048
_GROUP_DIGITS, _GROUP_BYTES, _GROUP_BASE = 9, 4, 10**9
_BYTES_OF_DIGITS = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)


def integer(size: int, *, unsigned: bool) -> Decode:
    """An integer of 1, 2, 3, 4 or 8 bytes."""
    formats = _UNSIGNED if unsigned else _SIGNED
    if size not in formats:
        return _medium(size, unsigned=unsigned)
    unpack = formats[size].unpack_from

    def decode(event: bytes, at: int) -> tuple[str | None, int]:
        return str(unpack(event, at)[0]), at + size

    return decode


def _medium(size: int, *, unsigned: bool) -> Decode:
    def decode(event: bytes, at: int) -> tuple[str | None, int]:
        end = at + size
        return str(int.from_bytes(event[at:end], "little", signed=not unsigned)), end

    return decode


def year(event: bytes, at: int) -> tuple[str | None, int]:
    """A YEAR: years since 1900, 0 for the year 0000."""
    return str(event[at] + _FIRST_YEAR if event[at] else 0), at + 1


def float4(event: bytes, at: int) -> tuple[str | None, int]:
    """A FLOAT."""
    return single(_FLOAT.unpack_from(event, at)[0]), at + 4


def float8(event: bytes, at: int) -> tuple[str | None, int]:
    """A DOUBLE."""
    return double(_DOUBLE.unpack_from(event, at)[0]), at + 8


def bit(bits: int) -> Decode:
    """A BIT(n), the first bit first."""
    size = (bits + 7) // 8

    def decode(event: bytes, at: int) -> tuple[str | None, int]:
        end = at + size
        return str(int.from_bytes(event[at:end], "big")), end

    return decode


@lru_cache(64)
def decimal(precision: int, scale: int) -> Decode:
    """A DECIMAL(precision, scale): groups of nine digits, the short ones outermost; every bit inverted below zero."""
    whole_size, whole = _groups(precision - scale, leading=True)
    fraction_size, fraction = _groups(scale, leading=False)
    size = whole_size + fraction_size
    fraction_bits = 8 * fraction_size
    sign = 1 << 8 * size - 1
    below_zero = sign - 1
    form = f"%d.%0{scale}d" if scale else "%d%.0s"

    # Quantities, rates and prices repeat, and an update has most of them twice.
    @lru_cache(_CACHED)
    def text(stored: bytes) -> str:
        raw = int.from_bytes(stored, "big")
        minus, raw = ("-", raw ^ below_zero) if raw < sign else ("", raw ^ sign)
        left, right, high = 0, 0, raw >> fraction_bits
        for shift, mask, base in whole:
            left = left * base + (high >> shift & mask)
        for shift, mask, base in fraction:
            right = right * base + (raw >> shift & mask)
        return minus + form % (left, right)

    def decode(event: bytes, at: int) -> tuple[str | None, int]:
        end = at + size
        return text(event[at:end]), end

    return decode


def _groups(digits: int, *, leading: bool) -> tuple[int, list[tuple[int, int, int]]]:
    """Return the bytes that `digits` digits take, and (shift, mask, base) of each group from left to right.

    leading: the short group stands on the left (the whole part), else on the right (the fraction).
    """
    full, rest = divmod(digits, _GROUP_DIGITS)
    groups = [(_GROUP_BYTES, _GROUP_BASE)] * full
    if rest:
        short = (_BYTES_OF_DIGITS[rest], 10**rest)
        groups = [short, *groups] if leading else [*groups, short]
    total = left = sum(size for size, _ in groups)
    found = []
    for size, base in groups:
        left -= size
        found.append((8 * left, (1 << 8 * size) - 1, base))
    return total, found
