"""`fluxion quarantine`: rows that could not be taken: look at them, map them again, or set them aside for good."""

import getpass
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from control.quarantine import NOBODY, Entry, Held, Link, Wanted, count, demand, find, find_held, resolve
from control.registry import tenants
from control.retry import changes_of
from control.retry_all import mapped_now, retry_all
from fluxion.errors import ConfigurationError, FluxionError
from fluxion.log import setup_logging
from fluxion.postgres import APP, STAGE, connect
from fluxion.registry import load_system
from fluxion.settings import Settings, load_settings
from schemas.records import CanonicalSet

app = typer.Typer(
    help="Rows that could not be taken.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)

LIMIT = 200
# Of a table that is not printed to a window; and how wide a window must be for one.
WIDTH = 160
TABLE_FROM = 100

Ids = Annotated[list[int], typer.Argument(help="as `fluxion quarantine list` shows them")]
SystemId = Annotated[str | None, typer.Option(help="system id")]
Code = Annotated[str | None, typer.Option(help="why it was refused, such as UNKNOWN_STORE")]
By = Annotated[str | None, typer.Option(help="who does it; default: the account of this machine")]


@app.command("list")
def list_(
    system: SystemId = None,
    code: Code = None,
    table: Annotated[str | None, typer.Option(help="table of the point of sale")] = None,
    *,
    all_: Annotated[
        bool, typer.Option("--all", help="also what was retried, discarded, or superseded by a newer row")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="a JSON object a line, all of them")] = False,
) -> None:
    """List what waits, the oldest first."""
    settings = _settings()
    whose = _tenants(settings, system)
    wanted = Wanted(system_id=system, code=code, table=table, resolved=all_)
    with _app_link(settings) as link:
        entries = find(link, whose, wanted, None if as_json else LIMIT)
        left = count(link, whose, wanted) - len(entries)
    if as_json:
        for entry in entries:
            typer.echo(json.dumps(entry.plain(), ensure_ascii=False))
        return
    _print_entries(entries)
    if left > 0:
        typer.echo(f"… and {left} more; --json shows all")


@app.command("show")
def show(id_: Annotated[int, typer.Argument(metavar="ID", help="as `fluxion quarantine list` shows it")]) -> None:
    """Show a row as the point of sale has it beside what the present mapping makes of it, and what mends it."""
    settings = _settings()
    whose = _tenants(settings, None)
    with _app_link(settings) as link:
        demand(link, whose, [id_])
        (held,) = find_held(link, whose, Wanted(ids=[id_], resolved=True))
    _print_held(held, mapped_now(settings, held))


@app.command("retry")
def retry(
    ids: Annotated[list[int] | None, typer.Argument(help="as `fluxion quarantine list` shows them")] = None,
    system: SystemId = None,
    code: Code = None,
    by: By = None,
) -> None:
    """Map rows again with the present mapping, under their original versions; what is still at fault stays and says why.

    Which rows: either ids, or all that wait of --system, of --code, or of both.
    """
    if bool(ids) == (system is not None or code is not None):
        message = "say which rows: either ids or --system, --code, or both of these"
        raise ConfigurationError(message, "look at `fluxion quarantine list`")
    settings = _settings()
    whose = _tenants(settings, system)
    with _app_link(settings) as link:
        entries = demand(link, whose, ids) if ids else _waiting(link, whose, system, code)
        for entry in entries:
            if entry.resolution is not None:
                message = f"{entry.id} was {entry.resolution} already, by {entry.resolved_by}"
                raise ConfigurationError(message, "leave it out")
        taken, refused = retry_all(settings, link, entries, by or getpass.getuser())
    for entry, why in refused:
        typer.echo(f"{entry.id}: still at fault: {why}")
    typer.echo(f"{taken} mapped again and sent to the sink, {len(refused)} still at fault")
    if refused:
        raise typer.Exit(1)


def _waiting(link: Link, whose: Sequence[str], system: str | None, code: str | None) -> list[Entry]:
    """Return the open entries; ConfigurationError names the codes that there are where none has the code that was said."""
    entries = find(link, whose, Wanted(system_id=system, code=code))
    if not entries and code is not None:
        there = Counter(entry.code for entry in find(link, whose, Wanted(system_id=system)))
        codes = ", ".join(f"{name} ({times})" for name, times in sorted(there.items()))
        message = f"no row that waits has the code {code!r}"
        raise ConfigurationError(message, f"codes that there are: {codes}" if codes else "nothing waits; leave it")
    return entries


