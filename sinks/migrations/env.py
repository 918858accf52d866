"""Run by alembic. `sinks.migrate` opens the connection and hands it over; there is no offline mode."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="schema_version",
    version_table_schema="pos_integration",
)
context.run_migrations()
