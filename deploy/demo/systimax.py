"""The demo's Systimax: two shops in one MariaDB database."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from typing import Any

import pymysql

from deploy.demo.pos import (
    CATEGORIES,
    ITEMS,
    PAST,
    TENDERS,
    Ledger,
    Sale,
    assortment,
    basket,
    factor,
    priced,
    shop_time,
)

LOCATIONS: dict[int | None, str] = {1: "Chacao", 2: "Maracay"}
# Shutting down, connection killed; of the client: cannot connect, gone away, lost.
CONNECTION_LOST = {1053, 1927, 2002, 2003, 2006, 2013}
SCHEMA = files("deploy.demo").joinpath("systimax.sql").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Systimax:
    """How the demo's own people (not the agent) reach the database."""

    host: str
    port: int
    user: str
    password: str
    database: str

    template = "systimax"
    agent_password = "cdc"  # noqa: S105 -- the local stack's, well known

    @property
    def shops(self) -> Mapping[int | None, str]:
        """Location → name."""
        return LOCATIONS

    @property
    def connection(self) -> Mapping[str, Any]:
        """What the registry is told of it."""
        return {"host": self.host, "port": self.port, "user": "cdc", "database": self.database}

    @contextmanager
    def connect(self, *, database: bool = True) -> Iterator[Any]:
        """Yield a connection in autocommit; closes it."""
        link = pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=self.database if database else None,
            autocommit=True,
            charset="utf8mb4",
        )
        try:
            yield link
        finally:
            link.close()

    def is_lost(self, fault: Exception) -> bool:
        """Whether an error says that the connection is gone."""
        return isinstance(fault, pymysql.OperationalError) and fault.args[0] in CONNECTION_LOST

    def create(self, past_sales: int) -> None:
        """Make the database anew, with goods, stock and some sales of before the agent came."""
        with self.connect(database=False) as link, link.cursor() as cursor:
            cursor.execute(f"drop database if exists `{self.database}`")
            cursor.execute(f"create database `{self.database}` character set utf8mb4")
        chance = random.Random(20)
        with self.connect() as link, link.cursor() as cursor:
            for statement in SCHEMA.strip().removesuffix(";").split(";"):
                cursor.execute(statement)
            cursor.executemany("insert into categories values (%s, %s)", list(enumerate(CATEGORIES, 1)))
            cursor.executemany("insert into items values (%s, %s, %s, %s, %s, %s, %s, %s, %s)", _items(chance))
            cursor.executemany(
                "insert into stock values (%s, %s, 500)", [(i, loc) for i in range(1, ITEMS + 1) for loc in LOCATIONS]
            )
            for number in range(past_sales):
                self.ring_up(link, chance, 1 + number % len(LOCATIONS), f"A{number:07d}", ago=PAST)

    def ring_up(
        self, link: Any, chance: random.Random, shop: int | None, number: str, *, ago: timedelta = timedelta(0)
    ) -> int:
        """One sale in one transaction: header, lines, stock. Returns trans_id once it is committed."""
        bought = basket(chance)
        with link.cursor() as cursor:
            cursor.execute("start transaction")
            cursor.execute(
                "select item_id, item_code, sale_price from items where item_id in %s order by item_id", [tuple(bought)]
            )
            lines = [(item, code, bought[item], price) for item, code, price in cursor.fetchall()]
            cursor.execute(
                "insert into transactions (trans_no, trans_date, location_id, subtotal, tax_amount, total_amount,"
                " payment_type) values (%s, %s, %s, %s, %s, %s, %s)",
                [number, shop_time(ago), shop, *priced([line[2:] for line in lines]), chance.choice(TENDERS)],
            )
            sale = int(cursor.lastrowid)
            cursor.executemany(
                "insert into transaction_details (trans_id, item_code, qty, unit_price) values (%s, %s, %s, %s)",
                [(sale, code, quantity, price) for _, code, quantity, price in lines],
            )
            for item, _, quantity, _ in lines:
                cursor.execute(
                    "update stock set qty_on_hand = qty_on_hand - %s where item_id = %s and location_id = %s",
                    [quantity, item, shop],
                )
            cursor.execute("commit")
        return sale

    def back_office(self, link: Any, chance: random.Random, shop: int | None) -> None:
        """Change one price and restock one item."""
        with link.cursor() as cursor:
            cursor.execute(
                "update items set sale_price = round(sale_price * %s, 2) where item_id = %s",
                [factor(chance), chance.randint(1, ITEMS)],
            )
            cursor.execute(
                "update stock set qty_on_hand = qty_on_hand + 100 where item_id = %s and location_id = %s",
                [chance.randint(1, ITEMS), shop],
            )

    def read(self) -> Ledger:
        """Read the whole database at one moment."""
        with self.connect() as link, link.cursor() as cursor:
            cursor.execute("start transaction with consistent snapshot")
            cursor.execute(
                "select trans_id, trans_no, location_id, subtotal, tax_amount, total_amount from transactions"
            )
            sales: dict[str, Sale] = {
                str(row[0]): (row[1], str(row[2]), row[3], row[4], row[5]) for row in cursor.fetchall()
            }
            cursor.execute("select detail_id, trans_id, item_code, qty, unit_price from transaction_details")
            lines = {str(row[0]): (str(row[1]), row[2], row[3], row[4]) for row in cursor.fetchall()}
            cursor.execute("select item_id, location_id, qty_on_hand from stock")
            stock = {f"{row[0]}/{row[1]}": row[2] for row in cursor.fetchall()}
        return Ledger(sales, lines, stock)


def _items(chance: random.Random) -> list[tuple[Any, ...]]:
    return [
        (one.number, one.code, one.name, f"759{one.number:010d}", one.category, one.cost, one.price, "Y", None)
        for one in assortment(chance)
    ]
