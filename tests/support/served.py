"""A table of routes served by the real server on loopback, in a thread of its own, and a client without manners."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fluxion.clock import Clock, SystemClock
from fluxion.http.routes import Route
from fluxion.http.server import HttpServer, Serving

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    port: int
    server: HttpServer

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Reply:
        """One request on a connection of its own."""
        said = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        if body is not None:
            said.setdefault("Content-Type", "application/json")
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            link.request(method, path, body, said)
            answer = link.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            link.close()

    @contextmanager
    def line(self) -> Iterator[socket.socket]:
        """A connection over which a test says what it likes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as line:
            yield line


def everything(line: socket.socket) -> bytes:
    """Read until the server closes."""
    heard = b""
    while chunk := line.recv(65536):
        heard += chunk
    return heard


@contextmanager
def served(
    table: Sequence[Route], dsn: str = NOWHERE, serving: Serving | None = None, clock: Clock | None = None
) -> Iterator[Served]:
    """Serve a table for the block."""
    server = HttpServer(table, dsn, clock or SystemClock(), serving or Serving())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(server.start("127.0.0.1", 0), loop).result(20)
        try:
            yield Served(port, server)
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
