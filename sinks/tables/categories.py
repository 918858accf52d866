"""fluxion.categories."""

from sinks.tables.table import Table

CATEGORIES = Table("fluxion.categories", {"name": "text"}, gone="deleted_at")
