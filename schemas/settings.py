"""A system's `sync_settings`: what may stand in them, checked when they are saved and again where they are read."""

from datetime import datetime
from typing import Any

import msgspec

from fluxion.errors import ConfigurationError

LEAST_SETTLE_S, MOST_SETTLE_S = 1, 86_400


class SyncSettings(msgspec.Struct, frozen=True):
    """When a sale is announced.

    settle_seconds: how long a sale that nothing marks as whole stays quiet before it is announced as it stands.
    announce_from: ISO 8601 instant with a zone; older sales of a snapshot send nothing. None: the system's registration.
    """

    settle_seconds: float = 60
    announce_from: str | None = None


def parse_settings(said: dict[str, Any]) -> SyncSettings:
    """Check settings as JSON gave them; ConfigurationError names the first that is wrong."""
    known = SyncSettings.__struct_fields__
    for name in said:
        if name not in known:
            message = f"there is no sync setting {name!r}"
            raise ConfigurationError(message, f"sync_settings knows {', '.join(known)}")
    chosen = SyncSettings(**said)
    _check_settle(chosen.settle_seconds)
    if chosen.announce_from is not None:
        _check_instant(chosen.announce_from)
    return chosen


def _check_settle(value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not LEAST_SETTLE_S <= value <= MOST_SETTLE_S:
        message = f"settle_seconds is {value!r:.60}"
        mend = f"correct it in sync_settings: a number from {LEAST_SETTLE_S} to {MOST_SETTLE_S}"
        raise ConfigurationError(message, mend)


def _check_instant(value: object) -> None:
    try:
        zone = datetime.fromisoformat(value).tzinfo if isinstance(value, str) else None
    except ValueError:
        zone = None
    if zone is None:
        message = f"announce_from is {value!r:.60}"
        mend = "correct it in sync_settings: an ISO 8601 instant with a zone, such as 2026-01-31T00:00:00-04:00"
        raise ConfigurationError(message, mend)
