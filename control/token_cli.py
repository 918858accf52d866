"""`fluxion token`: who may speak to Fluxion over HTTP, and for what."""

import getpass
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from control.tokens import bound_to, create, find, listed, revoke
from fluxion.http.access import KEEP_S
from fluxion.http.tokens import SCOPES, Scope
from fluxion.postgres import APP, STAGE, connect
from fluxion.settings import load_settings

WIDTH = 200

app = typer.Typer(
    help="Who may speak to Fluxion over HTTP.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_WHAT_FOR = "; ".join(f"{scope}: {what}" for scope, what in SCOPES.items())
By = Annotated[str | None, typer.Option(help="who does it; default: the account of this machine")]


@app.command("create")
def create_(
    name: Annotated[str, typer.Argument(help="who uses it, and for what")],
    scope: Annotated[list[Scope], typer.Option(help=f"once or several times. {_WHAT_FOR}")],
    tenant: Annotated[str | None, typer.Option(help="tenant id: everything of it")] = None,
    system: Annotated[str | None, typer.Option(help="system id: this system only")] = None,
    store: Annotated[str | None, typer.Option(help="store id: this store only")] = None,
    days: Annotated[int, typer.Option(help="until it expires")] = 365,
    by: By = None,
) -> None:
    """Make a token and print it, this once: only its SHA-256 is kept."""
    with connect(_dsn(), STAGE) as link:
        bound = bound_to(link, tenant, system, store)
    with connect(_dsn(), APP) as link:
        id_, token = create(link, bound, name, scope, days, by or getpass.getuser())
    typer.echo(token)
    typer.echo(f"id {id_}; keep the token above where secrets are kept: it is not shown again", err=True)


@app.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(help="tenant id")] = None,
) -> None:
    """List tokens, also revoked and expired ones; what they are is not known to anybody."""
    with connect(_dsn(), STAGE) as link:
        bound = bound_to(link, tenant, None, None) if tenant is not None else None
        tokens = listed(link, bound.tenant_id if bound else None)
    names = ("id", "name", "scopes", "reaches", "is", "expires", "last used")
    table = Table(*(Column(name, no_wrap=True) for name in names), title="Tokens", title_justify="left")
    for token in tokens:
        reaches = _reaches(token.tenant_id, token.system_id, token.store_id)
        scopes = ", ".join(token.scopes)
        table.add_row(
            token.id, token.name, scopes, reaches, token.state, _day(token.expires_at), _day(token.last_used_at)
        )
    # An id that is cut short cannot be copied: rather let a narrow window wrap.
    Console(width=max(Console().width, WIDTH), markup=False).print(table)


@app.command("revoke")
def revoke_(
    id_: Annotated[str, typer.Argument(metavar="ID", help="as `fluxion token list` shows it")], by: By = None
) -> None:
    """Make a token useless, for good."""
    with connect(_dsn(), STAGE) as link:
        token = find(link, id_)
    with connect(_dsn(), APP) as link:
        revoke(link, token, by or getpass.getuser())
    typer.echo(f"{token.name} is revoked; every server refuses it within {KEEP_S:.0f} s")


def _dsn() -> str:
    return load_settings().database.get_secret_value()


def _reaches(tenant_id: str, system_id: str | None, store_id: str | None) -> str:
    if store_id:
        return f"store {store_id}"
    return f"system {system_id}" if system_id else f"tenant {tenant_id}"


def _day(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "-"
