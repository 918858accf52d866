"""What the captured tables looked like last, so that a change of their columns is said once, also over a restart."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from schemas.records import Layout

LAYOUTS = "layouts.json"


@dataclass(frozen=True)
class Change:
    """A table that has other columns, types or another key than before."""

    table: str
    message: str


class Layouts:
    """The last layout of each table; kept in the agent's folder."""

    def __init__(self, home: Path) -> None:
        self._path = home / LAYOUTS
        self._known: dict[str, Layout] = {}
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            self._known = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Layout])

    def changes(self, layouts: Sequence[Layout]) -> list[Change]:
        """Note the layouts and return what is different from before; a table that is new is no change."""
        new = [layout for layout in layouts if self._known.get(layout.table) != layout]
        if not new:
            return []
        found = [
            Change(layout.table, _said(self._known[layout.table], layout))
            for layout in new
            if layout.table in self._known
        ]
        self._known.update({layout.table: layout for layout in new})
        with contextlib.suppress(OSError):  # then it is said again after a restart
            self._path.write_bytes(msgspec.json.encode(self._known))
        return found


def _said(old: Layout, new: Layout) -> str:
    before = {column.name: column.type for column in old.columns}
    now = {column.name: column.type for column in new.columns}
    parts = [
        ("added", [name for name in now if name not in before]),
        ("gone", [name for name in before if name not in now]),
        ("of another type", [f"{name} ({now[name]})" for name in now if before.get(name, now[name]) != now[name]]),
    ]
    said = [f"{', '.join(names)} {what}" for what, names in parts if names]
    if old.key != new.key:
        said.append(f"its key is {', '.join(new.key)}")
    return f"table {new.table} has changed: {'; '.join(said) or 'the order of its columns'}"
