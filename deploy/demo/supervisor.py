"""Keeps the demo's processes running: one that ends, however it ended, is started again. Never gives up."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

RESTART_PAUSE_S = 0.2
STOP_TIMEOUT_S = 20.0
# A process that ends sooner than this did not get to work; its restarts are spaced out.
SHORT_LIFE_S = 3.0
SHORT_LIFE_PAUSE_S = 2.0


@dataclass
class Child:
    """A process under supervision. restarts: how often it was started again."""

    name: str
    command: list[str]
    log: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    restarts: int = 0


@dataclass
class Supervisor:
    """Starts `fluxion …` commands with the same environment, each with a log of its own under `logs`."""

    logs: Path
    environment: dict[str, str]
    children: dict[str, Child] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def start(self, name: str, arguments: list[str], environment: dict[str, str] | None = None) -> None:
        """Start a process, with more environment of its own, and watch it from now on."""
        self.logs.mkdir(parents=True, exist_ok=True)
        child = Child(
            name, [sys.executable, "-m", "fluxion.cli", *arguments], self.logs / f"{name}.log", environment or {}
        )
        with self._lock:
            self.children[name] = child
            self._spawn(child)
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
            self._thread.start()

    def kill(self, name: str) -> int | None:
        """End the process by kill -9; returns the pid that was killed, None where it was just down. It is started again."""
        with self._lock:
            process = self.children[name].process
            if process is None or process.poll() is not None:
                return None
            process.kill()
            return process.pid

    def end(self, name: str) -> None:
        """End one process by SIGTERM and forget it; killed where it will not end."""
        with self._lock:
            child = self.children.pop(name)
        _end(child)

    def running(self, name: str) -> bool:
        """Tell whether the process is up at this moment."""
        process = self.children[name].process
        return process is not None and process.poll() is None

    def restarts(self, name: str) -> int:
        """Return how often the process was started again."""
        return self.children[name].restarts

    def stop(self) -> None:
        """End every process by SIGTERM, in the order opposite to their start; one that will not end is killed."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        for child in reversed(list(self.children.values())):
            _end(child)

    def _spawn(self, child: Child) -> None:
        with child.log.open("ab") as out:
            child.process = subprocess.Popen(
                child.command,
                env={**os.environ, **self.environment, **child.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C is for the demo; it ends its children in order
            )
        child.started = time.monotonic()
        child.due = 0.0

    def _watch(self) -> None:
        while not self._stopping.wait(0.05):
            with self._lock:
                for child in self.children.values():
                    if child.process is None or child.process.poll() is None:
                        continue
                    now = time.monotonic()
                    if not child.due:
                        short = now - child.started < SHORT_LIFE_S
                        child.due = now + (SHORT_LIFE_PAUSE_S if short else RESTART_PAUSE_S)
                    elif now >= child.due:
                        child.restarts += 1
                        self._spawn(child)


def _end(child: Child) -> None:
    if child.process is None or child.process.poll() is not None:
        return
    child.process.send_signal(signal.SIGTERM)
    try:
        child.process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.process.kill()
        child.process.wait()
