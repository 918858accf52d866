"""The gate of coverage says which file is below it, and is not passed by a file that was renamed or never run."""

from pathlib import Path

import pytest

from tests.support import delivery_path, local
from tests.support.delivery_path import Covered, covered, judged

REPORT = {
    "files": {
        "sinks/consumer.py": {
            "summary": {"num_statements": 10, "covered_lines": 10, "num_branches": 10, "covered_branches": 8}
        },
        "sinks/offsets.py": {
            "summary": {"num_statements": 4, "covered_lines": 2, "num_branches": 10, "covered_branches": 9}
        },
        "control/cli.py": {
            "summary": {"num_statements": 4, "covered_lines": 0, "num_branches": 2, "covered_branches": 0}
        },
    }
}


def test_only_files_of_the_path_below_ninety_percent_of_their_branches_are_named() -> None:
    rows, low = judged(covered(REPORT), {"sinks/consumer.py", "sinks/offsets.py", "sinks/never_run.py"})
    assert low == ["sinks/consumer.py", "sinks/never_run.py"]
    assert [row[0] for row in rows] == [" ", " ", "*", "*"]
    assert "8/10" in rows[2]
    assert "80.0 %" in rows[2]


def test_a_file_without_branches_has_all_of_them() -> None:
    assert judged([Covered("sinks/tables/sales.py", 2, 2, 0, 0)], {"sinks/tables/sales.py"})[1] == []


def test_every_pattern_names_a_file_of_today() -> None:
    assert {"producers/agent.py", "sinks/tables/sales.py"} <= delivery_path.delivery_path(local.ROOT)


def test_a_file_that_was_renamed_does_not_leave_the_path_in_silence(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"producers/agent\*\.py"):
        delivery_path.delivery_path(tmp_path)
