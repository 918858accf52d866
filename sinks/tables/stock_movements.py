"""fluxion.stock_movements: what came into a store and what went, signed."""

from sinks.tables.table import PRODUCT_FOLLOWS_SKU, Table

STOCK_MOVEMENTS = Table(
    "fluxion.stock_movements",
    "movement",
    {
        "store_id": "uuid",
        "product_id": "uuid",
        "sku": "text",
        "kind": "text",
        "quantity": "fluxion.amount",
        "reference": "text",
        "occurred_at": "fluxion.moment",
        "warnings": "text[]",
    },
    renamed={"product_ref": "product_id"},
    follows=PRODUCT_FOLLOWS_SKU,
)
