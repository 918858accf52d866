"""Alembic's environment; `sinks.migrate` runs it."""
