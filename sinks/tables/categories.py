"""fluxion.categories."""

from sinks.tables.table import Table

CATEGORIES = Table(
    "fluxion.categories",
    "category",
    {"name": "text", "parent_id": "uuid"},
    renamed={"parent_ref": "parent_id"},
    cached=True,
)
