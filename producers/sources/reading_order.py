"""In which order a snapshot reads its tables."""

from producers.source import Bounds


def reading_order(tables: frozenset[str], bounds: Bounds) -> list[str]:
    """Return the tables by name, those of lines behind all others in the order of the bounds."""
    lines = [table for table, bound in bounds.items() if bound.header is not None and table in tables]
    return [*sorted(tables - set(lines)), *lines]
