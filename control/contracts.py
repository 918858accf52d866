"""`fluxion schemas register`: the Avro contracts at the schema registry, each with its compatibility."""

import typer

from fluxion.schema_registry import SchemaRegistry
from fluxion.settings import load_settings
from schemas.codec import schema_text
from schemas.topics import TOPICS

app = typer.Typer(help="Avro contracts.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _group() -> None:
    """Keep `register` a sub-command although it is the only one."""


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
