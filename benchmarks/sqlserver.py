"""One poll of Change Tracking: our stream beside a plain pyodbc fetch of the very same rows, and the memory that it takes.

On the tests' stand-in for SQL Server, or on the real one that FLUXION_TEST_SQLSERVER names by an ODBC connection string.
"""

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import pyodbc
import typer

from fluxion.clock import SystemClock
from producers.sources.sqlserver import SQLServerConfig, SQLServerSource
from tests.support import local
from tests.support import sqlserver as sql_servers
from tests.support.tds.run import running

ROUNDS = 3
LEAST_SHARE = 0.5
CHUNK = 500
TABLE = """
CREATE TABLE dbo.ventas (venta_id bigint NOT NULL PRIMARY KEY, folio varchar(30) NOT NULL, fecha datetime2(3) NOT NULL,
  cliente nvarchar(120) NULL, subtotal money NOT NULL, impuesto decimal(18,4) NOT NULL, total money NOT NULL,
  cancelada bit NOT NULL, tipo tinyint NOT NULL)
"""
DIGITS = " UNION ALL ".join(f"SELECT {digit} AS n" for digit in range(10))
FILL = f"""
WITH d AS ({DIGITS}), numbers AS (SELECT a.n + b.n * 10 + c.n * 100 + e.n * 1000 + f.n * 10000 AS n
  FROM d AS a CROSS JOIN d AS b CROSS JOIN d AS c CROSS JOIN d AS e CROSS JOIN d AS f)
INSERT INTO dbo.ventas SELECT n, 'F0001', '2026-01-31T08:05:00.123', N'público en general', 100.5, 16.08, 116.58, 0, 1
FROM numbers WHERE n < {{rows}}
"""  # noqa: S608 -- numbers only
CHANGES = """
SELECT c.SYS_CHANGE_VERSION, c.SYS_CHANGE_OPERATION, c.venta_id, t.* FROM CHANGETABLE(CHANGES dbo.ventas, ?) AS c
LEFT JOIN dbo.ventas AS t ON t.venta_id = c.venta_id
"""


@contextmanager
def any_server() -> Iterator[sql_servers.Server]:
    """The real server, or a stand-in on a stack of its own."""
    real = sql_servers.real_server()
    if real is not None:
        yield real
        return
    with (
        local.running_stack() as services,
        tempfile.TemporaryDirectory() as folder,
        running(sql_servers.superuser(services.postgres), Path(folder), databases=()) as standin,
    ):
        yield standin


def plain(link: pyodbc.Connection, rows: int) -> None:
    """Fetch the rows as any program would."""
    cursor = link.execute(CHANGES, 0)
    found = 0
    while some := cursor.fetchmany(CHUNK):
        found += len(some)
    assert found == rows, found  # noqa: S101 -- a benchmark of something else would be worth nothing


def ours(config: SQLServerConfig, start: str, rows: int) -> None:
    """Take them from the stream, in parts."""
    with closing(SQLServerSource(config, SystemClock())) as source:
        found = 0
        for capture in source.stream(start):
            found += len(capture.rows)
            if found >= rows:
                return


def rate(work: Callable[[], None], rows: int) -> float:
    """Rows per second."""
    began = time.perf_counter()
    work()
    return rows / (time.perf_counter() - began)


def main(rows: Annotated[int, typer.Option(max=100_000)] = 50_000) -> None:
    """Print both rates, round by round, and their best ones' ratio; 1 where ours is less than half of the plain one."""
    with any_server() as server, sql_servers.database(server) as shop:
        shop.run(TABLE, "ALTER TABLE dbo.ventas ENABLE CHANGE_TRACKING")
        config = SQLServerConfig(
            server.host, server.port, server.user, shop.name, frozenset({"ventas"}), server.password
        )
        with closing(SQLServerSource(config, SystemClock())) as source:
            start = next(source.snapshot(None, config.tables, {})).stream_start or ""
        shop.run(FILL.format(rows=rows))
        rates = []
        for _ in range(ROUNDS):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            stream = rate(lambda: ours(config, start, rows), rows)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            with closing(shop.connect()) as link:
                fetch = rate(lambda: plain(link, rows), rows)
            typer.echo(
                f"{rows:,} rows: stream {stream:,.0f}/s, plain fetch {fetch:,.0f}/s, memory grew by {grown:.1f} MB"
            )
            rates.append((stream, fetch))
    share = max(stream for stream, _ in rates) / max(fetch for _, fetch in rates)
    typer.echo(f"the stream reaches {share:.0%} of a plain fetch; wanted: {LEAST_SHARE:.0%}")
    raise typer.Exit(0 if share >= LEAST_SHARE else 1)


if __name__ == "__main__":
    typer.run(main)
