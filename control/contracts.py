"""`fluxion schemas register`: the Avro contracts at the schema registry, each with its compatibility."""

import typer

from fluxion.schema_registry import SchemaRegistry
from fluxion.settings import load_settings
from schemas.codec import schema_text
from schemas.topics import TOPICS

app = typer.Typer(
    help="Avro contracts.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.callback()
def _group() -> None:
    """Keep `register` a sub-command although it is the only one."""


@app.command("register")
def register() -> None:
    """Register every contract; the same one again is the same id. An incompatible change is refused."""
    registry = SchemaRegistry(load_settings().schema_registry, wait=False)
    for topic in TOPICS:
        if topic.schema is not None:
            schema_id = registry.register(topic.subject, schema_text(topic.schema), topic.compatibility)
            print(f"{topic.subject}: id {schema_id}, {topic.compatibility}")
