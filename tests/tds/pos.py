"""The tables of a point of sale, written as a vendor's script writes them, and readers that poll their changes."""

import time
from collections.abc import Callable
from typing import Any

import pyodbc

from tests.tds.asking import rows, value

CAPTURED_S = 20  # on a real server the capture job looks every five seconds
LOOK_AGAIN_S = 0.2
TRACKED = ("categorias", "detalle_ventas", "productos", "ventas")
CAPTURED = ("productos", "ventas")
TABLES = """
CREATE TABLE dbo.categorias (
  categoria_id int IDENTITY(1,1) NOT NULL PRIMARY KEY, nombre nvarchar(60) NOT NULL, activa bit NOT NULL DEFAULT 1);
CREATE TABLE [dbo].[productos] (
  [producto_id] [int] IDENTITY(1,1) NOT NULL, [codigo] [varchar](20) NOT NULL, [nombre] [nvarchar](100) NOT NULL,
  [categoria_id] int NULL, [precio] [decimal](18, 4) NOT NULL DEFAULT ((0)), [costo] [money] NULL,
  [activo] [bit] NOT NULL DEFAULT ((1)), [alta] [datetime] NOT NULL DEFAULT (getdate()), [modificado] [datetime2](7) NULL,
  [guid] [uniqueidentifier] NOT NULL DEFAULT (newid()), [notas] [nvarchar](max) NULL, [foto] [varbinary](max) NULL,
  [rv] [rowversion] NOT NULL,
  CONSTRAINT [PK_productos] PRIMARY KEY CLUSTERED ([producto_id] ASC),
  CONSTRAINT [FK_productos_categorias] FOREIGN KEY ([categoria_id]) REFERENCES [dbo].[categorias] ([categoria_id])
) ON [PRIMARY];
CREATE UNIQUE NONCLUSTERED INDEX IX_productos_codigo ON dbo.productos (codigo);
CREATE TABLE dbo.ventas (
  venta_id bigint NOT NULL PRIMARY KEY, folio varchar(30) NOT NULL, fecha datetime2(3) NOT NULL, cliente nvarchar(120) NULL,
  subtotal money NOT NULL, impuesto decimal(18,4) NOT NULL, total money NOT NULL, cancelada bit NOT NULL DEFAULT 0,
  tipo tinyint NOT NULL DEFAULT 1);
CREATE TABLE dbo.detalle_ventas (
  venta_id bigint NOT NULL, renglon smallint NOT NULL, producto_id int NOT NULL, cantidad decimal(18,4) NOT NULL,
  precio decimal(18,4) NOT NULL, CONSTRAINT PK_detalle PRIMARY KEY (venta_id, renglon));
CREATE TABLE dbo.bitacora (texto nvarchar(200) NULL)
"""


def prepare(link: pyodbc.Connection) -> None:
    """Make the tables, all tracked but bitacora, two of them captured as well."""
    link.execute(TABLES)
    link.execute("EXEC sys.sp_cdc_enable_db")
    for table in TRACKED:
        link.execute(f"ALTER TABLE dbo.{table} ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = OFF)")
    for table in CAPTURED:
        link.execute(
            f"EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'{table}', @role_name = NULL, "
            "@supports_net_changes = 0"
        )


def sell(link: pyodbc.Connection, sale: int, folio: str = "F") -> None:
    link.execute(
        "INSERT INTO dbo.ventas (venta_id, folio, fecha, subtotal, impuesto, total) "
        "VALUES (?, ?, SYSDATETIME(), 100, 16, 116)",
        sale,
        folio,
    )


class ExpiredError(Exception):
    """The position that a reader kept is older than what the server still has."""


