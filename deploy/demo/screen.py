"""The demo's screen: the way of the data with a count at each stage, and keys that break something while it runs."""

import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator

from rich.console import Group
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from deploy.demo.line import Line
from deploy.demo.run import PROCESSES, Counts, Demo
from deploy.demo.text import Language, bolivares, say

STAGES = ("pos", "journal", "changes", "records", "postgres", "events")
KILLS = dict(zip("apsr", ("agent", "processor", "sink", "relay"), strict=True))


def draw(demo: Demo, line: Line, counts: Counts, language: Language, state: str, seconds_left: float) -> Panel:
    """Return the whole screen."""
    flow = Table(say(language, "stage"), Column(say(language, "count"), justify="right"), expand=True, box=None)
    for stage in STAGES:
        flow.add_row(say(language, stage), f"{getattr(counts, stage):,}")
    behind = counts.pos - counts.events
    flow.add_row(say(language, "on_the_way"), Text(f"{behind:,}", style="yellow" if behind else "green"))
    latency = demo.latency_ms()
    figures = Table.grid(padding=(0, 2))
    figures.add_row(say(language, "total"), Text(f"Bs {bolivares(counts.total, language)}", style="bold green"))
    shown = " · ".join(f"{latency[name]:.0f} ms" for name in ("p50", "p95", "max"))
    figures.add_row(say(language, "latency"), Text(shown, style="bold"))
    processes = Table(say(language, "process"), "", say(language, "restarts"), expand=True, box=None)
    for name in PROCESSES:
        up = demo.supervisor.running(name)
        mark = Text(say(language, "up" if up else "down"), style="green" if up else "bold red")
        processes.add_row(say(language, name), mark, str(demo.supervisor.restarts(name)))
    wire = Text(say(language, "line_cut"), style="bold red") if line.is_cut else Text(say(language, "line_ok"), "green")
    head = Text(f"{state}  {seconds_left:.0f} s" if seconds_left > 0 else state, style="bold")
    parts = (head, flow, figures, processes, wire, Text(say(language, "keys"), style="dim"))
    return Panel(Group(*parts), title=say(language, "title"))


def press(key: str, demo: Demo, line: Line, end: threading.Event) -> None:
    """Do what a key stands for; any other key does nothing."""
    if key in KILLS:
        demo.supervisor.kill(KILLS[key])
    elif key == "c" and line.is_cut:
        line.mend()
    elif key == "c":
        line.cut()
    elif key == "q":
        end.set()


@contextlib.contextmanager
def keys(on_key: Callable[[str], None]) -> Iterator[None]:
    """Call `on_key` for every key while the block runs; does nothing where standard input is no terminal."""
    if not sys.stdin.isatty():
        yield
        return
    import termios  # noqa: PLC0415 -- POSIX only, and only where there is a terminal
    import tty  # noqa: PLC0415 -- as above

    place = sys.stdin.fileno()
    before = termios.tcgetattr(place)
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            if select.select([place], [], [], 0.1)[0]:
                on_key(os.read(place, 1).decode(errors="ignore").lower())

    reader = threading.Thread(target=read, name="keys", daemon=True)
    try:
        tty.setcbreak(place)
        reader.start()
        yield
    finally:
        stop.set()
        reader.join()
        termios.tcsetattr(place, termios.TCSADRAIN, before)
