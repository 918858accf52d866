"""A point of sale on SQL Server: its database as a cash register sees it, and sources that capture it."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyodbc

from fluxion.clock import SystemClock
from producers.source import Capture
from producers.sources.sqlserver import SQLServerConfig, SQLServerSource
from producers.sources.sqlserver.connection import Links
from tests.support.sqlserver import Database

# T-SQL has no sequence of numbers; ten digits, crossed.
_DIGITS = " UNION ALL ".join(f"SELECT {digit} AS n" for digit in range(10))
_MOST_DIGITS = 5


@dataclass
class SqlShop:
    """An empty database with change tracking, and everything that a test opens on it."""

    database: Database
    sources: list[SQLServerSource] = field(default_factory=list)
    register: pyodbc.Connection | None = None

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements, each its own transaction; rows of the last."""
        if self.register is None:
            self.register = self.link()
        cursor = self.register.cursor()
        for statement in statements:
            cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def link(self) -> pyodbc.Connection:
        return self.database.connect()

    def track(self, *tables: str) -> None:
        self.run(*(f"ALTER TABLE dbo.{table} ENABLE CHANGE_TRACKING" for table in tables))

    def create(self, *definitions: str) -> None:
        """Create tables (`items (id int primary key)`) and track them."""
        self.run(*(f"CREATE TABLE dbo.{definition}" for definition in definitions))
        self.track(*(definition.split(maxsplit=1)[0] for definition in definitions))

    def capture(self, *tables: str, instance: str = "fluxion_dbo_{}") -> None:
        """Switch Change Data Capture on for tables."""
        on = "sys.databases WHERE database_id = DB_ID() AND is_cdc_enabled = 1"
        self.run(f"IF NOT EXISTS (SELECT 1 FROM {on}) EXEC sys.sp_cdc_enable_db")
        enable = (
            "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @role_name = N'fluxion_cdc', @source_name = N'{}'"
        )
        self.run(*(f"{enable.format(table)}, @capture_instance = N'{instance.format(table)}'" for table in tables))

    def config(self, *tables: str, **more: Any) -> SQLServerConfig:
        server, name = self.database.server, self.database.name
        config = SQLServerConfig(server.host, server.port, server.user, name, frozenset(tables), server.password)
        return replace(config, **more)

    def source(self, *tables: str, **more: Any) -> SQLServerSource:
        source = SQLServerSource(self.config(*tables, **more), SystemClock())
        self.sources.append(source)
        return source

    def links(self, *tables: str) -> Links:
        return Links(self.config(*tables))

    def snapshot(self, *tables: str) -> list[Capture]:
        return list(self.source(*tables).snapshot(None, frozenset(tables), {}))

    def now(self, *tables: str) -> str:
        """The position at which a stream begins now."""
        start = self.snapshot(*tables)[-1].stream_start
        assert start is not None
        return start

    def stream(self, after: str, *tables: str) -> Iterator[Capture]:
        return self.source(*tables).stream(after)

    def insert_numbers(self, table: str, values: str, first: int, count: int, columns: str = "") -> None:
        """Insert `count` rows in one transaction; in `values` {n} is first, first + 1, …"""
        digits = "".join(f" CROSS JOIN d AS d{place}" for place in range(1, _MOST_DIGITS))
        number = " + ".join(f"d{place}.n * {10**place}" for place in range(_MOST_DIGITS))
        numbers = f"WITH d AS ({_DIGITS}), numbers AS (SELECT {number} AS n FROM d AS d0{digits})"
        chosen = values.format(n=f"({first} + n)")
        self.run(f"{numbers} INSERT INTO dbo.{table} {columns} SELECT {chosen} FROM numbers WHERE n < {count}")

    def close(self) -> None:
        for source in self.sources:
            source.close()
        if self.register is not None:
            self.register.close()

    def restart_server(self) -> None:
        """Start the server again after its end; the old connections are dead."""
        self.register = None
        self.database.server.start()

    def drop_tables(self) -> None:
        tables = self.run("SELECT name FROM sys.tables")
        self.run(*(f"DROP TABLE dbo.[{name}]" for (name,) in tables))


def changes(captures: Iterator[Capture], count: int) -> list[Capture]:
    """The next Captures that say more than a position."""
    telling = (capture for capture in captures if capture.rows or capture.ends or capture.resnapshot)
    return list(itertools.islice(telling, count))


def whole(captures: Iterator[Capture]) -> list[Capture]:
    """The next transaction with rows, all parts of it."""
    found: list[Capture] = []
    for capture in captures:
        if capture.rows:
            found.append(capture)
            if capture.last_part:
                return found
    return found


def told(captures: Sequence[Capture]) -> list[tuple[str, str, dict[str, str | None]]]:
    """(op, table, values by column) of every row, in order."""
    return [
        (row.op, layout.table, dict(zip((column.name for column in layout.columns), row.values, strict=True)))
        for capture in captures
        for row in capture.rows
        for layout in [capture.layouts[row.layout]]
    ]


def state_of(captures: Sequence[Capture]) -> dict[tuple[str | None, ...], tuple[str | None, ...]]:
    """What the rows say in the end: (table, *key) → values, without the column that only capture by rowversion needs."""
    found: dict[tuple[str | None, ...], tuple[str | None, ...]] = {}
    for capture in captures:
        for row in capture.rows:
            layout = capture.layouts[row.layout]
            by_name = dict(zip((column.name for column in layout.columns), row.values, strict=True))
            key = (layout.table, *(by_name[name] for name in layout.key))
            found.pop(key, None)
            if row.op != "d":
                found[key] = tuple(value for name, value in by_name.items() if name != "rv")
    return found
