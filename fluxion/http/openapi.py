"""The OpenAPI 3.1 document of a table of routes: what the router serves is what is described."""

import inspect
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from fluxion.errors import FluxionError
from fluxion.http import problem
from fluxion.http.problem import Problem
from fluxion.http.reading import JSON
from fluxion.http.routes import Media, Route
from fluxion.http.tokens import SCOPES

VERSION = "3.1.0"
_REF = "#/components/schemas/{model}"
_HEADERS = {
    "X-Request-Id": "the request's id, as sent or made here; say it when you ask for help",
    "RateLimit-Policy": "quota (q) and window in seconds (w) of every limit; draft-ietf-httpapi-ratelimit-headers-10",
    "RateLimit": "what is left (r) and in how many seconds all of it is back (t)",
}
_ALWAYS = (problem.TooManyRequestsError,)
_WITH_TOKEN = (problem.UnauthorizedError, problem.ForbiddenError)
_WITH_BODY = (
    problem.BadRequestError,
    problem.TooSlowError,
    problem.TooLargeError,
    problem.MediaTypeError,
    problem.BusyError,
)

Schema = dict[str, Any]
_Schemas = Mapping[Any, Schema]  # (model, mode) → a reference to it


def document(table: Sequence[Route], title: str, version: str, about: str = "") -> Schema:
    """Return the document as plain data, in the table's order."""
    schemas, definitions = _schemas(table)
    paths: dict[str, Schema] = {}
    for route in table:
        operation, more = _operation(route, schemas)
        definitions |= more
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    tags = dict.fromkeys(route.tag for route in table if route.tag)
    return {
        "openapi": VERSION,
        "info": {"title": title, "version": version, **({"description": about} if about else {})},
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(definitions.items())),
            "headers": {name: {"description": what, "schema": {"type": "string"}} for name, what in _HEADERS.items()},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "flx_…",
                    "description": "Scopes: " + "; ".join(f"`{scope}`: {what}" for scope, what in SCOPES.items()),
                }
            },
        },
    }


def _schemas(table: Sequence[Route]) -> tuple[_Schemas, dict[str, Schema]]:
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(Problem, "serialization"): None}
    for route in table:
        if isinstance(route.request, type):
            wanted[route.request, "validation"] = None
        if isinstance(route.response, type):
            wanted[route.response, "serialization"] = None
    schemas, defs = models_json_schema(list(wanted), ref_template=_REF)
    return schemas, dict(defs.get("$defs", {}))


def _operation(route: Route, schemas: _Schemas) -> tuple[Schema, dict[str, Schema]]:
    parameters, definitions = _parameters(route)
    success: Schema = {
        "description": HTTPStatus(route.status).phrase,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS},
    }
    content = _content(route.response, "serialization", schemas)
    if content:
        success["content"] = content
    operation: Schema = {
        "operationId": route.name,
        "summary": route.summary,
        **({"description": route.about} if route.about else {}),
        **({"tags": [route.tag]} if route.tag else {}),
        "security": [{"token": [str(route.scope)]}] if route.scope else [],
        **({"parameters": parameters} if parameters else {}),
    }
    if route.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": _content(route.request, "validation", schemas),
            "description": f"at most {route.max_body} bytes after decompression (Content-Encoding: gzip or zstd)",
        }
    operation["responses"] = {str(int(route.status)): success, **_problems(route, schemas)}
    return operation, definitions


def _parameters(route: Route) -> tuple[list[Schema], dict[str, Schema]]:
    if route.parameters is None:
        return [], {}
    schema = route.parameters.model_json_schema(ref_template=_REF)
    required = set(schema.get("required", []))
    in_path = route.path_names()
    return [
        {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in in_path or name in required,
            **({"description": field["description"]} if "description" in field else {}),
            "schema": {key: value for key, value in field.items() if key != "description"},
        }
        for name, field in schema.get("properties", {}).items()
    ], schema.get("$defs", {})


def _content(body: type[BaseModel] | Media | None, mode: JsonSchemaMode, schemas: _Schemas) -> Schema:
    if body is None:
        return {}
    if isinstance(body, Media):
        described = {"description": body.about} if body.about else {}
        return {kind: {"schema": dict(described)} for kind in body.types}
    return {JSON: {"schema": schemas[body, mode]}}


def _problems(route: Route, schemas: _Schemas) -> dict[str, Schema]:
    """Return an answer for each status of an error; several errors of one status are told apart by their code."""
    content = {problem.CONTENT_TYPE: {"schema": schemas[Problem, "serialization"]}}
    found: dict[int, list[type[FluxionError]]] = {}
    for kind, status in _errors(route).items():
        found.setdefault(status, []).append(kind)
    said = {
        str(status): {
            "description": "; ".join(f"`{kind.code}`: {_first_line(kind)}" for kind in kinds),
            "content": content,
        }
        for status, kinds in sorted(found.items())
    }
    return {**said, "default": {"description": "any other error", "content": content}}


def _errors(route: Route) -> dict[type[FluxionError], int]:
    kinds: list[type[problem.HttpError]] = list(_ALWAYS)
    kinds += _WITH_TOKEN if route.scope else ()
    kinds += _WITH_BODY if route.request is not None else ()
    if isinstance(route.request, type) or route.parameters is not None:
        kinds.append(problem.InvalidRequestError)
    return {kind: int(kind.status) for kind in kinds} | {kind: int(status) for kind, status in route.errors.items()}


def _first_line(kind: type[FluxionError]) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0].rstrip(".")
