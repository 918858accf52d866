"""Errors as RFC 9457 problems: `application/problem+json` with code, error_class, retry, mend and the request's id.

The status comes from `HttpError.status`, else from the route's own table of errors, else from `SHOWN`. What stands in none
of them is ours: 503 where waiting helps, else 500, and the client learns the request's id, nothing of our insides.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from fluxion.errors import (
    BusinessRuleError,
    DataValidationError,
    DependencyDownError,
    ErrorClass,
    FluxionError,
    MappingError,
    Retry,
)

CONTENT_TYPE = "application/problem+json"
WAIT_S = 5


class HttpError(FluxionError):
    """An error that only exists over HTTP; it knows its status. headers: what the status asks for (Retry-After, Allow, …)."""

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST
    retry = Retry.AFTER_MENDING

    def __init__(self, message: str, mend: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, mend)
        self.headers = dict(headers or {})


class BadRequestError(HttpError):
    """What was sent is no HTTP, no JSON or not compressed as it says."""

    code = "BAD_REQUEST"
    error_class = ErrorClass.DATA_VALIDATION


class InvalidRequestError(HttpError):
    """Body or parameters do not fit the route's model; `faults` names every field."""

    code = "INVALID_REQUEST"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    error_class = ErrorClass.DATA_VALIDATION

    def __init__(self, message: str, mend: str, faults: list["FieldFault"]) -> None:
        super().__init__(message, mend)
        self.faults = faults


class UnauthorizedError(HttpError):
    """No token, or none that we know; also a signature that does not fit."""

    code = "UNAUTHORIZED"
    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, message: str, mend: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, mend, {"WWW-Authenticate": 'Bearer realm="fluxion"', **(headers or {})})


class ForbiddenError(HttpError):
    """The token is good, but not for this."""

    code = "FORBIDDEN"
    status = HTTPStatus.FORBIDDEN


class NotFoundError(HttpError):
    """No such path, or nothing there that this token may know of."""

    code = "NOT_FOUND"
    status = HTTPStatus.NOT_FOUND


class MethodNotAllowedError(HttpError):
    """The path exists, the method does not."""

    code = "METHOD_NOT_ALLOWED"
    status = HTTPStatus.METHOD_NOT_ALLOWED


class TooSlowError(HttpError):
    """The body did not arrive in time."""

    code = "REQUEST_TIMEOUT"
    status = HTTPStatus.REQUEST_TIMEOUT
    error_class = ErrorClass.CONNECTION
    retry = Retry.SOON


class TooLargeError(HttpError):
    """The body is larger than the route takes, as it came or decompressed."""

    code = "TOO_LARGE"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class MediaTypeError(HttpError):
    """The body's media type or compression is none that the route takes."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class BusyError(HttpError):
    """The bodies of all requests in work fill the room that they have together. Comes with Retry-After."""

    code = "BUSY"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    error_class = ErrorClass.CONNECTION
    retry = Retry.SOON


class TooManyRequestsError(HttpError):
    """A limit of requests is reached. Comes with Retry-After."""

    code = "TOO_MANY_REQUESTS"
    status = HTTPStatus.TOO_MANY_REQUESTS
    retry = Retry.SOON


# Shown with their message on every route; a route's own `errors` go first.
SHOWN: Mapping[type[FluxionError], int] = {
    DataValidationError: HTTPStatus.UNPROCESSABLE_ENTITY,
    MappingError: HTTPStatus.UNPROCESSABLE_ENTITY,
    BusinessRuleError: HTTPStatus.CONFLICT,
}


class FieldFault(BaseModel):
    """One field that does not fit. The value is not repeated: it may be a secret."""

    field: str = Field(description="a path such as items.3.quantity")
    message: str


class Problem(BaseModel):
    """RFC 9457; the members below `status` are ours."""

    model_config = ConfigDict(json_schema_extra={"description": "An error as RFC 9457 has it."})

    type: str = Field(description="urn:fluxion:problem:CODE")
    title: str
    status: int
    detail: str = Field(description="what is wrong, in a sentence")
    code: str
    error_class: ErrorClass
    retry: Retry = Field(description="whether sending the same again can help")
    mend: str = Field(description="what mends it")
    request_id: str = Field(description="say this when you ask for help")
    errors: list[FieldFault] = Field(default_factory=list)


def status_of(fault: FluxionError, errors: Mapping[type[FluxionError], int]) -> int | None:
    """Return a shown error's status, the nearest class's; None: its message is not for strangers."""
    for table in (errors, SHOWN):
        for kind in type(fault).__mro__:
            if kind in table:
                return int(table[kind])
    return int(fault.status) if isinstance(fault, HttpError) else None


def problem(fault: BaseException, request_id: str, errors: Mapping[type[FluxionError], int]) -> Problem:
    """Return what a client is told of an error."""
    status = status_of(fault, errors) if isinstance(fault, FluxionError) else None
    if not isinstance(fault, FluxionError) or status is None:
        fault = _veiled(fault)
        status = int(HTTPStatus.SERVICE_UNAVAILABLE if fault.retry is Retry.SOON else HTTPStatus.INTERNAL_SERVER_ERROR)
    return Problem(
        type=f"urn:fluxion:problem:{fault.code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=fault.message,
        code=fault.code,
        error_class=fault.error_class,
        retry=fault.retry,
        mend=fault.mend,
        request_id=request_id,
        errors=fault.faults if isinstance(fault, InvalidRequestError) else [],
    )


def headers_of(fault: BaseException, status: int) -> dict[str, str]:
    """Return the headers that go with a problem."""
    headers = dict(fault.headers) if isinstance(fault, HttpError) else {}
    if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.REQUEST_TIMEOUT}:
        headers.setdefault("Retry-After", str(WAIT_S))
    return headers


def _veiled(fault: BaseException) -> FluxionError:
    """Return what a stranger may know of an error of ours."""
    if isinstance(fault, FluxionError) and fault.retry is Retry.SOON:
        return DependencyDownError("a service that this needs does not answer", "send it again a little later")
    return FluxionError("something went wrong here; it is in our log", "tell us the request_id")
