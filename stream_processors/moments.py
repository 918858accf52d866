"""Times: what a point of sale's clock showed, placed in the store's zone.

Two hours of a zone's history are odd: one that was skipped, so that no clock showed it, and one that came twice. In
Caracas 02:30 to 02:59:59 did not exist on 2016-05-01 and came twice on 2007-12-09. **The rule for both: the offset that held
before the change**, so that the text keeps what the POS wrote; the value carries the warning AMBIGUOUS_TIME and the sale is
never refused.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

# ISO 8601 with its offset, precision (date, minute, second), and whether the zone's clocks leave it open.
Moment = tuple[str, str, bool]
ParseMoment = Callable[[str, ZoneInfo], Moment]

_LENGTH_OF_DATE, _LENGTH_OF_MINUTE = 10, 16
_FIRST_OFFSET = 19


def local_moment(value: str, zone: ZoneInfo) -> Moment:
    """Give a `datetime` without a zone the store's."""
    text, is_odd = _placed(datetime.fromisoformat(value), zone)
    return text, "second", is_odd


def instant_moment(value: str, zone: ZoneInfo) -> Moment:
    """Keep an `instant`, shown as the store's clock showed it."""
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        msg = f"{value!r} has no zone"
        raise ValueError(msg)
    return moment.astimezone(zone).isoformat(), "second", False


@lru_cache(maxsize=4096)
def date_moment(value: str, zone: ZoneInfo) -> Moment:
    """Take a `date` as the store's midnight, and say that it is only a date."""
    moment = datetime.combine(date.fromisoformat(value), time.min)
    return _placed(moment, zone)[0], "date", False


def called_moment(value: str, zone: ZoneInfo) -> Moment:
    """Take what a template's call gives: a date, or a date and time without a zone."""
    return date_moment(value, zone) if len(value) == _LENGTH_OF_DATE else local_moment(value, zone)


def text_moment(style: str | None) -> ParseMoment:
    """Return a parser of times in text: by strptime's letters, or ISO 8601 where the template names none."""

    def iso(value: str, zone: ZoneInfo) -> Moment:
        word = value.strip()
        try:
            moment = datetime.fromisoformat(word)
        except ValueError:
            msg = f"{value!r} is not a time in ISO 8601: the template must say its format"
            raise ValueError(msg) from None
        return _read(moment, {_LENGTH_OF_DATE: "date", _LENGTH_OF_MINUTE: "minute"}.get(len(word), "second"), zone)

    def by_letters(value: str, zone: ZoneInfo) -> Moment:
        return _read(datetime.strptime(_spelled(value), letters), precision, zone)  # noqa: DTZ007 -- _read places it

    if style is None:
        return iso
    letters = style
    hours = any(letter in style for letter in ("%H", "%I", "%X", "%c", "%T"))
    seconds = any(letter in style for letter in ("%S", "%X", "%c", "%T"))
    precision = "second" if seconds else "minute" if hours else "date"
    return by_letters


def parse_day(style: str | None) -> Callable[[str], str]:
    """Return a parser of the date in a `date`, a `datetime` or, by its format, text."""

    def parse(value: str) -> str:
        word = value.strip()
        if style is not None:
            return datetime.strptime(_spelled(word), style).date().isoformat()  # noqa: DTZ007 -- only its date is taken
        try:
            return datetime.fromisoformat(word).date().isoformat()
        except ValueError:
            msg = f"{value!r} is not a date in ISO 8601: the template must say its format"
            raise ValueError(msg) from None

    return parse


def parse_time(style: str | None) -> Callable[[str], str]:
    """Return a parser of the time of day in a `time`, a `datetime` (whatever its date) or, by its format, text."""

    def parse(value: str) -> str:
        word = value.strip()
        if style is not None:
            return datetime.strptime(_spelled(word), style).time().isoformat()  # noqa: DTZ007 -- only its time is taken
        try:
            found = datetime.fromisoformat(word).time() if len(word) > _LENGTH_OF_DATE and "-" in word[1:] else None
            return (found or time.fromisoformat(word)).isoformat()
        except ValueError:
            msg = f"{value!r} is not a time of day: the template must say its format"
            raise ValueError(msg) from None

    return parse


def since_instant(value: str, zone: ZoneInfo) -> str:
    """Return a snapshot's bound as an instant; raises ValueError where it is no time."""
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).isoformat()


def day_before(day: str) -> str:
    """Return the day before an ISO date; the first day that there is has none."""
    found = date.fromisoformat(day)
    return day if found == date.min else (found - timedelta(days=1)).isoformat()


_HALF_OF_DAY = re.compile(r"\b([ap])\.?\s?m\.?(?=\W|$)", re.IGNORECASE)


def _spelled(value: str) -> str:
    """Write "10:30 a. m.", as Spanish clocks do, the way strptime reads %p."""
    return _HALF_OF_DAY.sub(lambda found: f"{found[1].upper()}M", value.strip())


def _read(moment: datetime, precision: str, zone: ZoneInfo) -> Moment:
    if moment.tzinfo is not None:
        return moment.astimezone(zone).isoformat(), precision, False
    text, is_odd = _placed(moment, zone)
    return text, precision, is_odd and precision != "date"


def _placed(moment: datetime, zone: ZoneInfo) -> tuple[str, bool]:
    """Return a local time with its offset, and whether the zone leaves the offset open."""
    offset = _offset_of_day(moment.toordinal(), zone)
    if offset is not None:
        return moment.isoformat() + offset, False
    before = moment.replace(tzinfo=zone, fold=0)
    return before.isoformat(), before.utcoffset() != before.replace(fold=1).utcoffset()


@lru_cache(maxsize=4096)
def _offset_of_day(ordinal: int, zone: ZoneInfo) -> str | None:
    """Return the offset of a whole day as text; None for a day in which it changes. Asking the zone is slow."""
    midnight = datetime.fromordinal(ordinal)
    hours = [midnight + timedelta(hours=hour) for hour in range(24)] + [midnight + timedelta(hours=23, minutes=59)]
    found = {(hour.replace(tzinfo=zone, fold=fold)).isoformat()[_FIRST_OFFSET:] for hour in hours for fold in (0, 1)}
    return found.pop() if len(found) == 1 else None
