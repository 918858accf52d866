"""A point of sale on SQL Server that is captured by rowversion."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from producers.source import Capture
from producers.sources.sqlserver import SQLServerSource, rowversion
from tests.producers.sql_shop import SqlShop, changes, told

UNTIL_COMPARED = {"compare_s": 0.2}
NEVER = {"compare_s": 3600}


@dataclass
class Versioned:
    """A shop whose tables have a rowversion, and the file that the sources of one agent share."""

    shop: SqlShop
    scratch: Path

    def create(self, *definitions: str) -> None:
        self.shop.run(
            *(f"CREATE TABLE dbo.{definition.removesuffix(')')}, rv rowversion)" for definition in definitions)
        )

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        return self.shop.run(*statements)

    def source(self, *tables: str, **more: Any) -> SQLServerSource:
        said = {"method": "rowversion", "scratch": self.scratch, **UNTIL_COMPARED, **more}
        return self.shop.source(*(tables or ("items",)), **said)

    def now(self, *tables: str) -> str:
        read = list(self.source(*tables).snapshot(None, frozenset(tables or ("items",)), {}))
        assert read[-1].stream_start is not None
        return read[-1].stream_start

    def stream(self, after: str, *tables: str, **more: Any) -> Iterator[Capture]:
        return self.source(*tables, **more).stream(after)

    def again(self, *tables: str) -> list[Capture]:
        return list(self.source(*tables).resnapshot(None, frozenset(tables or ("items",)), {}))

    def stop(self) -> None:
        """End the sources, and so their use of the file; with them goes its log."""
        while self.shop.sources:
            self.shop.sources.pop().close()
        gc.collect()
        assert not Path(f"{self.scratch}-wal").exists()


def with_items(shop: SqlShop, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Versioned:
    """A table with two rows, whose scans need no rest."""
    monkeypatch.setattr(rowversion, "REST_POLLS", 0)
    monkeypatch.setattr(rowversion, "REST_COMPARISONS", 0)
    found = Versioned(shop, scratch)
    found.create("items (id int primary key, name nvarchar(20))")
    found.run("INSERT INTO items (id, name) VALUES (1, N'uno'), (2, N'dos')")
    return found


def rows(*captures: Capture) -> list[tuple[str, str | None]]:
    """(op, id) of every row."""
    return [(op, values["id"]) for op, _, values in told(captures)]


def behind(captures: Iterator[Capture]) -> list[tuple[str, str | None]]:
    """The rows of the next transaction."""
    return rows(*changes(captures, 1))
