"""The line between store and cloud, as a TCP proxy that can be cut."""

import asyncio
import contextlib
import threading


class Line:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target`. While it is cut, connections die and new ones are refused at once."""

    def __init__(self, port: int, target: int) -> None:
        self.is_cut = False
        self._port, self._target = port, target
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="line", daemon=True)

    def open(self) -> None:
        """Listen; raises OSError where the port is taken."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def cut(self) -> None:
        """Cut the line: what is in flight is lost."""
        self.is_cut = True
        self._loop.call_soon_threadsafe(self._drop)

    def mend(self) -> None:
        """Let connections through again."""
        self.is_cut = False

    def close(self) -> None:
        """Stop listening."""
        self._loop.call_soon_threadsafe(self._drop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self._port))
        except OSError as fault:
            self._failure = fault
            return
        finally:
            self._ready.set()
        self._loop.run_forever()
        server.close()
        # The connections were dropped by close(); let their tasks see it and end by themselves.
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=2)

    def _drop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._writers -= ends


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.CancelledError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
