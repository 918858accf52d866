"""`fluxion processor`: raw change sets to canonical records."""

import os
import signal
from typing import Annotated

import typer

from fluxion.log import setup_logging
from fluxion.settings import METRICS_PORT, load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Map raw change sets to canonical records (Faust)."""


@app.command()
def run(metrics_port: Annotated[int | None, typer.Option(help=METRICS_PORT)] = None) -> None:
    """Work until SIGTERM. Exit status 70 asks the supervisor for another worker."""
    # Until Faust has its own handlers there is nothing in hand, whichever dependency we wait for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    settings = load_settings(metrics_port=metrics_port)
    setup_logging("processor", settings.log_format)
    from stream_processors.app import run as work  # noqa: PLC0415 -- Faust takes a second to import; --help need not

    raise typer.Exit(work(settings))
