"""A system's `sync_settings`: what may stand in them, checked when they are saved and again where they are read."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from fluxion.errors import ConfigurationError

LEAST_SETTLE_S, MOST_SETTLE_S = 1, 86_400
MOST_HISTORY_DAYS = 36_500
POLICIES = ("resnapshot", "wait")


class SyncSettings(msgspec.Struct, frozen=True):
    """When a sale is announced, how far back the first load goes, and what happens where the source's log is lost.

    settle_seconds: how long a sale that nothing marks as whole stays quiet before it is announced as it stands.
    announce_from: ISO 8601 instant with a zone; older sales of a snapshot send nothing. None: the system's registration.
    history_days: how many days of sales a snapshot reads. position_lost: "resnapshot" by itself, or "wait" for a person;
    another database than the one that was read always waits. pending_percent: a snapshot that would delete more of a table
    than this waits for `fluxion system confirm-deletes`.
    """

    settle_seconds: float = 60
    announce_from: str | None = None
    history_days: int = 90
    position_lost: Literal["resnapshot", "wait"] = "resnapshot"
    pending_percent: int = 20


def parse_settings(said: dict[str, Any]) -> SyncSettings:
    """Check settings as JSON gave them; ConfigurationError names the first that is wrong."""
    known = SyncSettings.__struct_fields__
    for name in said:
        if name not in known:
            message = f"there is no sync setting {name!r}"
            raise ConfigurationError(message, f"sync_settings knows {', '.join(known)}")
    chosen = SyncSettings(**said)
    _check_settle(chosen.settle_seconds)
    _check_whole("history_days", chosen.history_days, 1, MOST_HISTORY_DAYS)
    _check_whole("pending_percent", chosen.pending_percent, 0, 100)
    if chosen.position_lost not in POLICIES:
        message = f"position_lost is {chosen.position_lost!r:.60}"
        raise ConfigurationError(message, f"correct it in sync_settings: {' or '.join(POLICIES)}")
    if chosen.announce_from is not None:
        _check_instant(chosen.announce_from)
    return msgspec.structs.replace(chosen, settle_seconds=float(chosen.settle_seconds))


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        message = f"{name} is {value!r:.60}"
        raise ConfigurationError(message, f"correct it in sync_settings: a whole number from {least} to {most}")


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
