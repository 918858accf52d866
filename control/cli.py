"""`fluxion tenant`, `fluxion store`, `fluxion system`: the registry by hand."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from control.check import check_system
from control.deletes import confirm_deletes
from control.prepare import Method
from control.prepare_cli import prepare
from control.registry import NewSystem, add_store, add_system, add_tenant, tenants
from control.replay_cli import replay
from fluxion.errors import ConfigurationError
from fluxion.postgres import APP, STAGE, connect
from fluxion.registry import load_system, load_systems
from fluxion.settings import load_settings
from producers.sources.choice import PORTS, kind_for
from schemas.mapping import load, restore

WIDTH = 160


def _group(what: str) -> typer.Typer:
    return typer.Typer(help=what, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


tenant_app = _group("Who owns stores and systems.")
store_app = _group("The shops of a system.")
system_app = _group("Point-of-sale systems and their templates.")
system_app.command("prepare")(prepare)
system_app.command("replay")(replay)
system_app.command("confirm-deletes")(confirm_deletes)


def _dsn() -> str:
    return load_settings().database.get_secret_value()


def _print(title: str, columns: list[str], rows: list[list[str]]) -> None:
    table = Table(*(Column(name, no_wrap=True) for name in columns), title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    # An id that is cut short cannot be copied: rather let a narrow window wrap.
    Console(width=max(Console().width, WIDTH)).print(table)


@tenant_app.command("add")
def tenant_add(name: str) -> None:
    """Add a tenant and print its id."""
    with connect(_dsn(), APP) as link:
        typer.echo(add_tenant(link, name))


@tenant_app.command("list")
def tenant_list() -> None:
    """List every tenant."""
    with connect(_dsn(), STAGE) as link:
        _print("Tenants", ["id", "name"], [list(row) for row in tenants(link)])


@system_app.command("add")
def system_add(  # noqa: PLR0913, PLR0917 -- one option a setting: that is what a command line is
    tenant: Annotated[str, typer.Option(help="tenant id")],
    template: Annotated[str, typer.Option(help="a built-in template's name (systimax) or a YAML file")],
    name: Annotated[str, typer.Option(help="how people call the system")],
    host: Annotated[str, typer.Option(help="of the point-of-sale database, as its agent reaches it")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="default: the usual one of its kind of database")] = None,
    user: str = "fluxion",
    database: Annotated[
        str | None, typer.Option(help="the point-of-sale database; default: the template's name")
    ] = None,
    settings: Annotated[str, typer.Option(help='sync_settings as JSON, e.g. {"settle_seconds": 60}')] = "{}",
    method: Annotated[Method | None, typer.Option(help="of SQL Server; default: change_tracking")] = None,
) -> None:
    """Add a system and print its id. The password is not asked: it stays with the agent."""
    try:
        chosen = json.loads(settings)
    except ValueError as fault:
        message = f"--settings is no JSON ({fault})"
        raise ConfigurationError(message, 'write it like {"settle_seconds": 60}') from None
    if not isinstance(chosen, dict):
        message = "--settings is not a JSON object"
        raise ConfigurationError(message, 'write it like {"settle_seconds": 60}')
    path = Path(template)
    mapping = load(path if path.suffix in {".yaml", ".yml"} else template)
    kind = kind_for(mapping.databases)
    connection: dict[str, Any] = {
        "kind": kind,
        "host": host,
        "port": port or PORTS[kind],
        "user": user,
        "database": database or mapping.template,
    }
    if method is not None:
        connection["options"] = _options(kind, method)
    system = NewSystem(name=name, template=mapping, connection=connection, settings=chosen)
    with connect(_dsn(), APP) as link:
        typer.echo(add_system(link, tenant, system))


def _options(kind: str, method: Method) -> dict[str, str]:
    if kind != "sqlserver":
        raise ConfigurationError(
            "--method is for SQL Server", "leave --method out: MariaDB is captured by its binary log"
        )
    return {"method": method.value}


@system_app.command("list")
def system_list() -> None:
    """List every system with its stores, its epoch and its mapping revision."""
    with connect(_dsn(), STAGE) as link:
        found = load_systems(link)
    _print(
        "Systems",
        ["id", "tenant", "type", "name", "stores", "epoch", "mapping revision"],
        [
            [s.id, s.tenant_id, s.system_type, s.name, str(len(s.stores)), str(s.epoch), str(s.mapping_revision)]
            for s in found.values()
        ],
    )


@system_app.command("check")
def system_check(
    system: Annotated[str, typer.Argument(help="system id")],
    host: Annotated[str | None, typer.Option(help="where the database is reached from here")] = None,
    port: int | None = None,
    method: Annotated[Method | None, typer.Option(help="of SQL Server; default: the system's")] = None,
) -> None:
    """Hold the system's template against its database and its stores, and say every fault. Reads FLUXION_SOURCE_PASSWORD."""
    settings = load_settings()
    with connect(_dsn(), STAGE) as link:
        found = load_system(link, system)
    reached: dict[str, Any] = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    if method is not None:
        kind = found.connection.get("kind") or kind_for(restore(found.mapping).databases)
        reached["options"] = {**(found.connection.get("options") or {}), **_options(kind, method)}
    password = settings.source_password.get_secret_value() if settings.source_password else ""
    faults = check_system(found, password, reached)
    for fault in faults:
        typer.echo(f"{'warning: ' if fault.warning else ''}{fault.message}; {fault.mend}")
    if not all(fault.warning for fault in faults):
        raise typer.Exit(1)
    typer.echo(f"{found.name}: the template fits its database and its stores ({len(found.stores)})")


@store_app.command("add")
def store_add(
    name: str,
    system: Annotated[str, typer.Option(help="system id")],
    external_id: Annotated[
        str | None, typer.Option(help="what the template's store column holds for this shop")
    ] = None,
    time_zone: Annotated[str, typer.Option(help="IANA name")] = "America/Caracas",
) -> None:
    """Add a shop to a system and print its id."""
    with connect(_dsn(), STAGE) as link:
        owner = load_system(link, system)
    with connect(_dsn(), APP) as link:
        typer.echo(add_store(link, owner, name, external_id, time_zone))


@store_app.command("list")
def store_list(system: Annotated[str, typer.Option(help="system id")]) -> None:
    """List the shops of a system."""
    with connect(_dsn(), STAGE) as link:
        found = load_system(link, system)
    rows = [[s.id, s.external_id or "-", s.name, s.time_zone] for s in found.stores]
    _print(found.name, ["id", "external id", "name", "time zone"], rows)
