"""The HTTP page of a process: `/metrics`, `/healthz` (is there progress?) and `/readyz` (do its dependencies answer?)."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any, TypeAlias

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from fluxion import metrics
from fluxion.clock import Clock, instant
from fluxion.errors import ConfigurationError, FluxionError
from fluxion.log import get_logger
from fluxion.progress import Standing, Watchdog

REQUEST_TIMEOUT_S = 10
# Whoever asks often must not be a burden for the dependencies.
ASK_AGAIN_S = 2.0

# Asks a dependency for a sign of life, within seconds; raises FluxionError.
Probe: TypeAlias = Callable[[], object]
_Answer: TypeAlias = tuple[HTTPStatus, str, bytes]


class Health:
    """What a process answers. `probes`: a dependency's name → what asks it."""

    def __init__(self, process: str, watchdog: Watchdog, probes: Mapping[str, Probe], clock: Clock) -> None:
        self._process = process
        self._watchdog = watchdog
        self._probes = probes
        self._clock = clock
        self._began = clock.micros()
        self._lock = threading.Lock()
        self._asked = clock.monotonic() - ASK_AGAIN_S
        self._said: dict[str, Any] = {}
        metrics.PROCESS.labels(process, version("fluxion-pos-cdc")).set(1)

    def answer(self, path: str) -> _Answer:
        """Return status, content type and body for a path."""
        match path:
            case "/metrics":
                return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest()
            case "/healthz":
                standings = self._watchdog.standings()
                good = not any(standing.stalled for standing in standings)
                return self._json(good, {"work": {standing.name: _told(standing) for standing in standings}})
            case "/readyz":
                answers = self._ask()
                return self._json(all(one["answers"] for one in answers.values()), {"dependencies": answers})
        return HTTPStatus.NOT_FOUND, "text/plain", b"/metrics, /healthz, /readyz\n"

    def _json(self, good: bool, more: dict[str, Any]) -> _Answer:  # noqa: FBT001 -- its own, and plain at the call
        status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
        said = {"process": self._process, "ok": good, "began": instant(self._began).isoformat(), **more}
        return status, "application/json", json.dumps(said, indent=1).encode() + b"\n"

    def _ask(self) -> dict[str, dict[str, Any]]:
        with self._lock:
            if self._clock.monotonic() - self._asked >= ASK_AGAIN_S:
                self._said = {name: _asked(probe) for name, probe in self._probes.items()}
                self._asked = self._clock.monotonic()
            return self._said


def _told(standing: Standing) -> dict[str, Any]:
    wait = standing.wait
    return {
        "hangs": standing.stalled,
        "since": instant(standing.since).isoformat(timespec="seconds"),
        "seconds": round(standing.still_s, 1),
        "waits_for": {"dependency": wait.dependency, "reason": wait.reason} if wait else None,
    }


def _asked(probe: Probe) -> dict[str, Any]:
    try:
        probe()
    except FluxionError as fault:
        return {"answers": False, "reason": fault.message, "mend": fault.mend}
    return {"answers": True}


@dataclass(frozen=True)
class Address:
    """Where the page is; no port: nowhere. Port 0 takes any that is free, and the log says which."""

    host: str
    port: int | None


def serve(health: Health, address: Address) -> int | None:
    """Answer from threads of their own until the process ends; return the port. Raises ConfigurationError if it is taken."""
    if address.port is None:
        return None
    handler = type("Page", (_Page,), {"health": health})
    try:
        server = _Server((address.host, address.port), handler)
    except OSError as fault:
        message = f"the port {address.port} for metrics cannot be had on {address.host} ({fault.strerror or fault})"
        raise ConfigurationError(message, "choose another --metrics-port, or 0 for any that is free") from None
    port = int(server.server_address[1])
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    get_logger().info("metrics and health", address=f"http://{address.host}:{port}")
    return port


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that went away."""


class _Page(BaseHTTPRequestHandler):
    health: Health
    timeout = REQUEST_TIMEOUT_S

    def do_GET(self) -> None:
        status, content_type, body = self.health.answer(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a scraper comes every few seconds."""
