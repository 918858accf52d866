"""Dates and times on the wire: days since a first day, and ticks since midnight whose length the scale gives."""

import datetime as dt
import struct
from collections.abc import Callable
from typing import Any

from tests.support.tds.types import SqlType

FIRST_DAY = dt.date(1, 1, 1).toordinal()
DAY_1900 = dt.date(1900, 1, 1).toordinal()
TICKS_PER_DAY = 25_920_000  # of 1/300 s
MICROSECOND = dt.timedelta(microseconds=1)


def width(scale: int) -> int:
    """How many bytes a time of that scale takes."""
    return 3 if scale <= 2 else 4 if scale <= 4 else 5


def day(value: dt.date) -> bytes:
    """Three bytes: days since 0001-01-01."""
    return (value.toordinal() - FIRST_DAY).to_bytes(3, "little")


def day_of(data: bytes) -> dt.date:
    """Read what `day` wrote."""
    return dt.date.fromordinal(int.from_bytes(data, "little") + FIRST_DAY)


def days_since_1900(value: dt.date) -> int:
    """What datetime and smalldatetime count."""
    return value.toordinal() - DAY_1900


def ticks_of_300(value: dt.datetime) -> bytes:
    """A datetime: it counts 1/300 s, so .001 becomes .000 and .002 becomes .003, as in SQL Server."""
    days, ticks = days_since_1900(value), round(_microseconds(value) * 3 / 10_000)
    if ticks >= TICKS_PER_DAY:
        days, ticks = days + 1, 0
    return struct.pack("<BiI", 8, days, ticks)


def encoder(kind: SqlType) -> Callable[[Any], bytes]:
    """Return the encoder of time, datetime2 or datetimeoffset."""
    size, power = width(kind.scale), int(10**kind.scale)

    def clock(value: dt.datetime | dt.time) -> bytes:
        return (_microseconds(value) * power // 1_000_000).to_bytes(size, "little")

    def with_offset(value: dt.datetime) -> bytes:
        minutes = (value.utcoffset() or dt.timedelta()) // dt.timedelta(minutes=1)
        utc = value.astimezone(dt.UTC)
        return bytes((size + 5,)) + clock(utc) + day(utc) + struct.pack("<h", minutes)

    return {
        "time": lambda value: bytes((size,)) + clock(value),
        "datetime2": lambda value: bytes((size + 3,)) + clock(value) + day(value),
        "datetimeoffset": with_offset,
    }[kind.name]


def decode_scaled(kind: SqlType, data: bytes) -> dt.time | dt.datetime:
    """Read a time, datetime2 or datetimeoffset."""
    size = width(kind.scale)
    microseconds = int.from_bytes(data[:size], "little") * 1_000_000 // 10**kind.scale
    if kind.name == "time":
        return midnight(day_of(b"\0\0\0"), microseconds).time()
    value = midnight(day_of(data[size : size + 3]), microseconds)
    if kind.name == "datetime2":
        return value
    zone = dt.timezone(dt.timedelta(minutes=struct.unpack("<h", data[size + 3 :])[0]))
    return value.replace(tzinfo=dt.UTC).astimezone(zone)


def decode_datetime(data: bytes) -> dt.datetime:
    """Read a datetime (8 bytes) or a smalldatetime (4 bytes)."""
    if len(data) == 4:
        days, minutes = struct.unpack("<HH", data)
        return midnight(dt.date.fromordinal(days + DAY_1900), minutes * 60_000_000)
    days, ticks = struct.unpack("<iI", data)
    return midnight(dt.date.fromordinal(days + DAY_1900), round(ticks * 10 / 3) * 1000)


def midnight(date: dt.date, microseconds: int) -> dt.datetime:
    """That many microseconds after midnight, without a zone, as T-SQL's own types are."""
    return dt.datetime.combine(date, dt.time()) + microseconds * MICROSECOND


def _microseconds(value: dt.datetime | dt.time) -> int:
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
