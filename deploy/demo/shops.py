"""The demo's point of sale: a Systimax database with two shops, and the registers that work in it."""

import itertools
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import pymysql

CARACAS = ZoneInfo("America/Caracas")
LOCATIONS = {1: "Chacao", 2: "Maracay"}
REGISTERS_PER_SHOP = 2
ITEMS = 200
IVA = Decimal("0.16")
CENT = Decimal("0.01")
# When the sales of before the agent came were made: clearly before their system was registered.
PAST = timedelta(hours=1)
RECONNECT_S = 0.5
# Of MariaDB: shutting down, connection killed; of the client: cannot connect, gone away, lost.
CONNECTION_LOST = {1053, 1927, 2002, 2003, 2006, 2013}

SCHEMA = files("deploy.demo").joinpath("systimax.sql").read_text(encoding="utf-8")
GOODS = ["Harina P.A.N. 1 kg", "Café molido 500 g", "Arroz blanco 1 kg", "Azúcar 1 kg", "Queso blanco", "Malta 250 ml",
         "Aceite de maíz 1 l", "Pasta corta 1 kg", "Jabón azul", "Caraotas negras 500 g"]  # fmt: skip
CATEGORIES = ["Víveres", "Charcutería", "Bebidas", "Limpieza"]


@dataclass(frozen=True)
class Pos:
    """How the demo's own people (not the agent) reach the database."""

    host: str
    port: int
    user: str
    password: str
    database: str

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
                ring_up(link, chance, 1 + number % len(LOCATIONS), f"A{number:07d}", ago=PAST)


def _items(chance: random.Random) -> list[tuple[Any, ...]]:
    rows = []
    for item in range(1, ITEMS + 1):
        cost = Decimal(chance.randint(2_000, 90_000)) / 100
        name = f"{GOODS[item % len(GOODS)]} {item}"
        price = (cost * Decimal("1.3")).quantize(CENT)
        rows.append((item, f"SKU{item:05d}", name, f"759{item:010d}", 1 + item % 4, cost, price, "Y", None))
    return rows


def ring_up(link: Any, chance: random.Random, location: int, number: str, *, ago: timedelta = timedelta(0)) -> int:
    """One sale in one transaction: header, one to six lines, stock. Returns trans_id once it is committed.

    Stock rows are touched in the order of items, so that two registers cannot deadlock.
    """
    items = sorted(chance.sample(range(1, ITEMS + 1), chance.randint(1, 6)))
    with link.cursor() as cursor:
        cursor.execute("start transaction")
        cursor.execute(
            "select item_id, item_code, sale_price from items where item_id in %s order by item_id", [tuple(items)]
        )
        lines = [(item, code, _quantity(chance), price) for item, code, price in cursor.fetchall()]
        subtotal = sum(((quantity * price).quantize(CENT) for _, _, quantity, price in lines), Decimal(0))
        tax = (subtotal * IVA).quantize(CENT)
        now = (datetime.now(CARACAS) - ago).replace(tzinfo=None, microsecond=0)
        cursor.execute(
            "insert into transactions (trans_no, trans_date, location_id, subtotal, tax_amount, total_amount, payment_type)"
            " values (%s, %s, %s, %s, %s, %s, %s)",
            [
                number,
                now,
                location,
                subtotal,
                tax,
                subtotal + tax,
                chance.choice(["EFECTIVO", "TARJETA", "PAGO MOVIL"]),
            ],
        )
        sale = int(cursor.lastrowid)
        cursor.executemany(
            "insert into transaction_details (trans_id, item_code, qty, unit_price) values (%s, %s, %s, %s)",
            [(sale, code, quantity, price) for _, code, quantity, price in lines],
        )
        for item, _, quantity, _ in lines:
            cursor.execute(
                "update stock set qty_on_hand = qty_on_hand - %s where item_id = %s and location_id = %s",
                [quantity, item, location],
            )
        cursor.execute("commit")
    return sale


def _quantity(chance: random.Random) -> Decimal:
    """Whole pieces mostly, sometimes weighed to the gram."""
    return Decimal(chance.randint(200, 2500)) / 1000 if chance.random() < 0.2 else Decimal(chance.randint(1, 4))  # noqa: PLR2004


class Registers:
    """Registers at work: sales at a steady rate, and now and then a price change or a restock.

    `committed` maps trans_id to the wall time in microseconds at which its commit returned.
    """

    def __init__(self, pos: Pos, sales_per_second: float) -> None:
        self.pos = pos
        self.committed: dict[int, int] = {}
        self.failure: Exception | None = None
        self._interval = REGISTERS_PER_SHOP * len(LOCATIONS) / sales_per_second
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(location, register), name=f"register {location}-{register}")
            for location in LOCATIONS
            for register in range(1, REGISTERS_PER_SHOP + 1)
        ]

    def start(self) -> None:
        """Open the shops."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Close the shops; every sale that was begun is committed. Raises what a register failed with."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self.failure is not None:
            raise self.failure

    def _work(self, location: int, register: int) -> None:
        chance = random.Random(location * 100 + register)
        numbers = (f"{location}{register}-{count:07d}" for count in itertools.count(1))
        try:
            while not self._stop.is_set():
                try:
                    with self.pos.connect() as link:
                        self._sell(link, chance, location, numbers)
                except pymysql.OperationalError as fault:
                    if fault.args[0] not in CONNECTION_LOST:
                        raise
                    self._stop.wait(RECONNECT_S)  # whether the last sale was saved, the database says itself
        except Exception as fault:  # noqa: BLE001 -- carried over to the main thread by stop()
            self.failure = fault

    def _sell(self, link: Any, chance: random.Random, location: int, numbers: Iterator[str]) -> None:
        next_sale = time.monotonic() + chance.random() * self._interval
        count = 0
        while not self._stop.wait(max(0.0, next_sale - time.monotonic())):
            next_sale += self._interval
            count += 1
            sale = ring_up(link, chance, location, next(numbers))
            self.committed[sale] = time.time_ns() // 1000
            if count % 10 == 0:
                back_office(link, chance, location)


def back_office(link: Any, chance: random.Random, location: int) -> None:
    """Change one price and restock one item."""
    with link.cursor() as cursor:
        cursor.execute(
            "update items set sale_price = round(sale_price * %s, 2) where item_id = %s",
            [Decimal(chance.randint(95, 110)) / 100, chance.randint(1, ITEMS)],
        )
        cursor.execute(
            "update stock set qty_on_hand = qty_on_hand + 100 where item_id = %s and location_id = %s",
            [chance.randint(1, ITEMS), location],
        )
