"""fluxion.products: of the system, not of a store."""

from sinks.tables.table import Table

PRODUCTS = Table(
    "fluxion.products",
    "product",
    {
        "sku": "text",
        "name": "text",
        "barcode": "text",
        "category_id": "uuid",
        "supplier_id": "uuid",
        "cost_price": "fluxion.amount",
        "selling_price": "fluxion.amount",
        "tax_rate": "fluxion.amount",
        "is_active": "boolean",
        "last_sale_at": "fluxion.moment",
        "warnings": "text[]",
    },
    renamed={"category_ref": "category_id", "supplier_ref": "supplier_id"},
    cached=True,
)
