"""The tables that the sink writes, in the order in which one transaction writes them."""

from sinks.tables.categories import CATEGORIES
from sinks.tables.products import PRODUCTS
from sinks.tables.sale_items import SALE_ITEMS
from sinks.tables.sales import SALES
from sinks.tables.stock_levels import STOCK_LEVELS
from sinks.tables.table import Link, Table, Unit, fold

TABLES = (CATEGORIES, PRODUCTS, STOCK_LEVELS, SALES, SALE_ITEMS)

__all__ = ["CATEGORIES", "PRODUCTS", "SALES", "SALE_ITEMS", "STOCK_LEVELS", "TABLES", "Link", "Table", "Unit", "fold"]
