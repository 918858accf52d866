"""`fluxion db …`."""

import typer

from fluxion.settings import load_settings
from sinks.migrate import migrate

app = typer.Typer(
    help="The database's schema.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.callback()
def db() -> None:
    """The database's schema."""


@app.command("migrate")
def migrate_command() -> None:
    """Bring the database in FLUXION_DATABASE to the newest schema; safe to repeat, and to run twice at once."""
    migrate(load_settings().database.get_secret_value())
    typer.echo("the database is at the newest schema")
