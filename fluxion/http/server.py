"""Answer a table of routes over HTTP. TLS ends in front of it: `docs/http.md`."""

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from fluxion.clock import Clock
from fluxion.errors import ConfigurationError
from fluxion.http.access import KEEP_S, Access
from fluxion.http.body import GRACE_S, Room
from fluxion.http.connection import Connection, Count, Full
from fluxion.http.database import Database
from fluxion.http.limits import Limit, Network, Policy
from fluxion.http.middleware import Front
from fluxion.http.routes import KIB, Route, check_table
from fluxion.log import get_logger

BY_ADDRESS = Policy("address", 1200, 60)
BY_TOKEN = Policy("token", 600, 60)


@dataclass(frozen=True)
class Serving:
    """How a server treats its clients. Times in seconds.

    proxies: networks of the proxies in front, whose `X-Forwarded-For` is believed. headers_s: from a request's first byte
    until its headers are whole. body_s: before a body must come faster than 4 KiB a second. idle_s: longer than a proxy
    keeps an idle connection, or it sends into one that we just closed. bodies: bytes that the bodies of all requests in work
    may take together, packed and unpacked. keep_token_s: until a revoked token is dead.
    """

    proxies: tuple[Network, ...] = ()
    by_address: Policy = BY_ADDRESS
    by_token: Policy = BY_TOKEN
    headers_s: float = 10.0
    body_s: float = GRACE_S
    idle_s: float = 90.0
    stop_s: float = 10.0
    most_connections: int = 2000
    bodies: int = 256 * KIB * KIB
    keep_token_s: float = KEEP_S


def networks(text: str) -> tuple[Network, ...]:
    """Read a list of networks, comma-separated; ConfigurationError names the one that is none."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as fault:
        message = f"the list of proxies is not valid ({fault})"
        raise ConfigurationError(message, "write networks like 10.0.0.0/8, comma-separated") from None


class HttpServer:
    """A table of routes behind the checks that `fluxion.http.routes` promises."""

    def __init__(self, table: Sequence[Route], dsn: str, clock: Clock, serving: Serving) -> None:
        check_table(table)
        self._serving = serving
        self._database = Database(dsn)
        self._count = Count()
        front = Front(
            database=self._database,
            access=Access(self._database, clock, serving.keep_token_s),
            by_address=Limit(serving.by_address, clock),
            by_token=Limit(serving.by_token, clock),
            proxies=serving.proxies,
            grace_s=serving.body_s,
            room=Room(serving.bodies),
        )
        app = web.Application(middlewares=[front.middleware])
        for route in table:
            app.router.add_route(route.method, route.path, front.serving(route))
        self._runner = web.AppRunner(app, shutdown_timeout=serving.stop_s)

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port (0 takes any that is free). ConfigurationError where it cannot be had."""
        await self._runner.setup()
        site = _Site(self._runner, self._connect, host, port)
        try:
            await site.start()
        except OSError as fault:
            await self.stop()
            message = f"the port {port} cannot be had on {host} ({fault.strerror or fault})"
            raise ConfigurationError(message, "choose another port, or 0 for any that is free") from None
        get_logger().info("http", address=f"http://{host}:{site.port}")
        return site.port

    async def stop(self) -> None:
        """Take no new connection, let what is in work finish within `stop_s`, then close."""
        await self._runner.cleanup()
        await self._database.close()

    def _connect(self) -> asyncio.BaseProtocol:
        if self._count.open >= self._serving.most_connections:
            return Full()
        server = self._runner.server
        assert server is not None  # noqa: S101 -- set up before anything listens
        return Connection(server, self._count, self._serving.headers_s, self._serving.idle_s)


class _Site(web.BaseSite):
    """aiohttp's TCPSite, with connections of ours."""

    __slots__ = ("_connect", "_host", "_port", "port")

    def __init__(
        self, runner: web.AppRunner, connect: Callable[[], asyncio.BaseProtocol], host: str, port: int
    ) -> None:
        super().__init__(runner)
        self._connect = connect
        self._host = host
        self._port = port
        self.port = 0

    @property
    def name(self) -> str:
        return f"http://{self._host}:{self.port}"

    async def start(self) -> None:
        await super().start()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._connect, self._host, self._port, reuse_address=True)
        self._server = server
        self.port = int(server.sockets[0].getsockname()[1])
