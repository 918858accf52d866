"""What the demo needs of a point of sale, whichever it is: a database of its own, sales rung up in it, and its own books."""

import random
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol
from zoneinfo import ZoneInfo

CARACAS = ZoneInfo("America/Caracas")
ITEMS = 200
IVA = Decimal("0.16")
CENT = Decimal("0.01")
GOODS = ["Harina P.A.N. 1 kg", "Café molido 500 g", "Arroz blanco 1 kg", "Azúcar 1 kg", "Queso blanco", "Malta 250 ml",
         "Aceite de maíz 1 l", "Pasta corta 1 kg", "Jabón azul", "Caraotas negras 500 g"]  # fmt: skip
CATEGORIES = ["Víveres", "Charcutería", "Bebidas", "Limpieza"]
TENDERS = ["EFECTIVO", "TARJETA", "PAGO MOVIL"]
# When the sales of before the agent came were made: clearly before their system was registered.
PAST = timedelta(hours=1)

# What the sides must agree on, in canonical decimals.
Sale = tuple[str, str | None, Decimal, Decimal, Decimal]  # number, shop, subtotal, tax, total
Line = tuple[str, str, Decimal, Decimal]  # sale, code, quantity, price
Levels = dict[str, Decimal]  # the level's own key → quantity


@dataclass(frozen=True)
class Ledger:
    """One side's sales, lines and stock levels, by the POS's own keys."""

    sales: dict[str, Sale]
    lines: dict[str, Line]
    stock: Levels

    @property
    def total(self) -> Decimal:
        """The sum of all sales."""
        return sum((sale[4] for sale in self.sales.values()), Decimal(0))


class Pos(Protocol):
    """A point of sale."""

    @property
    def template(self) -> str:
        """The built-in template that maps it."""
        ...

    @property
    def shops(self) -> Mapping[int | None, str]:
        """External id of each shop, None where the database is one shop's → name."""
        ...

    @property
    def connection(self) -> Mapping[str, Any]:
        """What the registry is told of it."""
        ...

    @property
    def agent_password(self) -> str:
        """What the agent enters the database with."""
        ...

    def create(self, past_sales: int) -> None:
        """Make the database anew, with goods, stock and some sales of before the agent came."""
        ...

    def connect(self) -> AbstractContextManager[Any]:
        """Yield a connection in autocommit; closes it."""
        ...

    def is_lost(self, fault: Exception) -> bool:
        """Whether an error says that the connection is gone, so that another may do."""
        ...

    def ring_up(self, link: Any, chance: random.Random, shop: int | None, number: str) -> int:
        """One sale in one transaction: header, lines, stock. Returns its key once it is committed."""
        ...

    def back_office(self, link: Any, chance: random.Random, shop: int | None) -> None:
        """Change one price and restock one item."""
        ...

    def read(self) -> Ledger:
        """Read the whole database at one moment."""
        ...


@dataclass(frozen=True)
class Goods:
    """An item of the assortment that every demo shop has."""

    number: int
    name: str
    category: int
    cost: Decimal
    price: Decimal

    @property
    def code(self) -> str:
        """What lines of sales call it."""
        return f"SKU{self.number:05d}"


def assortment(chance: random.Random) -> list[Goods]:
    """Return the goods, always the same for the same `chance`."""
    goods = []
    for item in range(1, ITEMS + 1):
        cost = Decimal(chance.randint(2_000, 90_000)) / 100
        price = (cost * Decimal("1.3")).quantize(CENT)
        goods.append(Goods(item, f"{GOODS[item % len(GOODS)]} {item}", 1 + item % len(CATEGORIES), cost, price))
    return goods


def basket(chance: random.Random) -> dict[int, Decimal]:
    """Return what somebody buys: one to six items, in their order, so that two registers cannot deadlock → quantity."""
    items = sorted(chance.sample(range(1, ITEMS + 1), chance.randint(1, 6)))
    return {item: _quantity(chance) for item in items}


def _quantity(chance: random.Random) -> Decimal:
    """Whole pieces mostly, sometimes weighed to the gram."""
    return Decimal(chance.randint(200, 2500)) / 1000 if chance.random() < 0.2 else Decimal(chance.randint(1, 4))  # noqa: PLR2004


def priced(lines: list[tuple[Decimal, Decimal]]) -> tuple[Decimal, Decimal, Decimal]:
    """Return subtotal, tax, total of (quantity, price)."""
    subtotal = sum(((quantity * price).quantize(CENT) for quantity, price in lines), Decimal(0))
    tax = (subtotal * IVA).quantize(CENT)
    return subtotal, tax, subtotal + tax


def shop_time(ago: timedelta = timedelta(0)) -> datetime:
    """Return the time on the shop's wall, as its columns hold it: without a zone."""
    return (datetime.now(CARACAS) - ago).replace(tzinfo=None, microsecond=0)


def factor(chance: random.Random) -> Decimal:
    """By how much a price changes."""
    return Decimal(chance.randint(95, 110)) / 100
