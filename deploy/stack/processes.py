"""Processes that outlive us: started in a session of their own, known again by id and start time, ended by that alone."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil

from deploy.stack.accounts import as_account
from deploy.stack.service import Service
from fluxion.errors import DependencyDownError

POLL_S = 0.02
END_DEADLINE_S = 120.0
STATE, START_TICKS = 0, 19  # of /proc/PID/stat, counted behind the name
MIB = 1024 * 1024

# Those that this process started: a parent must read its children's ends, else they stay as zombies.
_children: dict[int, subprocess.Popen[bytes]] = {}


def birth(pid: int) -> str | None:
    """Return what tells this process from a later one with the same id (boot and start time); None if it has ended."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]
        return None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    # A zombie with threads is still ending, and holds its ports as long.
    return None if fields[STATE] == "Z" and threads <= 1 else f"{boot} {fields[START_TICKS]}"


def launch(service: Service) -> int:
    """Start a service's process, its output appended to `log` in its folder, and return its id."""
    with (service.home / "log").open("ab") as out:
        process = subprocess.Popen(
            service.command,
            cwd=service.home,
            env={**os.environ, **service.environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            **as_account(service.user),
        )
    _children[process.pid] = process
    return process.pid


def end(name: str, pid: int, born: str, how: signal.Signals) -> None:
    """Ask a process to end and wait until it has; raises DependencyDownError if it does not (it is then left alone)."""
    begun = time.monotonic()
    if birth(pid) == born:
        os.kill(pid, how)
    while birth(pid) == born:
        if time.monotonic() - begun > END_DEADLINE_S:
            raise DependencyDownError(f"{name} (process {pid}) does not end", "look at its log; it was left alone")
        time.sleep(POLL_S)


def memory_mib(pid: int) -> int:
    """Return the memory of a process and its children in MiB, shared pages counted once (proportional set size)."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        try:
            total += member.memory_full_info().pss
        except psutil.AccessDenied:  # another account's process, seen by an ordinary user
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total // MIB
