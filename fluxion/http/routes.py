"""The table of routes: the contract between whoever answers HTTP and what stands in front of it. Read this first.

A process writes a list of `Route` and gives it to `fluxion.http.server`; the same list feeds aiohttp's router, the OpenAPI
document and the page that shows it. What a route can rely on, in this order, before its handler is called:

(1) the address is within its limit; (2) the path and the method exist; (3) the token is known, not expired, not revoked, and
has the scope; (4) the token is within its limit; (5) the body is whole, decompressed, not over `max_body`, its JSON not too
deep; (6) body and parameters are instances of the route's pydantic models.

Whatever a handler raises becomes a problem (RFC 9457, `fluxion.http.problem`): it raises FluxionErrors and nothing else on
purpose. A handler runs in the event loop: what blocks (PostgreSQL, Kafka's flush) goes through `asyncio.to_thread`.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from fluxion.errors import FluxionError
from fluxion.http.tokens import Caller, Scope

KIB = 1024
MAX_BODY = 1024 * KIB

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True)
class Media:
    """A body that no model describes: bytes of one of these media types, such as Avro, XML, or JSON that is signed."""

    types: tuple[str, ...]
    about: str = ""


@dataclass(frozen=True)
class Call:
    """One request, after all checks. Nothing in its repr is secret.

    id: the request's id, also in every log line and in the answer. caller: whose token; None only where `Route.scope` is
    None. parameters: an instance of `Route.parameters`. body: an instance of `Route.request`, bytes for a Media, else None.
    raw: the body's bytes after decompression, over which a signature is computed. headers: names in any case.
    """

    id: str
    address: str
    caller: Caller | None
    parameters: Any = field(repr=False, default=None)
    body: Any = field(repr=False, default=None)
    raw: bytes = field(repr=False, default=b"")
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)

    @property
    def known(self) -> Caller:
        """The caller, on a route that has a scope."""
        assert self.caller is not None  # noqa: S101 -- a route without a scope that asks for its caller is a mistake of ours
        return self.caller


@dataclass(frozen=True)
class Answer:
    """What a handler returns where status, headers or bytes differ from the plain model.

    body: a model, bytes of `Route.response`'s media type, or None for an empty answer. status: None is `Route.status`.
    subject: what was acted on, for the audit log (a system's id); no secret.
    """

    body: BaseModel | bytes | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    subject: str = ""


Handler: TypeAlias = Callable[[Call], Awaitable[Answer | BaseModel | None]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """One operation.

    method, path: as in OpenAPI, `/webhook/{system_id}`. name: unique, `receive_webhook`; the operation's id, and what logs
    and metrics say instead of the path. summary: one line for the docs page; about: more, Markdown.
    scope: what the token must allow; None: no token is asked (a page, or a handler that checks a signature over `Call.raw`).
    parameters: one model for path and query; fields that stand in the path's braces come from it, the rest from the query.
    request: a model (JSON), a Media (bytes), or None: no body is read. response: the same for the answer. status: of success.
    errors: the FluxionErrors that a client meets here and their status; only these show their message beyond the ones that
    `fluxion.http.problem` shows always, so that no error of ours tells a stranger about our insides.
    max_body: bytes, after decompression. audit: the action's name in the audit log, for a route with a scope; empty: not written there.
    """

    method: Method
    path: str
    name: str
    summary: str
    handler: Handler
    scope: Scope | None
    request: type[BaseModel] | Media | None = None
    response: type[BaseModel] | Media | None = None
    parameters: type[BaseModel] | None = None
    status: int = HTTPStatus.OK
    errors: Mapping[type[FluxionError], int] = field(default_factory=dict)
    max_body: int = MAX_BODY
    audit: str = ""
    about: str = ""
    tag: str = ""

    def path_names(self) -> tuple[str, ...]:
        """The names in the path's braces, in order."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))


def check_table(table: Sequence[Route]) -> None:
    """Raise ValueError where a table contradicts itself: our mistake, found when the process starts and by its tests."""
    seen: set[tuple[str, str]] = set()
    names: set[str] = set()
    for route in table:
        place = (route.method, re.sub(r"\{\w+\}", "{}", route.path))
        fields = set(route.parameters.model_fields) if route.parameters else set()
        faults = {
            "its path does not begin with /": not route.path.startswith("/"),
            "its method and path are another's": place in seen,
            "its name is another's": route.name in names,
            "its path names what `parameters` lacks": not set(route.path_names()) <= fields,
            "an audit log says whose token it was": bool(route.audit) and route.scope is None,
            "a GET or DELETE has no body": route.method in {"GET", "DELETE"} and route.request is not None,
        }
        for fault, found in faults.items():
            if found:
                raise ValueError(f"{route.name}: {fault}")
        seen.add(place)
        names.add(route.name)
