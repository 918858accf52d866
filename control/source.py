"""A system's point-of-sale database, opened from here to look: nothing is written, nothing is captured."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fluxion.clock import SystemClock
from fluxion.registry import System
from producers.sources.mysql import MySQLConfig, MySQLSource


@contextmanager
def opened_source(
    system: System, tables: frozenset[str], password: str, reached: dict[str, Any]
) -> Iterator[MySQLSource]:
    """Open the source for the block. `reached`: host and port where they differ from the registry's."""
    place = {**system.connection, **reached}
    config = MySQLConfig(
        host=place["host"],
        port=place["port"],
        user=place["user"],
        database=place["database"],
        tables=tables,
        password=password,
    )
    source = MySQLSource(config, SystemClock())
    try:
        yield source
    finally:
        source.close()
