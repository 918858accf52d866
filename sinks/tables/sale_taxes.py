"""fluxion.sale_taxes: what a document says of its taxes, each row with a version of its own."""

from sinks.tables.table import Table

SALE_TAXES = Table(
    "fluxion.sale_taxes",
    "tax",
    {
        "sale_id": "uuid",
        "category": "text",
        "rate": "fluxion.amount",
        "base": "fluxion.amount",
        "amount": "fluxion.amount",
        "warnings": "text[]",
    },
    deleted="purge",
    marks=("purged_at", "deleted_at"),
)
