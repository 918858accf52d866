"""The listening socket and the connections behind it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from tests.support.tds.wire.connection import Connection, Welcome
from tests.support.tds.wire.transport import Transport

FIRST_SPID = 51  # SQL Server keeps those up to 50 for itself
THREADS = 256  # one per running statement: sessions may block on one another's locks
CLOSE_S = 5


class Listener:
    """Accepts connections until it is stopped."""

    def __init__(self, welcome: Welcome) -> None:
        self.welcome = welcome
        self.next_spid = FIRST_SPID
        self.connections: dict[asyncio.Task[None], Connection] = {}
        self.server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which the kernel chooses where 0 is asked for."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "tds"))
        self.server = await asyncio.start_server(self._accept, host, port)
        return int(self.server.sockets[0].getsockname()[1])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = Connection(Transport(reader, writer, self.next_spid), self.welcome)
        self.next_spid += 1
        self.connections[task] = connection
        try:
            await connection.run()
        finally:
            del self.connections[task]

    async def stop(self) -> None:
        """Refuse new clients, interrupt running statements, close every socket."""
        if self.server is not None:
            self.server.close()
        tasks = list(self.connections)
        for connection in list(self.connections.values()):
            if connection.session is not None:
                await asyncio.to_thread(connection.session.cancel)
            connection.transport.writer.close()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_S)
