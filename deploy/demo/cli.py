"""`fluxion demo`: two shops sell, everything that can break may break, and at the end the sides are compared."""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from deploy.demo.line import Line
from deploy.demo.pos import Pos
from deploy.demo.reckoning import Reckoning
from deploy.demo.run import DATABASE, Demo, as_json
from deploy.demo.screen import draw, keys, press
from deploy.demo.text import Language, bolivares, say
from deploy.stack import Stack, default_home, down, status, up

DIFFERENT = 1
FRAME_S = 0.25
PLAIN_EVERY_S = 5.0


class Source(StrEnum):
    """What the demo's shops sell with."""

    systimax = "systimax"
    stellar = "stellar"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def demo(  # noqa: PLR0913 -- one option a setting
    seconds: Annotated[float, typer.Option(min=1, help="how long the shops are open")] = 60,
    sales_per_second: Annotated[float, typer.Option(min=0.1, help="of all shops together")] = 10,
    *,
    source: Annotated[
        Source, typer.Option(help="the point of sale: systimax on MariaDB, or stellar on the stand-in for SQL Server")
    ] = Source.systimax,
    json_: Annotated[bool, typer.Option("--json", help="the last line of the output is one JSON object")] = False,
    home: Annotated[Path | None, typer.Option(help="folder of the local stack")] = None,
    base_port: Annotated[int | None, typer.Option(help="services listen on it plus their usual port")] = None,
    english: Annotated[bool, typer.Option("--english", help="English instead of Spanish")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="leave the services up (`fluxion stack down` ends them)")
    ] = False,
) -> None:
    """Two shops sell while you kill processes and cut the line; exit 0 only where all sides agree to the cent."""
    language: Language = "en" if english else "es"
    out = Console(stderr=json_, highlight=False)
    place = home or default_home()
    signal.signal(signal.SIGTERM, _interrupt)
    out.print(say(language, "preparing"))
    was_up = any(service.pid for service in status(place))
    try:
        stack = up(place, base_port)
        folder = place / "demo" / datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        with _pos(source, stack, folder) as pos:
            run = Demo(stack, folder, sales_per_second, pos=pos)
            result, latency = _course(run, stack, seconds, language, out)
    finally:
        if not (was_up or keep):
            down(place)
    _verdict(result, latency, run, language, out)
    if json_:
        print(json.dumps(as_json(result, latency)), flush=True)
    raise SystemExit(0 if result.agrees else DIFFERENT)


@contextmanager
def _pos(source: Source, stack: Stack, folder: Path) -> Iterator[Pos | None]:
    """Yield the point of sale; None is the demo's usual one."""
    if source is Source.systimax:
        yield None
        return
    from deploy.demo.standin import stellar_on_standin  # noqa: PLC0415 -- SQL Server's driver, only where it is used

    with stellar_on_standin(stack, DATABASE, folder / "logs" / "sqlserver.log") as pos:
        yield pos


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _course(
    run: Demo, stack: Stack, seconds: float, language: Language, out: Console
) -> tuple[Reckoning, dict[str, float]]:
    """(1) prepare and start; (2) wait for the snapshot; (3) sell; (4) close the shops, mend the line, drain, reckon."""
    line = Line(stack.store_line_port, stack.store_listener_port)
    line.open()
    try:
        run.prepare()
        out.print(say(language, "snapshot"))
        run.start(kafka_for_agent=f"127.0.0.1:{stack.store_line_port}")
        run.wait_until_ready()
        return _sell(run, line, seconds, language, out)
    finally:
        run.stop()
        line.close()


def _sell(
    run: Demo, line: Line, seconds: float, language: Language, out: Console
) -> tuple[Reckoning, dict[str, float]]:
    end = threading.Event()
    closing = time.monotonic() + seconds
    with _show(run, line, language, out) as tick, keys(lambda key: press(key, run, line, end)):
        run.registers.start()
        try:
            while time.monotonic() < closing and not end.wait(FRAME_S):
                tick(say(language, "selling"), closing - time.monotonic())
        finally:
            run.registers.stop()
        line.mend()
        result = run.drain(lambda: tick(say(language, "draining"), 0))
        tick(say(language, "draining"), 0)
    return result, run.latency_ms()


class _show:  # noqa: N801 -- a context manager, used like a function
    """A live screen on a terminal, else a plain line every five seconds. Yields `tick(state, seconds left)`."""

    def __init__(self, run: Demo, line: Line, language: Language, out: Console) -> None:
        self._run, self._line, self._language, self._out = run, line, language, out
        self._live = Live(console=out, auto_refresh=False, transient=False) if out.is_terminal else None
        self._next_plain = 0.0

    def __enter__(self) -> Callable[[str, float], None]:
        if self._live:
            self._live.start()
        return self._tick

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def _tick(self, state: str, left: float) -> None:
        if self._live:
            counts = self._run.counts()
            self._live.update(draw(self._run, self._line, counts, self._language, state, left), refresh=True)
        elif time.monotonic() >= self._next_plain:
            self._next_plain = time.monotonic() + PLAIN_EVERY_S
            counts = self._run.counts()
            row = say(self._language, "sales_line", pos=counts.pos, postgres=counts.postgres, events=counts.events)
            self._out.print(f"{state} {row}", soft_wrap=True)


def _verdict(result: Reckoning, latency: dict[str, float], run: Demo, language: Language, out: Console) -> None:
    style = "bold green" if result.agrees else "bold red"
    out.print(say(language, "agree" if result.agrees else "differ"), style=style)
    sales = {"pos": result.pos_sales, "postgres": result.postgres_sales, "events": result.sale_created}
    totals = {"pos": bolivares(result.pos_total, language), "postgres": bolivares(result.postgres_total, language)}
    faults = {"lost": result.lost, "duplicated": result.duplicated, "wrong": result.wrong}
    out.print(say(language, "sales_line", **sales), soft_wrap=True)
    out.print(say(language, "total_line", **totals), soft_wrap=True)
    out.print(say(language, "lost_line", **faults, stock=result.stock_differences), soft_wrap=True)
    shown = " · ".join(f"{latency[name]:.0f} ms" for name in ("p50", "p95", "max"))
    out.print(f"{say(language, 'latency')}: {shown}", soft_wrap=True)
    for difference in result.differences:
        out.print(f"  {difference}", style="red", soft_wrap=True, markup=False)
    if not result.agrees:
        out.print(say(language, "logs", logs=run.home / "logs"), soft_wrap=True)
    sys.stdout.flush()
