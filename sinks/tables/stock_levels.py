"""fluxion.stock_levels: what the POS says lies in a store, or the sum of its movements; negative is normal."""

from sinks.tables.table import Table

STOCK_LEVELS = Table(
    "fluxion.stock_levels",
    "stock",
    {"store_id": "uuid", "product_id": "uuid", "quantity": "fluxion.amount", "warnings": "text[]"},
    renamed={"product_ref": "product_id"},
)
