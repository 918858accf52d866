"""What `up` started, kept in the home folder: `state.json`, one entry a service, and the base port."""

import fcntl
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from deploy.stack import processes


@dataclass(frozen=True)
class Entry:
    """A started process: its id, what tells it from a later one with that id, and the seconds that it took to be ready."""

    pid: int
    born: str
    ready_s: float | None = None


class State:
    """The notes of one home folder. Used by several threads; each change is on disk when the call returns."""

    def __init__(self, home: Path) -> None:
        self._path = home / "state.json"
        self._lock = threading.Lock()
        self.base_port: int | None = None
        self._entries: dict[str, Entry] = {}
        if self._path.exists():
            noted = json.loads(self._path.read_text())
            self.base_port = noted["base_port"]
            self._entries = {name: Entry(**entry) for name, entry in noted["services"].items()}

    def remember_base_port(self, base_port: int) -> None:
        """Note the base port for later calls."""
        with self._lock:
            self.base_port = base_port
            self._write()

    def started(self, name: str, pid: int) -> None:
        """Note a process that was just launched (if it has ended already, it is simply not alive)."""
        self._set(name, Entry(pid, processes.birth(pid) or "ended"))

    def ready(self, name: str, seconds: float) -> None:
        """Note when a service first answered; a later call changes nothing."""
        entry = self._entries[name]
        if entry.ready_s is None:
            self._set(name, replace(entry, ready_s=round(seconds, 2)))

    def ended(self, name: str) -> None:
        """Forget a service."""
        self._set(name, None)

    def alive(self, name: str) -> Entry | None:
        """Return the entry of a service whose process still runs."""
        entry = self._entries.get(name)
        return entry if entry and processes.birth(entry.pid) == entry.born else None

    def _set(self, name: str, entry: Entry | None) -> None:
        with self._lock:
            self._entries.pop(name, None)
            if entry is not None:
                self._entries[name] = entry
            self._write()

    def _write(self) -> None:
        part = self._path.with_suffix(".part")
        services = {name: asdict(entry) for name, entry in self._entries.items()}
        part.write_text(json.dumps({"base_port": self.base_port, "services": services}, indent=1))
        part.replace(self._path)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock: a second process (or thread) waits here until the first has done."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
