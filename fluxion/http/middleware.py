"""What stands in front of every handler, in the order that `fluxion.http.routes` promises: ids, limits, tokens, answers, logs.

A log line says the route's name, never the path: a path, a query and an unknown method may hold somebody's secret.
"""

import re
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, get_args
from uuid import uuid4

from aiohttp import web
from pydantic import BaseModel
from structlog.contextvars import bound_contextvars

from fluxion.errors import FluxionError
from fluxion.http import limits, problem
from fluxion.http.access import Access
from fluxion.http.audit import Deed, note
from fluxion.http.body import Room
from fluxion.http.database import Database
from fluxion.http.limits import Limit, Network, Standing
from fluxion.http.problem import ForbiddenError, MethodNotAllowedError, NotFoundError, UnauthorizedError
from fluxion.http.reading import JSON, body_of, parameters_of
from fluxion.http.routes import Answer, Call, Media, Method, Route
from fluxion.http.tokens import PATTERN, Caller, censored
from fluxion.log import get_logger

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "fluxion",  # aiohttp's own names its version
}
HSTS = "max-age=31536000"
_ID = re.compile(r"[A-Za-z0-9._:-]{8,64}")
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_METHODS = {*get_args(Method), "HEAD", "OPTIONS"}


@dataclass
class Visit:
    """What is known of a request so far."""

    id: str
    address: str
    route: Route | None = None
    caller: Caller | None = None
    standings: list[Standing] = field(default_factory=list)
    subject: str = ""
    code: str = ""


VISIT = web.RequestKey("visit", Visit)


