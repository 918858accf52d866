"""Canonical sets into PostgreSQL, and the outbox out of it."""
