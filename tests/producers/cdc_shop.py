"""A point of sale on SQL Server whose tables are captured by Change Data Capture."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pyodbc
import pytest

from producers.source import Capture
from tests.producers.sql_shop import SqlShop
from tests.support.tds.run import Standin

ITEMS = "items (id int primary key, name nvarchar(20), price decimal(18,4))"
LINES = "lines (sale int, line int, qty decimal(10,3), primary key (sale, line))"
DISABLE = "EXEC sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N'items', @capture_instance = N'{}'"


@dataclass
class CdcShop:
    """A shop whose tables have capture instances."""

    shop: SqlShop

    def create(self, *definitions: str) -> None:
        self.shop.run(*(f"CREATE TABLE dbo.{definition}" for definition in definitions))
        self.shop.capture(*(definition.split(maxsplit=1)[0] for definition in definitions))

    def now(self, *tables: str) -> str:
        start = list(self.shop.source(*tables, method="cdc").snapshot(None, frozenset(tables), {}))[-1].stream_start
        assert start is not None
        return start

    def stream(self, after: str, *tables: str) -> Iterator[Capture]:
        return self.shop.source(*tables, method="cdc").stream(after)

    def as_one(self, *statements: str) -> None:
        """Run statements in one transaction."""
        with closing(self.shop.link()) as link:
            link.execute("BEGIN TRANSACTION; " + "; ".join(statements) + "; COMMIT")

    def log_updates(self, *, own_seqval: bool, key_as_update: bool) -> None:
        """Have the server log an update in another way (only the stand-in can)."""
        if not isinstance(self.shop.database.server, Standin):
            pytest.skip("a real SQL Server logs updates as it does")
        arguments = f"@own_seqval = {int(own_seqval)}, @key_as_update = {int(key_as_update)}"
        self.shop.run(f"EXEC standin.log_updates {arguments}")

    def run(self, *statements: str) -> None:
        self.shop.run(*statements)

    def clean_up(self) -> None:
        """Forget what the instance of items keeps, but for its last transaction."""
        newest = self.shop.run("SELECT sys.fn_cdc_get_max_lsn()")[0][0]
        clean = "EXEC sys.sp_cdc_cleanup_change_table @capture_instance = N'fluxion_dbo_items', @low_water_mark = ?, @threshold = 5000"
        with closing(self.shop.link()) as link:
            link.execute(clean, pyodbc.Binary(newest))
