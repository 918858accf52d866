"""A system's `sync_settings`: what may stand in them, checked when they are saved and again where they are read."""

from datetime import datetime
from difflib import get_close_matches
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
    """Check settings as JSON gave them; ConfigurationError names everything that is wrong."""
    known = SyncSettings.__struct_fields__
    faults = [_unknown(name, known) for name in said if name not in known]
    chosen = SyncSettings(**{name: value for name, value in said.items() if name in known})
    faults += [
        *_settle_faults(chosen.settle_seconds),
        *_whole_faults("history_days", chosen.history_days, 1, MOST_HISTORY_DAYS),
        *_whole_faults("pending_percent", chosen.pending_percent, 0, 100),
        *_instant_faults(chosen.announce_from),
    ]
    if chosen.position_lost not in POLICIES:
        faults.append(f"position_lost is {chosen.position_lost!r:.60}: it must be {' or '.join(POLICIES)}")
    if faults:
        raise ConfigurationError(
            "; ".join(faults), "correct sync_settings; docs/operation.md says what may stand in them"
        )
    return msgspec.structs.replace(chosen, settle_seconds=float(chosen.settle_seconds))


def _unknown(name: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(name, known, 1)
    meant = f", did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
    return f"there is no sync setting {name!r}{meant}"


def _whole_faults(name: str, value: object, least: int, most: int) -> list[str]:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return []
    return [f"{name} is {value!r:.60}: it must be a whole number from {least} to {most}"]


def _settle_faults(value: object) -> list[str]:
    if isinstance(value, int | float) and not isinstance(value, bool) and LEAST_SETTLE_S <= value <= MOST_SETTLE_S:
        return []
    return [f"settle_seconds is {value!r:.60}: it must be a number from {LEAST_SETTLE_S} to {MOST_SETTLE_S}"]


def _instant_faults(value: object) -> list[str]:
    try:
        if value is None or (isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None):
            return []
    except ValueError:
        pass
    told = f"announce_from is {value!r:.60}"
    return [f"{told}: it must be an ISO 8601 instant with a zone, such as 2026-01-31T00:00:00-04:00"]
