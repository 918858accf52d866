"""PostgreSQL for the event loop: one connection in a thread of its own. Enough for what is asked seldom and kept a while."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from psycopg import Connection

from fluxion.errors import DependencyDownError
from fluxion.postgres import STAGE, connect, translated

Link = Connection[tuple[Any, ...]]
T = TypeVar("T")

NAME = "fluxion http"  # in pg_stat_activity
STATEMENT_MS = 3000
WAIT_S = 6.0


class Database:
    """Works for all tenants, as `fluxion_stage`: whose a token is, is known only once it was looked up."""

    def __init__(self, dsn: str, wait_s: float = WAIT_S) -> None:
        self._dsn = dsn
        self._wait_s = wait_s
        self._thread = ThreadPoolExecutor(1, "http-postgres")
        self._link: Link | None = None

    async def run(self, work: Callable[[Link], T]) -> T:
        """Do `work` in one transaction. A connection that broke is opened again, once. Raises what `connect` raises."""
        asked = asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)
        try:
            async with asyncio.timeout(self._wait_s):
                return await asked
        except TimeoutError:
            raise DependencyDownError("PostgreSQL does not answer in time", "check that it runs") from None

    async def close(self) -> None:
        """End the thread and the connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
        self._thread.shutdown(wait=False)

    def _run(self, work: Callable[[Link], T]) -> T:
        known = self._link
        try:
            return self._try(work)
        except DependencyDownError:
            broken = known is not None and known.closed
            self._drop()
            if not broken:  # it is away, or slow: whoever asks again later may find it better
                raise
        return self._try(work)

    def _try(self, work: Callable[[Link], T]) -> T:
        if self._link is None:
            self._link = connect(self._dsn, STAGE)
            with translated("PostgreSQL"), self._link.transaction():
                for name, value in (("statement_timeout", str(STATEMENT_MS)), ("application_name", NAME)):
                    self._link.execute("select set_config(%s, %s, false)", [name, value])
        with translated("PostgreSQL"), self._link.transaction():
            return work(self._link)

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()
