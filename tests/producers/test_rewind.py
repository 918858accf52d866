from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from fluxion.errors import ConfigurationError
from producers.home import JOURNAL, only_one
from producers.journal import Journal, Place, Rewound
from producers.rewind import rewind
from tests.producers.captures import StillClock, change, streaming
from tests.support.local import fluxion


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Sequences 1 to 4, all acknowledged; 3 and 4 were stored on 20 November 2026 at eight in Caracas."""
    clock = StillClock()
    clock.now = 100_000_000_000
    journal = streaming(tmp_path / JOURNAL, clock)
    journal.append([change("p1", ["a"])])
    clock.now = int(datetime(2026, 11, 20, 8, tzinfo=ZoneInfo("America/Caracas")).timestamp()) * 1_000_000
    journal.append([change("p2", ["b"]), change("p3", ["c"])])
    journal.acknowledge(Place(4, "p3"))
    journal.close()
    return tmp_path


def unshipped(home: Path) -> list[int]:
    journal = Journal(home / JOURNAL, StillClock())
    found = [entry.sequence for entry in journal.unshipped()]
    journal.close()
    return found


@pytest.mark.parametrize(
    ("to", "first"),
    [("4", 4), ("2026-11-20T08:00-04:00", 3), ("2026-11-20T12:00:00+00:00", 3), ("1970-01-01T00:00Z", 1)],
)
def test_rewind_takes_a_sequence_or_a_time_with_its_zone(home: Path, to: str, first: int) -> None:
    assert rewind(home, to, StillClock()) == Rewound(first, 5 - first)
    assert unshipped(home) == list(range(first, 5))


def test_the_command_says_what_is_shipped_again(home: Path) -> None:
    said = fluxion("agent", "rewind", "--home", str(home), "--to", "2").stdout
    assert "3 entries, from sequence 2 on" in said
    assert unshipped(home) == [2, 3, 4]
    said = fluxion("agent", "rewind", "--home", str(home), "--to", "yesterday", check=False).stderr
    assert "neither a sequence nor a time" in said
    assert "with its zone" in " ".join(fluxion("agent", "rewind", "--help").stdout.replace("│", " ").split())


@pytest.mark.parametrize("to", ["2026-11-20T08:00", "2026-11-20"])
def test_a_time_without_a_zone_is_refused_and_nothing_is_rewound(home: Path, to: str) -> None:
    with pytest.raises(ConfigurationError, match="no zone") as refused:
        rewind(home, to, StillClock())
    assert "2026-11-20T08:00:00-04:00" in refused.value.mend
    assert unshipped(home) == []


def test_rewind_is_refused_while_the_agent_runs(home: Path) -> None:
    with only_one(home), pytest.raises(ConfigurationError, match="end it first"):
        rewind(home, "2", StillClock())
    assert unshipped(home) == []
