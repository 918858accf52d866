"""The demo's Stellar POS: one shop in one SQL Server database."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from typing import Any

import pyodbc

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

SCHEMA = files("deploy.demo").joinpath("stellar.sql").read_text(encoding="utf-8")
TABLES = ("categorias", "productos", "ventas", "detalle_ventas")
SALE = """
INSERT INTO ventas (numero_factura, fecha_venta, subtotal, iva, total, forma_pago) VALUES (?, ?, ?, ?, ?, ?)
"""
LINE = "INSERT INTO detalle_ventas (venta_id, codigo_producto, cantidad, precio_unitario) VALUES (?, ?, ?, ?)"
PRICE = "SELECT precio_venta FROM productos WHERE codigo = ?"
SOLD = "UPDATE productos SET existencia = existencia - ?, fecha_ultima_venta = ? WHERE codigo = ?"
# ODBC's classes and states of a connection that is gone.
_LOST = {"08S01", "08001", "08003", "HYT00", "HYT01", "01000", "HY000"}


@dataclass(frozen=True)
class Stellar:
    """How the demo's own people (not the agent) reach the database."""

    host: str
    port: int
    user: str
    password: str
    database: str

    template = "stellar"

    @property
    def agent_password(self) -> str:
        """The agent enters as the demo does: the stand-in knows one account."""
        return self.password

    @property
    def shops(self) -> Mapping[int | None, str]:
        """One, so that nothing has to tell it from others."""
        return {None: "Chacao"}

    @property
    def connection(self) -> Mapping[str, Any]:
        """What the registry is told of it."""
        return {"host": self.host, "port": self.port, "user": self.user, "database": self.database}

    @contextmanager
    def connect(self, *, database: bool = True) -> Iterator[Any]:
        """Yield a connection in autocommit; closes it."""
        pyodbc.pooling = False
        link = pyodbc.connect(
            f"DRIVER={{FreeTDS}};SERVER={self.host};PORT={self.port};TDS_Version=7.4;UID={self.user};PWD={self.password};"
            f"DATABASE={self.database if database else 'master'}",
            autocommit=True,
            timeout=10,
        )
        try:
            yield link
        finally:
            link.close()

    def is_lost(self, fault: Exception) -> bool:
        """Whether an error says that the connection is gone."""
        return isinstance(fault, pyodbc.Error) and fault.args[0] in _LOST

    def create(self, past_sales: int) -> None:
        """Make the database anew, tracked, with goods and some sales of before the agent came."""
        name = self.database
        with self.connect(database=False) as link:
            link.execute(f"DROP DATABASE IF EXISTS {name}")
            link.execute(f"CREATE DATABASE {name}")
            link.execute(f"ALTER DATABASE {name} SET ALLOW_SNAPSHOT_ISOLATION ON")
            link.execute(
                f"ALTER DATABASE {name} SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 7 DAYS, AUTO_CLEANUP = ON)"
            )
        chance = random.Random(20)
        with self.connect() as link:
            for statement in SCHEMA.strip().removesuffix(";").split(";"):
                link.execute(statement)
            for table in TABLES:
                link.execute(f"ALTER TABLE {table} ENABLE CHANGE_TRACKING")
            cursor = link.cursor()
            cursor.executemany("INSERT INTO categorias VALUES (?, ?)", list(enumerate(CATEGORIES, 1)))
            cursor.executemany(
                "INSERT INTO productos (codigo, nombre, precio_venta, existencia, categoria_id, activo) VALUES (?, ?, ?, 1000, ?, 1)",
                [(one.code, one.name, one.price, one.category) for one in assortment(chance)],
            )
            for number in range(past_sales):
                self.ring_up(link, chance, None, f"A{number:07d}", ago=PAST)

    def ring_up(
        self, link: Any, chance: random.Random, shop: int | None, number: str, *, ago: timedelta = timedelta(0)
    ) -> int:
        """One sale in one transaction: header, lines, stock. Returns the sale's id once it is committed."""
        del shop  # there is one
        bought = {f"SKU{item:05d}": quantity for item, quantity in basket(chance).items()}
        now = shop_time(ago)
        cursor = link.cursor()
        cursor.execute("BEGIN TRAN")
        try:
            lines = [(code, quantity, cursor.execute(PRICE, code).fetchval()) for code, quantity in bought.items()]
            cursor.execute(SALE, number, now, *priced([line[1:] for line in lines]), chance.choice(TENDERS))
            sale = int(cursor.execute("SELECT CAST(SCOPE_IDENTITY() AS int)").fetchval())
            cursor.executemany(LINE, [(sale, *line) for line in lines])
            cursor.executemany(SOLD, [(quantity, now, code) for code, quantity, _ in lines])
            cursor.execute("COMMIT")
        except pyodbc.Error as fault:
            if not self.is_lost(fault):
                cursor.execute("ROLLBACK")
            raise
        return sale

    def back_office(self, link: Any, chance: random.Random, shop: int | None) -> None:
        """Change one price and restock one item."""
        del shop  # there is one
        link.execute(
            "UPDATE productos SET precio_venta = ROUND(precio_venta * ?, 2) WHERE codigo = ?",
            factor(chance),
            f"SKU{chance.randint(1, ITEMS):05d}",
        )
        link.execute(
            "UPDATE productos SET existencia = existencia + 100 WHERE codigo = ?", f"SKU{chance.randint(1, ITEMS):05d}"
        )

    def read(self) -> Ledger:
        """Read the whole database at one moment."""
        with self.connect() as link:
            cursor = link.cursor()
            cursor.execute("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
            cursor.execute("BEGIN TRAN")
            cursor.execute("SELECT id, numero_factura, subtotal, iva, total FROM ventas")
            sales: dict[str, Sale] = {str(row[0]): (row[1], None, row[2], row[3], row[4]) for row in cursor.fetchall()}
            cursor.execute("SELECT id, venta_id, codigo_producto, cantidad, precio_unitario FROM detalle_ventas")
            lines = {str(row[0]): (str(row[1]), row[2], row[3], row[4]) for row in cursor.fetchall()}
            cursor.execute("SELECT codigo, existencia FROM productos")
            stock = {row[0]: row[1] for row in cursor.fetchall()}
            cursor.execute("COMMIT")
        return Ledger(sales, lines, stock)