@dataclass(frozen=True)
class Front:
    """The checks and their order. proxies: whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."""

    database: Database
    access: Access
    by_address: Limit
    by_token: Limit
    proxies: tuple[Network, ...]
    grace_s: float
    room: Room

    @property
    def middleware(self) -> Callable[..., Awaitable[web.StreamResponse]]:
        """For `web.Application`: turns whatever happens into an answer and one line in the log."""

        @web.middleware
        async def answered(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            began = time.monotonic()
            visit = request[VISIT] = self._visit(request)
            with _named(visit):
                try:
                    self._admit_address(visit)
                    response = await handler(request)
                except ConnectionError:  # the client went away
                    raise
                except Exception as fault:  # noqa: BLE001 -- everything becomes a problem, once, here
                    response = _told(_ours(fault), visit)
                await self._audit(visit, response.status)
                self._dress(request, response, visit)
                _log(request, response, visit, began)
            return response

        return answered

    def serving(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return what the router calls for a route: (3) to (6) of the promise, then its handler."""

        async def serve(request: web.Request) -> web.StreamResponse:
            visit = request[VISIT]
            visit.route = route
            if route.scope is not None:
                visit.caller = await self._admit_token(request, visit, route.scope)
            parameters = parameters_of(request, route)
            with self.room.share() as share:
                raw, body = await body_of(request, route, self.grace_s, share)
                call = Call(visit.id, visit.address, visit.caller, parameters, body, raw, request.headers)
                said = await route.handler(call)
            answer = said if isinstance(said, Answer) else Answer(said)
            visit.subject = answer.subject
            return _response(answer, route)

        return serve

    def _visit(self, request: web.Request) -> Visit:
        said = request.headers.get("X-Request-Id", "")
        good = _ID.fullmatch(said) and not PATTERN.search(said)
        forwarded = request.headers.getall("X-Forwarded-For", [])
        return Visit(
            said if good else str(uuid4()), limits.client_address(request.remote or "", forwarded, self.proxies)
        )

    def _admit_address(self, visit: Visit) -> None:
        standing = self.by_address.take(limits.key_of(visit.address))
        visit.standings = [standing]
        limits.demand(standing)

    async def _admit_token(self, request: web.Request, visit: Visit, scope: str) -> Caller:
        given = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        if given is None:
            raise UnauthorizedError("there is no token", "send Authorization: Bearer TOKEN")
        caller = visit.caller = await self.access.caller(given[1])
        standing = self.by_token.take(caller.token_id)
        visit.standings = [standing, *visit.standings]
        limits.demand(standing)
        if scope not in caller.scopes:
            raise ForbiddenError(f"the token lacks the scope {scope}", f"ask for a token with the scope {scope}")
        return caller

    def _dress(self, request: web.Request, response: web.StreamResponse, visit: Visit) -> None:
        for name, value in {**SECURITY_HEADERS, **limits.headers(visit.standings)}.items():
            response.headers.setdefault(name, value)
        response.headers["X-Request-Id"] = visit.id
        if request.secure or self._was_tls(request):  # RFC 6797: never over a line that is not encrypted
            response.headers["Strict-Transport-Security"] = HSTS

    def _was_tls(self, request: web.Request) -> bool:
        by_proxy = limits.is_within(request.remote or "", self.proxies)
        return by_proxy and request.headers.get("X-Forwarded-Proto", "").lower() == "https"

    async def _audit(self, visit: Visit, status: int) -> None:
        if visit.caller is None or visit.route is None or not visit.route.audit:
            return
        detail = {"request_id": visit.id, "address": visit.address, "status": status, "token": visit.caller.token_id}
        actor = f"token:{visit.caller.name}"
        deed = Deed(visit.caller.tenant_id, actor, visit.route.audit, visit.subject or None, detail)
        try:
            await self.database.run(lambda link: note(link, deed))
        except FluxionError as fault:  # it was done already: then at least the log has it
            get_logger().error("not in the audit log", deed=deed, code=fault.code, why=censored(fault.message))


def _named(visit: Visit) -> AbstractContextManager[None]:
    return bound_contextvars(request_id=visit.id)


def _ours(fault: Exception) -> Exception:
    """Return our error for what aiohttp's router raises."""
    if isinstance(fault, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(fault.allowed_methods))
        return MethodNotAllowedError("this path has no such method", f"use {allowed}", {"Allow": allowed})
    if isinstance(fault, web.HTTPNotFound):
        return NotFoundError("there is no such path", "look at /openapi.json")
    return fault


def _told(fault: Exception, visit: Visit) -> web.Response:
    errors = visit.route.errors if visit.route else {}
    said = problem.problem(fault, visit.id, errors)
    visit.code = said.code
    if said.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log_fault(fault)
    return web.Response(
        body=said.model_dump_json(exclude_defaults=True).encode(),
        status=said.status,
        content_type=problem.CONTENT_TYPE,
        headers=problem.headers_of(fault, said.status),
    )


def _log_fault(fault: Exception) -> None:
    """Say where it happened. An unexpected error's own text may repeat what was sent: only its type is written down."""
    if isinstance(fault, FluxionError):
        get_logger().warning("refused by us", code=fault.code, why=censored(str(fault)))
        return
    kinds = " from ".join(type(one).__name__ for one in _causes(fault))
    get_logger().error("unexpected error", error=kinds, where="".join(traceback.format_tb(fault.__traceback__)))


def _causes(fault: BaseException | None) -> list[BaseException]:
    return [] if fault is None else [fault, *_causes(fault.__cause__)]


def _response(answer: Answer, route: Route) -> web.Response:
    status = answer.status or int(route.status)
    if isinstance(answer.body, BaseModel):
        body = answer.body.model_dump_json().encode()
        return web.Response(body=body, status=status, content_type=JSON, headers=answer.headers)
    if answer.body is None:
        return web.Response(status=status, headers=answer.headers)
    kind = route.response.types[0] if isinstance(route.response, Media) else "application/octet-stream"
    return web.Response(body=answer.body, status=status, headers={"Content-Type": kind, **answer.headers})


def _log(request: web.Request, response: web.StreamResponse, visit: Visit, began: float) -> None:
    said: dict[str, Any] = {
        "route": visit.route.name if visit.route else "-",
        "method": request.method if request.method in _METHODS else "other",
        "status": response.status,
        "ms": round((time.monotonic() - began) * 1000, 1),
        "address": visit.address,
    }
    if visit.caller is not None:
        said |= {"tenant": visit.caller.tenant_id, "token": visit.caller.token_id}
    if visit.code:
        said["code"] = visit.code
    get_logger().info("request", **said)
