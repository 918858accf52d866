"""`fluxion schemas register`: the Avro contracts at the schema registry; `check`: against what was released, without one."""

import typer

from control.baseline import breaks, present, released
from fluxion.schema_registry import SchemaRegistry
from fluxion.settings import load_settings
from schemas.codec import schema_text
from schemas.topics import TOPICS

app = typer.Typer(help="Avro contracts.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command("check")
def check() -> None:
    """Hold the contracts against those of every release, and say each change that would break a reader; needs no service."""
    contracts, releases = present(), released()
    found = breaks(contracts, releases)
    for one in found:
        typer.echo(str(one))
    if found:
        raise typer.Exit(1)
    typer.echo(f"{len(contracts)} contracts fit the releases {', '.join(releases)}")


@app.command("register")
def register() -> None:
    """Register every contract; the same one again is the same id. An incompatible change is refused."""
    for subject, (schema_id, compatibility) in register_contracts(load_settings().schema_registry).items():
        typer.echo(f"{subject}: id {schema_id}, {compatibility}")


def register_contracts(url: str) -> dict[str, tuple[int, str]]:
    """Return subject → (schema id, compatibility) of every topic that has a contract."""
    registry = SchemaRegistry(url, wait=False)
    return {
        topic.subject: (
            registry.register(topic.subject, schema_text(topic.schema), topic.compatibility),
            topic.compatibility,
        )
        for topic in TOPICS
        if topic.schema is not None
    }
