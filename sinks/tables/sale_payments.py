"""fluxion.sale_payments: the tenders of a sale, each with a version of its own."""

from sinks.tables.table import Table

SALE_PAYMENTS = Table(
    "fluxion.sale_payments",
    "payment",
    {
        "sale_id": "uuid",
        "method": "text",
        "currency": "text",
        "amount": "fluxion.amount",
        "rate": "fluxion.rate",
        "amount_base": "fluxion.amount",
        "igtf": "fluxion.amount",
        "reference": "text",
        "warnings": "text[]",
    },
    deleted="purge",
    marks=("purged_at", "deleted_at"),
)
