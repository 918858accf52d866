"""A client's connection: closed when it dawdles over its headers, and silent about what could not be read as HTTP."""

import asyncio
import logging
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from aiohttp.http import RawRequestMessage

from fluxion.http.middleware import SECURITY_HEADERS
from fluxion.http.problem import CONTENT_TYPE, BadRequestError, problem
from fluxion.log import get_logger

FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
# For aiohttp's own access log, which would say every path: ours is in fluxion.http.middleware.
_SILENT = logging.getLogger("fluxion.http.silent")
_SILENT.setLevel(logging.CRITICAL)


@dataclass
class Count:
    """Connections that are open, from the moment at which they are accepted."""

    open: int = 0


class Connection(web.RequestHandler):
    """aiohttp's, with a time for the headers: a request that has begun has `headers_s` seconds until it is whole."""

    __slots__ = ("_count", "_headers_s", "_timer")

    def __init__(self, server: web.Server, count: Count, headers_s: float, idle_s: float) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=idle_s,
            access_log=_SILENT,
            auto_decompress=False,  # fluxion.http.body does it, bounded
            lingering_time=2.0,  # for what is still sent after a refusal
        )
        self._count = count
        count.open += 1
        self._headers_s = headers_s
        self._timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it no more."""
        self._count.open -= 1
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start the time when a request begins, and stop it when its headers are whole."""
        super().data_received(data)
        request = self._current_request
        no_http = self._messages and not isinstance(self._messages[-1][0], RawRequestMessage)
        if request and no_http and not request.content.is_eof():
            # It should have been the rest of this request's body, and nobody else says so to whoever reads that.
            request.content.set_exception(web.RequestPayloadError("no chunk"))
        if not self._reads_headers():
            self._stop_timer()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._headers_s, self._too_slow)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 -- it repeats what was sent
    ) -> web.StreamResponse:
        """Answer what is no HTTP. aiohttp's own puts the line at fault, with whatever secret is in it, into answer and log."""
        get_logger().info("no HTTP", status=status, error=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        fault = Exception() if ours else BadRequestError("this is no HTTP request", "mend the sender")
        said = problem(fault, "-", {})
        response = web.Response(
            body=said.model_dump_json(exclude_defaults=True).encode(),
            status=said.status,
            content_type=CONTENT_TYPE,
            headers=SECURITY_HEADERS,
        )
        response.force_close()
        return response

    def log_exception(self, *args: object, **more: object) -> None:
        """Say that something went wrong below the routes, and what type it was."""
        get_logger().error("http connection", what=str(args[0]), error=type(more.get("exc_info")).__name__)

    def _reads_headers(self) -> bool:
        return not self._messages and self._current_request is None

    def _too_slow(self) -> None:
        self._timer = None
        if self._reads_headers():
            self.force_close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Full(asyncio.Protocol):
    """Turns a connection away that would be one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer, whatever it wanted."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 -- what create_server makes
        transport.write(FULL)
        transport.close()
