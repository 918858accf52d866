"""Which tables the template bounds in time, for agent.toml: enrolment's part of `history_days`. Pure."""

from producers.home import BoundSection, SnapshotSection
from schemas.blocks import SaleBlock
from schemas.parts import Part, parts, references
from schemas.settings import SyncSettings
from schemas.template import Template


def section_of(template: Template, settings: SyncSettings) -> SnapshotSection:
    """Return [snapshot] for a system."""
    return SnapshotSection(
        history_days=settings.history_days,
        time_zone=template.defaults.time_zone,
        position_lost=settings.position_lost,
        bounds=bounds_of(template),
    )


def bounds_of(template: Template) -> tuple[BoundSection, ...]:
    """Return the bounds of sales, then of their tenders and taxes, then of their lines: by these a sale is known as whole.

    A table that feeds something else too, or is bounded in two ways, has none; nor have the lines of such a header.
    """
    found: dict[str, set[BoundSection | None]] = {}
    lines = set()
    for part in parts(template):
        if part.ordinal is None:
            found.setdefault(part.table, set()).add(_bound(part))
        if part.entity == "line":
            lines.add(part.table)
    only = {table: bound for table, (bound, *others) in found.items() if bound is not None and not others}
    kept = [bound for bound in only.values() if bound.header is None or bound.header in only]
    return tuple(sorted(kept, key=lambda bound: (bound.table in lines, bound.header is not None)))


def _bound(part: Part) -> BoundSection | None:
    block, sale = part.block, part.sale
    if isinstance(block, SaleBlock):
        return BoundSection(table=part.table, column=block.since) if block.since else None
    if sale is None or not sale.since:
        return None
    _, reference = references(block)["sale"]
    if reference.optional or reference.otherwise is not None:  # what the key lacks cannot be looked up
        return None
    link = tuple(column for column in reference.key if isinstance(column, str))
    key = sale.key if isinstance(sale.key, tuple) else ()
    if len(link) < len(reference.key):
        # A constant is no column: by the others some rows more are found, which are read besides, and none less.
        key = tuple(mine for mine, theirs in zip(key, reference.key, strict=False) if isinstance(theirs, str))
        if not key:  # only the source knows which columns these are
            return None
    return BoundSection(table=part.table, column=sale.since, header=sale.from_, link=link, key=key)
