"""The agent's note beside its journal: what it does just now, for `agent status` and for what a person asks of it."""

import contextlib
import json
import threading
from pathlib import Path
from typing import Any, Literal

NOTE = "agent.json"

# lost: the source cannot be reached. waiting: for a person, who must say `fluxion agent resnapshot`.
Doing = Literal["starting", "snapshot", "streaming", "lost", "waiting"]


class Note:
    """Written by the running agent, a few fields at a time, from any of its threads."""

    def __init__(self, home: Path) -> None:
        self._path = home / NOTE
        self._said: dict[str, Any] = {}
        self._lock = threading.Lock()

    def write(self, **fields: Any) -> None:
        """Change these fields and keep the others. A disk that is full, or a reader on Windows, is no reason to stop."""
        part = self._path.with_suffix(".part")
        with self._lock, contextlib.suppress(OSError):
            self._said = {**self._said, **fields}
            part.write_text(json.dumps(self._said, ensure_ascii=False), encoding="utf-8")
            part.replace(self._path)

    @property
    def said(self) -> dict[str, Any]:
        """What was written last."""
        return self._said


def read_note(home: Path) -> dict[str, Any]:
    """Return the last note; empty where there is none. It outlives its agent."""
    try:
        found = json.loads((home / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
