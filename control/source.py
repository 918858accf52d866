"""A system's point-of-sale database, opened from here to look: nothing is written, nothing is captured."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fluxion.clock import SystemClock
from fluxion.registry import System
from producers.sources.choice import DatabaseSource, Place, kind_for, open_source, options_for
from schemas.mapping import restore


def place_of(system: System, tables: frozenset[str], password: str, reached: dict[str, Any]) -> Place:
    """Return where the database is. `reached`: host and port where they differ from the registry's."""
    known = {**system.connection, **reached}
    template = restore(system.mapping)
    kind = known.get("kind") or kind_for(template.databases)
    return Place(
        kind=kind,
        host=known["host"],
        port=known["port"],
        user=known["user"],
        database=known["database"],
        tables=tables,
        password=password,
        options=options_for(kind, template.schema_, known.get("options") or {}),
    )


@contextmanager
def opened_source(
    system: System, tables: frozenset[str], password: str, reached: dict[str, Any]
) -> Iterator[DatabaseSource]:
    """Open the source for the block; see `place_of`."""
    source = open_source(place_of(system, tables, password, reached), SystemClock())
    try:
        yield source
    finally:
        source.close()
