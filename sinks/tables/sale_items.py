"""fluxion.sale_items: the lines, each with a version of its own. No foreign key: a line may come before its sale."""

from sinks.tables.table import PRODUCT_FOLLOWS_SKU, Table

SALE_ITEMS = Table(
    "fluxion.sale_items",
    "line",
    {
        "sale_id": "uuid",
        "line_no": "text",
        "sku": "text",
        "product_id": "uuid",
        "scanned_code": "text",
        "name": "text",
        "quantity": "fluxion.amount",
        "unit": "text",
        "unit_price": "fluxion.amount",
        "list_price": "fluxion.amount",
        "discount": "fluxion.amount",
        "line_total": "fluxion.amount",
        "tax_rate": "fluxion.amount",
        "tax_category": "text",
        "tax_amount": "fluxion.amount",
        "unit_cost": "fluxion.amount",
        "returned_quantity": "fluxion.amount",
        "kit_parent": "text",
        "warnings": "text[]",
    },
    deleted="purge",
    marks=("purged_at", "deleted_at"),
    renamed={"product_ref": "product_id"},
    follows=PRODUCT_FOLLOWS_SKU,
)
