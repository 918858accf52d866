"""The template format: which tables and columns of a point of sale feed which fields of Fluxion.

Fields are Fluxion's, columns are the POS's. The field's kind chooses the parser (`fields`), so a template says nothing of
types. References hold the other entity's key; ids are derived from it, so nothing is looked up. `mapping` reads and checks.
"""

from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from schemas.blocks import (
    Blocks,
    CategoryBlock,
    MovementBlock,
    ProductBlock,
    SaleBlock,
    StockBlock,
    SupplierBlock,
)
from schemas.forms import Strict


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        message = f"{name!r} is not a time zone; name one of the IANA list, such as America/Caracas"
        raise ValueError(message) from None
    return name


class Defaults(Strict):
    """Said once a system. tax_rate and min_margin are percent; tax_rate only where a product has none."""

    time_zone: Annotated[str, AfterValidator(_zone)] = "America/Caracas"
    currency: str = Field("VES", pattern="^[A-Z]{3}$")
    prices_include_tax: bool = False
    tax_rate: Decimal = Field(Decimal(16), ge=0, le=100)
    min_margin: Decimal = Field(Decimal(5), ge=0, le=100)


class Template(Strict):
    """A point of sale's mapping. One table may feed several entities, several tables one entity.

    databases: the kinds of source it is meant for. keys: ignore_case where the database compares keys so.
    stock_origin: captured where the POS keeps levels; movements where the level is the sum of the movements.
    """

    template: str = Field(min_length=1, max_length=50)
    version: int = Field(ge=1)
    title: str
    databases: tuple[str, ...]
    schema_: str | None = Field(None, alias="schema")
    keys: Literal["exact", "ignore_case"] = "exact"
    stock_origin: Literal["captured", "movements"] = "captured"
    defaults: Defaults = Defaults()
    category: Blocks[CategoryBlock] = ()
    supplier: Blocks[SupplierBlock] = ()
    product: Blocks[ProductBlock] = ()
    stock: Blocks[StockBlock] = ()
    movement: Blocks[MovementBlock] = ()
    sale: Blocks[SaleBlock] = ()
