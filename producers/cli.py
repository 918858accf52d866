"""The command `fluxion agent`."""

import signal
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from fluxion.clock import SystemClock
from fluxion.errors import FluxionError
from fluxion.log import get_logger, setup_logging
from fluxion.observe import observe
from fluxion.postgres import STAGE
from fluxion.progress import RESTART_ME
from fluxion.settings import METRICS_PORT, load_settings
from producers.agent import Agent
from producers.checking import find_faults
from producers.home import read_config
from producers.rewind import rewind as ship_again
from producers.sources.choice import ask, open_source
from producers.standing import read_again, standing_of

app = typer.Typer(
    help="Capture in the store: source → journal → Kafka.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Home = Annotated[Path, typer.Option(help="the agent's folder; one system for life")]


@app.command()
def enrol(
    home: Home,
    system: Annotated[str, typer.Option(help="the system's id, from `fluxion system list`")],
    host: Annotated[str | None, typer.Option(help="where the agent reaches the database")] = None,
    port: Annotated[int | None, typer.Option()] = None,
    user: Annotated[str | None, typer.Option(help="the account that reads")] = None,
    database: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Make HOME the agent of a system: journal, epoch, agent.toml. Reads FLUXION_DATABASE. Safe to repeat."""
    from producers.enrol import enrol as make_agent  # noqa: PLC0415 -- PostgreSQL's driver, which `run` does without

    given = {"host": host, "port": port, "user": user, "database": database}
    overrides = {name: value for name, value in given.items() if value is not None}
    config = make_agent(load_settings().database.get_secret_value(), system, home, overrides)
    source = config.source
    typer.echo(f"{home} captures {', '.join(source.tables)} from {source.host}:{source.port}/{source.database}")
    typer.echo(f"system {config.system_id}, epoch {config.epoch}")


@app.command()
def run(home: Home, metrics_port: Annotated[int | None, typer.Option(help=METRICS_PORT)] = None) -> None:
    """Capture and ship until SIGTERM. Capture needs the source alone; shipping Kafka, schema registry and PostgreSQL."""
    settings, clock = load_settings(metrics_port=metrics_port), SystemClock()
    setup_logging("agent", settings.log_format)
    config = read_config(home)
    probes = {"source": lambda: ask(config.place(settings))}
    agent = Agent(home, config, settings, clock, observe("agent", settings, STAGE, clock, probes))
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):  # the last is Windows' own
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: agent.stop())
    try:
        agent.run()
    except FluxionError:
        raise
    except Exception:  # noqa: BLE001 -- a surprise: the log has the trace, the exit code asks to be started again
        get_logger().exception("the agent ends on an error that it does not know")
        raise typer.Exit(RESTART_ME) from None


@app.command()
def check(home: Home) -> None:
    """Say everything that keeps the source from being captured, each with its mend. Ends with 1 if there is any.

    Also whether the source's log still has the place from which the agent goes on. Safe while the agent runs.
    """
    place, clock = read_config(home).place(load_settings(), home), SystemClock()
    source = open_source(place, clock)
    try:
        for fault in (faults := find_faults(home, source, clock)):
            word = "warning: " if fault.warning else ""
            typer.echo(f"{word}{fault.code}: {fault.message}; {fault.mend}")
        if not all(fault.warning for fault in faults):
            raise typer.Exit(1)
        typer.echo(f"{place.address} can be captured {source.method()}: {', '.join(sorted(place.tables))}")
    finally:
        source.close()


@app.command()
def resnapshot(
    home: Home, table: Annotated[list[str] | None, typer.Option(help="only this table; may be repeated")] = None
) -> None:
    """Have the tables read again while the stream goes on; the running agent begins within 2 s.

    An agent that waits because its position is lost, or because the database is another one, begins anew with all of them.
    """
    typer.echo(read_again(home, table or [], SystemClock()))


@app.command()
def status(home: Home, *, as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False) -> None:
    """Say where the agent stands; reads the agent's folder only, also while the agent runs."""
    found = standing_of(home, SystemClock())
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        for name, value in found.items():
            if value is not None:
                typer.echo(f"{name:<16}{value}")


@app.command()
def rewind(
    home: Home,
    to: Annotated[str, typer.Option(help="a sequence, or a time with its zone such as 2026-11-20T08:00:00-04:00")],
) -> None:
    """Have the agent ship again what its journal still holds from there on. End the agent first; nothing is doubled."""
    done = ship_again(home, to, SystemClock())
    typer.echo(f"{done.entries} entries, from sequence {done.first} on, are shipped again once the agent runs")


if __name__ == "__main__":
    app()
