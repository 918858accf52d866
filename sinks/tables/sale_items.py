"""fluxion.sale_items: the lines, each with a version of its own. No foreign key: a line may come before its sale."""

from sinks.tables.table import Table

SALE_ITEMS = Table(
    "fluxion.sale_items",
    {
        "sale_id": "uuid",
        "line_no": "text",
        "sku": "text",
        "product_id": "uuid",
        "quantity": "fluxion.amount",
        "unit_price": "fluxion.amount",
        "line_total": "fluxion.amount",
        "tax_rate": "fluxion.amount",
    },
    gone="purged_at",
    renamed={"product_ref": "product_id"},
    # A line that now names another SKU is no longer of the product that the sweep linked it with.
    follows={
        "product_id": (
            "sku",
            "product_id = case when t.sku is distinct from excluded.sku then null else t.product_id end",
        )
    },
)
