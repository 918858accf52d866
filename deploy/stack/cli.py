"""`fluxion stack`: up, down, status, fetch."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deploy.stack import jars, lifecycle

app = typer.Typer(
    help="Kafka, schema registry, MariaDB and PostgreSQL on this machine, without Docker. For development and tests only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Folder for data, logs and state [default: $FLUXION_HOME or /var/tmp/fluxion-UID]"),
]
BasePort = Annotated[
    int | None,
    typer.Option("--base-port", help="Added to each service's usual port [default: the folder's last one, or 20000]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table")]


@app.command("up")
def up(home: Home = None, base_port: BasePort = None) -> None:
    """Start what does not run yet, and wait until all of it answers."""
    folder = home or lifecycle.default_home()
    lifecycle.up(folder, base_port)
    _print_table(lifecycle.status(folder))


@app.command("down")
def down(home: Home = None) -> None:
    """End exactly what `up` started; the data stay in the folder."""
    ended = lifecycle.down(home or lifecycle.default_home())
    typer.echo(f"ended: {', '.join(ended)}" if ended else "nothing of this folder was running")


@app.command("status")
def status(*, home: Home = None, as_json: Json = False) -> None:
    """Show what runs; ends with 0 only if every service answers."""
    services = lifecycle.status(home or lifecycle.default_home())
    if as_json:
        typer.echo(json.dumps({"services": [asdict(service) for service in services]}))
    else:
        _print_table(services)
    if not services or not all(service.ready for service in services):
        raise typer.Exit(1)


@app.command("fetch")
def fetch() -> None:
    """Download the jars that `up` needs into the cache, unless they are there."""
    jars.fetch_all()


def _print_table(services: list[lifecycle.ServiceStatus]) -> None:
    if not services:
        typer.echo("no stack was brought up in this folder")
        return
    typer.echo(f"{'service':<10}{'pid':>8}{'port':>7}{'MiB':>6}{'ready s':>9}  url")
    for one in services:
        cells = ("-" if cell is None else cell for cell in (one.pid, one.port, one.memory_mb, one.ready_s))
        typer.echo("{:<10}{:>8}{:>7}{:>6}{:>9}  {}".format(one.name, *cells, one.url))
