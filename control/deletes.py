"""Deletes that wait for a person: a snapshot that no longer found so much of a table that it may be a mistake."""

import getpass
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer
from psycopg import Connection
from rich.console import Console
from rich.table import Column, Table

from fluxion.errors import BusinessRuleError
from fluxion.postgres import APP, STAGE, connect, translated
from fluxion.registry import System, load_system
from fluxion.settings import load_settings

Link = Connection[tuple[Any, ...]]

_WAITING = """
select id, external_table, row_count, of_rows, created_at from pos_integration.pending_deletes
where pos_system_id = %s and confirmed_at is null and done_at is null order by id
"""
_CONFIRM = """
update pos_integration.pending_deletes set confirmed_at = now(), confirmed_by = %s
where pos_system_id = %s and external_table = %s and confirmed_at is null and done_at is null
returning row_count
"""


@dataclass(frozen=True)
class Pending:
    """Deletes of one table that wait. row_count of of_rows: how many rows would go, of how many."""

    id: int
    external_table: str
    row_count: int
    of_rows: int
    created_at: datetime


def pending(link: Link, system: System) -> list[Pending]:
    """Return what waits; `link` acts as fluxion_app."""
    with translated("PostgreSQL"), link.transaction():
        _act_for(link, system)
        return [Pending(*row) for row in link.execute(_WAITING, [system.id])]


def confirm(link: Link, system: System, table: str, by: str) -> int:
    """Let the sink delete them; returns how many rows at most. BusinessRuleError where nothing of that table waits."""
    with translated("PostgreSQL"), link.transaction():
        _act_for(link, system)
        rows = link.execute(_CONFIRM, [by, system.id, table]).fetchall()
    if not rows:
        waiting = ", ".join(one.external_table for one in pending(link, system)) or "nothing"
        message = f"no deletes of {table} wait in {system.name}"
        raise BusinessRuleError(message, f"what waits: {waiting}")
    return sum(int(row[0]) for row in rows)


def _act_for(link: Link, system: System) -> None:
    link.execute("select set_config('fluxion.tenant_id', %s, true)", [system.tenant_id])


def confirm_deletes(
    system: Annotated[str, typer.Argument(help="system id")],
    table: Annotated[str | None, typer.Argument(help="table of the point of sale; none: list what waits")] = None,
    by: Annotated[str | None, typer.Option(help="who does it; default: the account of this machine")] = None,
) -> None:
    """Confirm that rows which a snapshot no longer found are really gone. The sink deletes them within seconds."""
    dsn = load_settings().database.get_secret_value()
    with connect(dsn, STAGE) as link:
        found = load_system(link, system)
    with connect(dsn, APP) as link:
        if table is not None:
            rows = confirm(link, found, table, by or getpass.getuser())
            typer.echo(f"{table}: up to {rows} rows will be deleted by the sink; those that came again meanwhile stay")
            return
        waiting = pending(link, found)
    if not waiting:
        typer.echo(f"no deletes wait in {found.name}")
        return
    shown = Table(*(Column(name, no_wrap=True) for name in ("table", "rows", "of", "since")), title_justify="left")
    for one in waiting:
        shown.add_row(
            one.external_table, str(one.row_count), str(one.of_rows), one.created_at.strftime("%Y-%m-%d %H:%M")
        )
    Console().print(shown)
    typer.echo("`fluxion system confirm-deletes SYSTEM TABLE` lets the sink delete them")
