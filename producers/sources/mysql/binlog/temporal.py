"""Dates and times of the log as canonical text; see `values` for their form.

Since MariaDB 10.1 (mysql56_temporal_format) they are big-endian, with a fraction of ⌈n/2⌉ bytes behind; tables from before
have decimal digits in little-endian integers, and only without fractions: their length does not stand in the log.
"""

from datetime import date
from functools import lru_cache

from producers.sources.mysql.binlog.numbers import Decode

_TWO = tuple(f"{number:02d}" for number in range(100))
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_S = 86_400
_DATETIME_OFFSET, _TIME_OFFSET = 0x80 << 32, 0x80 << 16
_CLOCK_BITS = 17  # 5 for the hour, 6 for the minute, 6 for the second
# The days and seconds that a log names are few at a time, and the same again and again.
_CACHED = 1024


def day(event: bytes, at: int) -> tuple[str | None, int]:
    """A DATE: 15 bits of year, 4 of month, 5 of day; None for one that no calendar has."""
    end = at + 3
    value = int.from_bytes(event[at:end], "little")
    return _day(value >> 9, value >> 5 & 0x0F, value & 0x1F), end


def moment(digits: int) -> Decode:
    """A DATETIME(n): 17 bits of year * 13 + month, 5 of day, 17 of the clock."""
    fraction_size = (digits + 1) // 2
    size, bits = 5 + fraction_size, 8 * fraction_size

    def decode(event: bytes, at: int) -> tuple[str | None, int]:
        end = at + size
        value = int.from_bytes(event[at:end], "big")
        text = _moment((value >> bits) - _DATETIME_OFFSET)
        if bits and text is not None:
            text += _fraction(value, fraction_size)
        return text, end

    return decode


def instant(digits: int) -> Decode:
    """A TIMESTAMP(n): seconds since 1970; zero is the zero date."""
    fraction_size = (digits + 1) // 2
    size, bits = 4 + fraction_size, 8 * fraction_size

    def decode(event: bytes, at: int) -> tuple[str | None, int]:
        end = at + size
        value = int.from_bytes(event[at:end], "big")
        if not value:
            return None, end
        text = _instant(value >> bits)
        return (f"{text}{_fraction(value, fraction_size)}Z" if bits else f"{text}Z"), end

    return decode


def clock_time(digits: int) -> Decode:
    """A TIME(n): 10 bits of hour, 6 of minute, 6 of second; below zero the complement, with its fraction."""
    fraction_size = (digits + 1) // 2
    size, bits = 3 + fraction_size, 8 * fraction_size

    def decode(event: bytes, at: int) -> tuple[str | None, int]:
        end = at + size
        value = int.from_bytes(event[at:end], "big") - (_TIME_OFFSET << bits)
        sign, value = ("-", -value) if value < 0 else ("", value)
        whole = value >> bits
        text = f"{sign}{whole >> 12:02d}:{_TWO[whole >> 6 & 63]}:{_TWO[whole & 63]}"
        return (text + _fraction(value, fraction_size) if bits else text), end

    return decode


# Before MariaDB 10.1 -------------------------------------------------------------------------------------------------


def old_moment(event: bytes, at: int) -> tuple[str | None, int]:
    """A DATETIME as the number YYYYMMDDHHMMSS."""
    end = at + 8
    days, clock = divmod(int.from_bytes(event[at:end], "little"), 1_000_000)
    text = _day(days // 10_000, days // 100 % 100, days % 100)
    return (None if text is None else f"{text}T{_digits(clock)}"), end


def old_instant(event: bytes, at: int) -> tuple[str | None, int]:
    """A TIMESTAMP as seconds since 1970; zero is the zero date."""
    end = at + 4
    seconds = int.from_bytes(event[at:end], "little")
    return (f"{_instant(seconds)}Z" if seconds else None), end


def old_clock_time(event: bytes, at: int) -> tuple[str | None, int]:
    """A TIME as the number ±HHMMSS."""
    end = at + 3
    value = int.from_bytes(event[at:end], "little", signed=True)
    return ("-" if value < 0 else "") + _digits(abs(value)), end


def _digits(clock: int) -> str:
    hours, minutes, seconds = clock // 10_000, clock // 100 % 100, clock % 100
    if minutes > 59 or seconds > 59:  # noqa: PLR2004 -- of an hour, of a minute
        raise ValueError("a time of the old format has fractions, whose length the log does not tell")
    return f"{hours:02d}:{_TWO[minutes]}:{_TWO[seconds]}"


@lru_cache(_CACHED)
def _day(year: int, month: int, day_: int) -> str | None:
    try:
        return date(year, month, day_).isoformat()
    except ValueError:
        return None


@lru_cache(_CACHED)
def _moment(packed: int) -> str | None:
    year, month = divmod(packed >> 22, 13)
    text = _day(year, month, packed >> _CLOCK_BITS & 0x1F)
    hour, minute, second = packed >> 12 & 0x1F, packed >> 6 & 63, packed & 63
    return None if text is None else f"{text}T{_TWO[hour]}:{_TWO[minute]}:{_TWO[second]}"


@lru_cache(_CACHED)
def _instant(seconds: int) -> str:
    days, clock = divmod(seconds, _DAY_S)
    text = date.fromordinal(_EPOCH_DAY + days).isoformat()
    return f"{text}T{_TWO[clock // 3600]}:{_TWO[clock // 60 % 60]}:{_TWO[clock % 60]}"


def _fraction(value: int, size: int) -> str:
    """Return `.ffffff` of the lowest `size` bytes, which count in steps of 100**-size; nothing where they are zero."""
    micros = (value & (1 << 8 * size) - 1) * 100 ** (3 - size)
    return f".{micros:06d}" if micros else ""
