"""The tables that the sink writes, in the order in which one transaction writes them."""

from sinks.tables.categories import CATEGORIES
from sinks.tables.products import PRODUCTS
from sinks.tables.sale_items import SALE_ITEMS
from sinks.tables.sale_payments import SALE_PAYMENTS
from sinks.tables.sale_taxes import SALE_TAXES
from sinks.tables.sales import SALES
from sinks.tables.stock_levels import STOCK_LEVELS
from sinks.tables.stock_movements import STOCK_MOVEMENTS
from sinks.tables.suppliers import SUPPLIERS
from sinks.tables.table import Left, Link, Table, Unit, fold, rounds

# What belongs to a sale and has a `sale_id`.
PARTS_OF_SALES = (SALE_ITEMS, SALE_PAYMENTS, SALE_TAXES)
TABLES = (CATEGORIES, SUPPLIERS, PRODUCTS, STOCK_LEVELS, STOCK_MOVEMENTS, SALES, *PARTS_OF_SALES)

__all__ = [
    "CATEGORIES",
    "PARTS_OF_SALES",
    "PRODUCTS",
    "SALES",
    "SALE_ITEMS",
    "SALE_PAYMENTS",
    "SALE_TAXES",
    "STOCK_LEVELS",
    "STOCK_MOVEMENTS",
    "SUPPLIERS",
    "TABLES",
    "Left",
    "Link",
    "Table",
    "Unit",
    "fold",
    "rounds",
]
