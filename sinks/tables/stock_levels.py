"""fluxion.stock_levels: what the POS says lies in a store; negative is normal."""

from sinks.tables.table import Table

STOCK_LEVELS = Table(
    "fluxion.stock_levels",
    {"store_id": "uuid", "product_id": "uuid", "quantity": "fluxion.amount"},
    gone="deleted_at",
    renamed={"product_ref": "product_id"},
)
