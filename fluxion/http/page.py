"""The OpenAPI document as a page for people, without a script; and the two routes that serve document and page."""

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from typing import Any

from fluxion.http.openapi import Schema, document
from fluxion.http.routes import Answer, Call, Media, Route

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h2{border-top:1px solid #767676;padding-top:1rem}code,pre{background:#f2f2f2}pre{overflow-x:auto;padding:.5rem}"
    "table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}"
)
_CSP = (
    "default-src 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'"
)


def with_documentation(table: Sequence[Route], title: str, version: str, about: str = "") -> list[Route]:
    """Return the table with `/openapi.json` and `/docs`, which describe it; both are open to anybody."""
    described = document(table, title, version, about)
    text = json.dumps(described, ensure_ascii=False, indent=1).encode()
    html = page(described).encode()

    async def openapi(_: Call) -> Answer:
        return Answer(text)

    async def docs(_: Call) -> Answer:
        return Answer(html, headers={"Content-Security-Policy": _CSP})

    return [
        *table,
        Route(
            method="GET", path="/openapi.json", name="openapi", summary="This API as OpenAPI 3.1", handler=openapi,
            scope=None, response=Media(("application/json",)),
        ),
        Route(
            method="GET", path="/docs", name="docs", summary="This API as a page", handler=docs,
            scope=None, response=Media(("text/html; charset=utf-8",)),
        ),
    ]  # fmt: skip


def page(described: Schema) -> str:
    """Return a whole HTML page."""
    info = described["info"]
    operations = [
        _operation(path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = "".join(
        f'<h3 id="{escape(name)}">{escape(name)}</h3><pre>{escape(json.dumps(schema, ensure_ascii=False, indent=1))}</pre>'
        for name, schema in described["components"]["schemas"].items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style>"
        f"<main><h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info.get('description', ''))}</p>"
        f'<p>As <a href="/openapi.json">OpenAPI {escape(described["openapi"])}</a>.</p>'
        f"{''.join(operations)}<h2>Schemas</h2>{schemas}</main></html>\n"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    scopes = [scope for need in operation["security"] for scope in need["token"]]
    token = f"A token with the scope <code>{escape(scopes[0])}</code>." if scopes else "No token."
    rows = [
        ("parameter", one["name"], f"{one['in']}, {_kind(one['schema'])}") for one in operation.get("parameters", [])
    ]
    rows += [
        ("body", kind, _kind(one["schema"]))
        for kind, one in operation.get("requestBody", {}).get("content", {}).items()
    ]
    rows += [
        (
            f"answer {status}",
            answer["description"],
            ", ".join(_kind(one["schema"]) for one in answer.get("content", {}).values()),
        )
        for status, answer in operation["responses"].items()
    ]
    cells = "".join(f"<tr><th>{escape(what)}<td>{escape(name)}<td>{kind}" for what, name, kind in rows)
    return (
        f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2><p>{escape(operation['summary'])}. {token}</p>"
        f"<p>{escape(operation.get('description', ''))}</p><table>{cells}</table>"
    )


def _kind(schema: Schema) -> str:
    """Return a schema in a word, as HTML."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    return escape(str(schema.get("format") or schema.get("type") or schema.get("description") or "any"))
