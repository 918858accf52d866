"""`fluxion mapping`: a system's template held against its database, tried, compared and saved."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from control.check import check_template
from control.registry import save_mapping
from control.sample import lines, sample
from control.source import opened_source
from fluxion.errors import ConfigurationError
from fluxion.postgres import APP, STAGE, connect
from fluxion.registry import System, load_system
from fluxion.settings import load_settings
from schemas.mapping import (
    Difference,
    Template,
    check,
    differences,
    json_schema,
    load,
    resolve,
    restore,
    tables,
    uses,
)
from schemas.source_tables import Catalogue

app = typer.Typer(
    help="A system's template. Reads FLUXION_DATABASE and FLUXION_SOURCE_PASSWORD.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SystemId = Annotated[str, typer.Argument(help="system id")]
TemplateName = Annotated[str, typer.Argument(help="a built-in template's name (systimax) or a YAML file")]
Trial = Annotated[str | None, typer.Option("--template", help="another template than the saved one, name or YAML file")]
Host = Annotated[str | None, typer.Option(help="where the database is reached from here")]
Port = Annotated[int | None, typer.Option(help="its port")]

WIDEST = 100


def _system(system_id: str) -> System:
    with connect(load_settings().database.get_secret_value(), STAGE) as link:
        return load_system(link, system_id)


def _access(host: str | None, port: int | None) -> tuple[str, dict[str, Any]]:
    password = load_settings().source_password
    reached = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    return password.get_secret_value() if password else "", reached


def _catalogue(system: System, template: Template, access: tuple[str, dict[str, Any]]) -> Catalogue:
    with opened_source(system, tables(template), *access) as source:
        return source.catalogue()


def _hold(system: System, template: Template, access: tuple[str, dict[str, Any]]) -> None:
    """Hold a template against database and stores: every fault at once is an error, warnings are printed."""
    for fault in check_template(template, _catalogue(system, template, access), system, access):
        typer.echo(f"warning: {fault.message}; {fault.mend}")


def _template(system: System, name: str | None) -> Template:
    return restore(system.mapping) if name is None else _loaded(name)


def _loaded(name: str) -> Template:
    path = Path(name)
    return load(path if path.suffix in {".yaml", ".yml"} else name)


@app.command("columns")
def columns(system_id: SystemId, template: Trial = None, host: Host = None, port: Port = None) -> None:
    """Print the database's tables and columns, and what each is mapped to; those that are not mapped stand without."""
    system = _system(system_id)
    chosen = _template(system, template)
    catalogue = _catalogue(system, chosen, _access(host, port))
    found: dict[tuple[str, str], list[str]] = {}
    for use in uses(chosen):
        found.setdefault((use.table, use.column), []).append(use.place)
    mapped = tables(chosen)
    for name in sorted(catalogue, key=lambda table: (table not in mapped, table)):
        typer.echo(name if name in mapped else f"{name}  (not mapped)")
        for column in catalogue[name].columns:
            key = " (key)" if column in catalogue[name].key else ""
            typer.echo(f"  {column}{key:<7} {', '.join(found.get((name, column), ['-']))}")
        for table, column in sorted(found):
            if table == name and column not in catalogue[name].columns:
                typer.echo(f"  {column} is mapped to {', '.join(found[table, column])}, and the table lacks it")
    for name in sorted(mapped - set(catalogue)):
        typer.echo(f"{name} is mapped, and the database lacks it")


@app.command("test")
def try_rows(
    system_id: SystemId,
    table: Annotated[str | None, typer.Option(help="only this table")] = None,
    rows: Annotated[int, typer.Option(min=1, max=500, help="how many rows of each table")] = 20,
    template: Trial = None,
    host: Host = None,
    port: Port = None,
) -> None:
    """Read rows from the source and print what they would become, and every fault; nothing is sent. Exit 1 with a fault."""
    system = _system(system_id)
    chosen = _template(system, template)
    known = tables(chosen)
    if table is not None and table not in known:
        message = f"the template says nothing of table {table!r}"
        raise ConfigurationError(message, f"name one of {', '.join(sorted(known))}")
    access = _access(host, port)
    # Every fault at once, not only that of the first table that cannot be read.
    _hold(system, chosen, access)
    faults = 0
    for name in sorted(known) if table is None else [table]:
        made = sample(system, chosen, name, rows, access)
        faults += len(made.quarantined)
        typer.echo(f"{name}:")
        for line in lines(made):
            typer.echo(f"  {line}")
    if faults:
        raise typer.Exit(1)


@app.command("diff")
def diff(system_id: SystemId, file: TemplateName) -> None:
    """Print what would change if the template were saved."""
    system = _system(system_id)
    _print(differences(system.mapping, resolve(_loaded(file))))


@app.command("save")
def save(
    system_id: SystemId,
    file: TemplateName,
    *,
    no_source: Annotated[bool, typer.Option("--no-source", help="do not hold it against the database")] = False,
    host: Host = None,
    port: Port = None,
) -> None:
    """Check a template against the database and the stores, save it, and print what changed. Processors take it up in 2 s."""
    system = _system(system_id)
    chosen = _loaded(file)
    if no_source:
        check(chosen, None, len(system.stores))
    else:
        _hold(system, chosen, _access(host, port))
    found = differences(system.mapping, resolve(chosen))
    _print(found)
    if not found:
        return
    with connect(load_settings().database.get_secret_value(), APP) as link:
        revision = save_mapping(link, system, chosen)
    typer.echo(f"saved as mapping revision {revision}")
    fresh = tables(chosen) - tables(restore(system.mapping))
    if fresh:
        typer.echo(f"not captured before: {', '.join(sorted(fresh))}; enrol the agent again so that it reads them")


@app.command("schema")
def schema() -> None:
    """Print the format as a JSON Schema, for editors that know YAML."""
    typer.echo(json.dumps(json_schema(), ensure_ascii=False, indent=2))


def _print(found: list[Difference]) -> None:
    for one in found:
        typer.echo(f"{one.place}: {_short(one.old)} → {_short(one.new)}")
    if not found:
        typer.echo("nothing changes")


def _short(value: object) -> str:
    if value is None:
        return "-"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}…"
