"""fluxion.suppliers."""

from sinks.tables.table import Table

SUPPLIERS = Table("fluxion.suppliers", "supplier", {"name": "text", "tax_id": "text"}, cached=True)