class Tracking:
    """Polls one table by change tracking: one snapshot transaction, versions, net changes joined to the table."""

    def __init__(
        self,
        link: pyodbc.Connection,
        table: str = "ventas",
        keys: tuple[str, ...] = ("venta_id",),
        columns: tuple[str, ...] = ("folio",),
        since: int | None = None,
    ) -> None:
        self.link = link
        self.table = f"dbo.{table}"
        self.keys = keys
        self.columns = columns
        self.since = value(link, "SELECT CHANGE_TRACKING_CURRENT_VERSION()") if since is None else since

    def poll(self, between: Callable[[], None] = lambda: None) -> list[tuple[Any, ...]]:
        """Return operation, keys and columns in the order of versions; `between` runs after the snapshot began."""
        self.link.execute("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
        self.link.execute("BEGIN TRAN")
        try:
            return self._changes(between)
        finally:
            self.link.execute("COMMIT TRAN")
            self.link.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def _changes(self, between: Callable[[], None]) -> list[tuple[Any, ...]]:
        lowest = f"CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID(N'{self.table}'))"
        current, low = rows(self.link, f"SELECT CHANGE_TRACKING_CURRENT_VERSION(), {lowest}")[0]
        if not low <= self.since <= current:
            raise ExpiredError(f"version {self.since} is outside {low}..{current}")
        between()
        keys = ", ".join(f"ct.{key}" for key in self.keys)
        columns = ", ".join(f"t.{name}" for name in self.columns)
        on = " AND ".join(f"t.{key} = ct.{key}" for key in self.keys)
        found = rows(
            self.link,
            f"SELECT ct.SYS_CHANGE_OPERATION, {keys}, {columns} FROM CHANGETABLE(CHANGES {self.table}, ?) AS ct "
            f"LEFT OUTER JOIN {self.table} AS t ON {on} ORDER BY ct.SYS_CHANGE_VERSION, {keys}",
            self.since,
        )
        self.since = current
        return found


class Capturing:
    """Polls one capture instance by CDC, from an LSN that it keeps to the newest."""

    def __init__(
        self,
        link: pyodbc.Connection,
        instance: str = "dbo_ventas",
        columns: str = "venta_id, folio",
        saved: bytes | None = None,
    ) -> None:
        self.link = link
        self.instance = instance
        self.columns = columns
        self.saved = self.newest() if saved is None else saved

    @classmethod
    def from_start(cls, link: pyodbc.Connection, instance: str, columns: str) -> "Capturing":
        """A reader of all that the instance has."""
        return cls(link, instance, columns, saved=b"")

    def newest(self) -> bytes:
        """The newest LSN, empty where there is none."""
        return bytes(value(self.link, "SELECT sys.fn_cdc_get_max_lsn()") or b"")

    def lowest(self) -> bytes:
        return bytes(value(self.link, "SELECT sys.fn_cdc_get_min_lsn(?)", self.instance))

    def poll(self) -> list[tuple[Any, ...]]:
        """Return LSN, sequence value, operation and columns of what has been captured since the last poll."""
        upper, lowest = self.newest(), self.lowest()
        if upper <= self.saved:
            return []
        start = lowest if not self.saved else self._after(self.saved)
        if start < lowest:
            raise ExpiredError("what follows the saved LSN has been cleaned up")
        if start > upper:
            return []
        found = rows(
            self.link,
            f"SELECT __$start_lsn, __$seqval, __$operation, {self.columns} "
            f"FROM cdc.fn_cdc_get_all_changes_{self.instance}(?, ?, N'all update old') "
            "ORDER BY __$start_lsn, __$seqval, __$operation",
            pyodbc.Binary(start),
            pyodbc.Binary(upper),
        )
        self.saved = upper
        return found

    def wait_for(self, count: int) -> list[tuple[Any, ...]]:
        """Poll until so many changes have been captured, or for some seconds; returns them as `poll` does."""
        found = self.poll()
        until = time.monotonic() + CAPTURED_S
        while len(found) < count and time.monotonic() < until:
            time.sleep(LOOK_AGAIN_S)
            found += self.poll()
        return found

    def changes(self, count: int) -> list[tuple[Any, ...]]:
        """Wait for so many; operation and columns only."""
        return [row[2:] for row in self.wait_for(count)]

    def _after(self, lsn: bytes) -> bytes:
        return bytes(value(self.link, "SELECT sys.fn_cdc_increment_lsn(?)", pyodbc.Binary(lsn)))
