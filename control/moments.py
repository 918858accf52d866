"""A time as a person says it on a command line: an instant with its zone, or so long ago."""

import re
from datetime import UTC, datetime, timedelta

from fluxion.errors import ConfigurationError

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_MEND = 'write it like "2h", "3d" or 2026-11-24T08:00:00-04:00'


def parse_moment(text: str, now: datetime) -> datetime:
    """Return the instant in UTC; raises ConfigurationError for anything else, a time without a zone among it."""
    if ago := re.fullmatch(r"(\d{1,6})([mhd])", text.strip()):
        try:
            return (now - int(ago[1]) * _UNITS[ago[2]]).astimezone(UTC)
        except OverflowError:
            message = f"{text!r} is before all calendars"
            raise ConfigurationError(message, _MEND) from None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        message = f"{text!r} is no time"
        raise ConfigurationError(message, _MEND) from None
    if found.tzinfo is None:
        message = f"{text!r} has no zone, so it says nothing of when it is"
        raise ConfigurationError(message, _MEND)
    return found.astimezone(UTC)
