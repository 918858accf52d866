"""Prints how much of each file the whole test run covered, and names what on the delivery path is below 90 % of its branches.

Run by `make test` behind pytest, with `--gate`: a file below fails it. The delivery path is what a sale goes through: a branch there that no test takes is one
that nobody has seen deliver.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverage import Coverage

ROOT = Path(__file__).resolve().parents[2]
LEAST_PERCENT = 90.0
PATTERNS = (
    *("producers/agent*.py", "producers/following.py", "producers/rereading.py", "producers/handover.py"),
    *("producers/journal*.py", "producers/entries.py", "producers/runs.py", "producers/retention.py"),
    *("producers/shipper*.py", "producers/packing.py", "producers/fitting.py", "producers/session.py"),
    *("producers/sources/choice.py", "producers/sources/sqlserver/*.py"),
    *("producers/sources/mysql/*.py", "producers/sources/mysql/binlog/*.py"),
    *("stream_processors/loop.py", "stream_processors/batch.py", "stream_processors/app.py"),
    "stream_processors/steps/*.py",
    *("sinks/consumer.py", "sinks/transaction.py", "sinks/offsets.py", "sinks/outbox.py", "sinks/incoming.py"),
    *("sinks/reading.py", "sinks/announce*.py", "sinks/tables/*.py"),
)


@dataclass(frozen=True)
class Covered:
    """One file: how many of its lines and of its branches were run."""

    name: str
    lines: int
    lines_run: int
    branches: int
    branches_run: int

    @property
    def branch_percent(self) -> float:
        """Percent of the branches; a file without any has all."""
        return 100.0 * self.branches_run / self.branches if self.branches else 100.0

    def row(self, mark: str) -> str:
        """A line of the table."""
        of_lines = 100.0 * self.lines_run / self.lines if self.lines else 100.0
        branches = f"{self.branches_run}/{self.branches}"
        return f"{mark} {self.name:<46}{of_lines:>7.1f} %{branches:>10}{self.branch_percent:>7.1f} %"


def covered(report: dict[str, Any]) -> list[Covered]:
    """Read coverage's JSON report."""
    found = []
    for name, file in sorted(report["files"].items()):
        said = file["summary"]
        lines = said["num_statements"], said["covered_lines"]
        found.append(Covered(name, *lines, said["num_branches"], said["covered_branches"]))
    return found


def delivery_path(root: Path) -> set[str]:
    """Return its files; raises LookupError for a pattern that no longer names any."""
    path: set[str] = set()
    for pattern in PATTERNS:
        names = {str(file.relative_to(root)) for file in root.glob(pattern)}
        if not names:
            raise LookupError(f"no file is called {pattern}: tell tests/support/delivery_path.py the new name")
        path |= names
    return path


def judged(files: list[Covered], path: set[str]) -> tuple[list[str], list[str]]:
    """Return the table's lines and the names of the path's files that lack branches, or that no test ran at all."""
    rows = [f"  {'file (* delivery path)':<46}{'lines':>9}{'branches':>19}"]
    rows += [file.row("*" if file.name in path else " ") for file in files if file.lines]
    ran = {file.name: file for file in files}
    low = [name for name in sorted(path) if name not in ran or ran[name].branch_percent < LEAST_PERCENT]
    return rows, low


def main(*, gate: bool) -> int:
    """Print the table; with the gate 1 where the delivery path has a file below."""
    measured = Coverage()
    measured.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        measured.json_report(outfile=str(report))
        files = covered(json.loads(report.read_text(encoding="utf-8")))
    rows, low = judged(files, delivery_path(ROOT))
    total = sum(file.branches for file in files), sum(file.branches_run for file in files)
    sys.stdout.write(
        "\n".join(rows) + f"\nbranches covered: {total[1]} of {total[0]} ({100 * total[1] / total[0]:.1f} %)\n"
    )
    for name in low:
        sys.stdout.write(
            f"{name} is on the delivery path and has less than {LEAST_PERCENT:.0f} % of its branches covered\n"
        )
    return 1 if low and gate else 0


if __name__ == "__main__":
    raise SystemExit(main(gate="--gate" in sys.argv[1:]))
