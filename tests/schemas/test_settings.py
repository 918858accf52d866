"""What a system's sync_settings may say, and that all that is wrong is told at once."""

import pytest

from fluxion.errors import ConfigurationError
from schemas.settings import SyncSettings, parse_settings


def test_every_fault_is_told_at_once_with_what_was_meant() -> None:
    said = {"settle_second": 5, "history_days": 0, "position_lost": "ignore", "announce_from": "2026-01-31", "x": 1}
    with pytest.raises(ConfigurationError) as refused:
        parse_settings(said)
    assert (
        refused.value.message.split("; ")[0]
        == "there is no sync setting 'settle_second', did you mean 'settle_seconds'?"
    )
    for part in (
        "history_days is 0",
        "position_lost is 'ignore'",
        "announce_from is '2026-01-31'",
        "'x'; there are settle",
    ):
        assert part in refused.value.message
    assert "settle_seconds is" not in refused.value.message


def test_what_is_not_said_has_its_default() -> None:
    assert parse_settings({}) == SyncSettings()
    assert parse_settings({"settle_seconds": 3, "pending_percent": 100}) == SyncSettings(3.0, pending_percent=100)