@app.command("discard")
def discard(
    ids: Ids, reason: Annotated[str, typer.Option(help="why it may be left out, for whoever asks later")], by: By = None
) -> None:
    """Set rows aside for good. They stay in PostgreSQL, with who did it and why."""
    if not reason.strip():
        message = "the reason is empty"
        raise ConfigurationError(message, "say why with --reason")
    settings = _settings()
    with _app_link(settings) as link:
        entries = demand(link, _tenants(settings, None), ids)
        done = resolve(link, entries, "discarded", by or getpass.getuser(), reason.strip())
    typer.echo(f"{done} discarded" + (f", {len(entries) - done} were settled already" if done < len(entries) else ""))


def _settings() -> Settings:
    settings = load_settings()
    setup_logging("quarantine", settings.log_format)  # to standard error: what is printed here is the answer
    return settings


def _app_link(settings: Settings) -> Link:
    return connect(settings.database.get_secret_value(), APP)


def _tenants(settings: Settings, system_id: str | None) -> list[str]:
    """Return whose rows are looked at: those of the system's tenant, or of all; and what came before its system was known."""
    with connect(settings.database.get_secret_value(), STAGE) as link:
        if system_id is not None:
            return [load_system(link, system_id).tenant_id, NOBODY]
        return [*(tenant_id for tenant_id, _ in tenants(link)), NOBODY]


# Showing -------------------------------------------------------------------------------------------------------------


def _width() -> int:
    console = Console()
    return console.width if console.is_terminal or "COLUMNS" in os.environ else WIDTH


def _print(table: Table) -> None:
    Console(width=_width(), markup=False).print(table)


def _print_entries(entries: Sequence[Entry]) -> None:
    rows = [_cells(entry) for entry in entries]
    if _width() < TABLE_FROM:  # seven columns would be a few letters each
        for *first, message in rows:
            typer.echo("  ".join(first))
            typer.echo(f"    {message}")
        return
    table = Table(title="Quarantine", title_justify="left")
    for name in ("id", "since", "system", "table", "key", "code", "what is wrong; what mends it"):
        # An id that is cut short cannot be copied.
        table.add_column(name, no_wrap=name in {"id", "code"}, overflow="fold")
    for row in rows:
        table.add_row(*row)
    _print(table)


def _cells(entry: Entry) -> tuple[str, ...]:
    settled = f"{entry.resolution} by {entry.resolved_by}: {entry.notes}"
    return (
        str(entry.id),
        entry.created_at.strftime("%Y-%m-%d %H:%M"),
        entry.system_name or entry.system_id,
        entry.external_table or "(a whole record)",
        entry.external_id or "-",
        entry.code,
        entry.message if entry.resolution is None else settled,
    )


def _print_held(held: Held, now: CanonicalSet | FluxionError) -> None:
    entry = held.entry
    typer.echo(f"{entry.id}: {entry.code}: {entry.message}")
    typer.echo(f"{entry.topic} partition {entry.partition} offset {entry.offset}, version {entry.version}")
    table = Table(title=f"{entry.external_table or 'a whole record'} {entry.external_id or ''}", title_justify="left")
    table.add_column("as the point of sale has it", overflow="fold")
    table.add_column("what the present mapping makes of it", overflow="fold")
    table.add_row("\n".join(_raw_lines(held)), "\n".join(_mapped_lines(now, _is_of(entry))))
    _print(table)


def _raw_lines(held: Held) -> list[str]:
    try:
        row = json.loads(held.raw)
    except ValueError:  # bytes of a record
        return [f"{len(held.raw)} bytes"]
    return [f"{name} = {_text(value)}" for name, value in row.items()] if isinstance(row, dict) else [str(row)]


def _is_of(entry: Entry) -> Callable[[str | None, int | None], bool]:
    return lambda table, version: (
        entry.external_table is None or (table, version) == (entry.external_table, entry.version)
    )


def _mapped_lines(now: CanonicalSet | FluxionError, is_of: Callable[[str | None, int | None], bool]) -> list[str]:
    if isinstance(now, FluxionError):
        return [f"nothing: {now}"]
    lines = [f"refused: {row.message}" for row in now.quarantined if is_of(row.external_table, row.version)]
    for change in changes_of(now):
        if is_of(change.external_table, change.version):
            name = type(change).__name__
            lines += [f"{name}.{field} = {_text(getattr(change, field))}" for field in change.fields]
            lines += [f"{name} is deleted ({change.deletion})"] if change.op == "delete" else []
    return lines or ["nothing: the template leaves the row out"]


def _text(value: object) -> str:
    return "NULL" if value is None else str(value)
