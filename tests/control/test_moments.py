"""Times as a person says them."""

from datetime import UTC, datetime

import pytest

from control.moments import parse_moment
from fluxion.errors import ConfigurationError

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("90m", "2026-11-24T10:30:00+00:00"),
        ("2h", "2026-11-24T10:00:00+00:00"),
        ("3d", "2026-11-21T12:00:00+00:00"),
        ("2026-11-24T08:00:00-04:00", "2026-11-24T12:00:00+00:00"),
        ("2026-11-24T08:00:00Z", "2026-11-24T08:00:00+00:00"),
    ],
)
def test_a_time_is_an_instant_with_its_zone_or_so_long_ago(said: str, meant: str) -> None:
    assert parse_moment(said, NOW).isoformat() == meant


@pytest.mark.parametrize("said", ["2026-11-24T08:00:00", "2026-11-24", "yesterday", "2w", "-2h", "", "999999d"])
def test_anything_else_is_refused_with_its_mend(said: str) -> None:
    with pytest.raises(ConfigurationError, match="-04:00"):
        parse_moment(said, NOW)
