"""The command `fluxion agent`."""

import signal
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from fluxion.clock import SystemClock
from fluxion.errors import FluxionError
from fluxion.log import get_logger, setup_logging
from fluxion.settings import load_settings
from producers.agent import Agent
from producers.home import JOURNAL, read_config
from producers.journal import Journal
from producers.sources.mysql import MySQLSource

app = typer.Typer(
    help="Capture in the store: source → journal → Kafka.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Home = Annotated[Path, typer.Option(help="the agent's folder; one system for life")]
_RESTART_ME = 70


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
def run(home: Home) -> None:
    """Capture and ship until SIGTERM. Needs the source, Kafka and the schema registry; PostgreSQL not."""
    settings = load_settings()
    setup_logging("agent", settings.log_format)
    agent = Agent(home, read_config(home), settings, SystemClock())
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):  # the last is Windows' own
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: agent.stop())
    try:
        agent.run()
    except FluxionError:
        raise
    except Exception:  # noqa: BLE001 -- a surprise: the log has the trace, the exit code asks to be started again
        get_logger().exception("the agent ends on an error that it does not know")
        raise typer.Exit(_RESTART_ME) from None


@app.command()
def check(home: Home) -> None:
    """Say everything that keeps the source from being captured, each with its mend. Ends with 1 if there is any."""
    config = read_config(home).mysql(load_settings())
    source = MySQLSource(config, SystemClock())
    try:
        faults = source.check()
    finally:
        source.close()
    for fault in faults:
        typer.echo(f"{fault.code}: {fault.message}; {fault.mend}")
    if faults:
        raise typer.Exit(1)
    typer.echo(f"{config.address}/{config.database} can be captured: {', '.join(sorted(config.tables))}")


@app.command()
def status(home: Home, *, as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False) -> None:
    """Say where the agent stands; reads the journal only, also while the agent runs."""
    config = read_config(home)
    journal = Journal(home / JOURNAL, SystemClock())
    state = journal.state()
    journal.close()
    found = {
        "system_id": config.system_id,
        "epoch": config.epoch,
        "journal_id": state.journal_id,
        "snapshot": "whole" if state.stream_position is not None else "under way",
        "position": state.stream_position or state.snapshot_position,
        "sequence": state.last_sequence,
        "acknowledged": state.acknowledged,
        "unshipped": state.unshipped,
        "rows": state.next_number - 1,
        "quarantined": state.quarantined,
    }
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        for name, value in found.items():
            typer.echo(f"{name:<14}{value}")


if __name__ == "__main__":
    app()
