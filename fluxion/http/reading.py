"""A request's body and parameters as instances of a route's models; every field at fault is named, no value repeated."""

from typing import Any

from aiohttp import web
from pydantic import BaseModel, ValidationError

from fluxion.http.body import Share, demand_shallow, read_body
from fluxion.http.problem import BadRequestError, FieldFault, InvalidRequestError, MediaTypeError
from fluxion.http.routes import Media, Route

JSON = "application/json"
MOST_FAULTS = 20


async def body_of(request: web.Request, route: Route, grace_s: float, share: Share) -> tuple[bytes, Any]:
    """Return the bytes and what they are for the handler. Raises HttpErrors."""
    if route.request is None:
        return b"", None
    is_json = request.content_type == JSON or request.content_type.endswith("+json")
    if isinstance(route.request, Media):
        if request.content_type not in route.request.types:
            raise _media_type(", ".join(route.request.types))
    elif not is_json:
        raise _media_type(JSON)
    raw = await read_body(request, route.max_body, grace_s, share)
    if is_json:
        demand_shallow(raw)
    if isinstance(route.request, Media):
        return raw, raw
    try:
        return raw, route.request.model_validate_json(raw)
    except ValidationError as fault:
        raise _invalid(fault) from None


def parameters_of(request: web.Request, route: Route) -> BaseModel | None:
    """Return path and query as the route's model. A name that comes several times is a list. Raises InvalidRequestError."""
    if route.parameters is None:
        return None
    query = {name: request.query.getall(name) for name in request.query}
    said: dict[str, Any] = {name: values if len(values) > 1 else values[0] for name, values in query.items()}
    try:
        # The path goes last: a query must not say another system than the path.
        return route.parameters.model_validate({**said, **request.match_info})
    except ValidationError as fault:
        raise _invalid(fault) from None


def _media_type(takes: str) -> MediaTypeError:
    return MediaTypeError("the body's media type is not taken here", f"send Content-Type: {takes}", {"Accept": takes})


def _invalid(fault: ValidationError) -> BadRequestError | InvalidRequestError:
    errors = fault.errors(include_url=False, include_context=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return BadRequestError(f"the body is no JSON ({errors[0]['msg']})", "mend the sender")
    faults = [
        FieldFault(field=".".join(str(part) for part in error["loc"]) or "(all)", message=error["msg"])
        for error in errors[:MOST_FAULTS]
    ]
    more = f" and {len(errors) - MOST_FAULTS} more" if len(errors) > MOST_FAULTS else ""
    message = f"not valid: {', '.join(one.field for one in faults)}{more}"
    return InvalidRequestError(message, "mend each field named in `errors`", faults)
