"""fluxion.sales: the headers. `closed`, `expected_lines` and the store are said together with a header."""

from sinks.tables.table import Table

SALES = Table(
    "fluxion.sales",
    {
        "store_id": "uuid",
        "has_header": "boolean",
        "number": "text",
        "doc_type": "text",
        "status": "text",
        "register_id": "text",
        "sold_at": "fluxion.moment",
        "sold_at_precision": "text",
        "business_date": "fluxion.day",
        "currency": "text",
        "subtotal": "fluxion.amount",
        "tax_total": "fluxion.amount",
        "total": "fluxion.amount",
        "prices_include_tax": "boolean",
        "warnings": "text[]",
        "closed": "boolean",
        "expected_lines": "integer",
        "is_snapshot": "boolean",
        "partition": "integer",
    },
    gone="purged_at",
)
