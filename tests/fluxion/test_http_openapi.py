"""The OpenAPI document: of the table, whole, and true of what the server answers."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from fluxion.http.openapi import document
from fluxion.http.page import page, with_documentation
from fluxion.http.problem import HttpError
from fluxion.http.tokens import SCOPES, Scope
from tests.support.local import ROOT
from tests.support.served import served
from tests.support.till_routes import table

METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture
def described() -> dict[str, Any]:
    return document(table(), "Till", "1.2.3", "A small API.")


def nodes(of: Any) -> Iterator[dict[str, Any]]:
    if isinstance(of, dict):
        yield of
        for value in of.values():
            yield from nodes(value)
    elif isinstance(of, list):
        for value in of:
            yield from nodes(value)


def lost(described: dict[str, Any]) -> Iterator[str]:
    """Yield references that lead nowhere."""
    for node in nodes(described):
        here: Any = described
        for step in node.get("$ref", "#/").removeprefix("#/").split("/"):
            here = here.get(step) if isinstance(here, dict) and step else here
        if here is None:
            yield f"no {node['$ref']}"


def wrong(path: str, operation: dict[str, Any], schemes: set[str]) -> Iterator[str]:
    in_path = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path" and one["required"]}
    if in_path != set(re.findall(r"\{(\w+)\}", path)):
        yield f"parameters of {path}"
    if not operation["responses"] or any("description" not in one for one in operation["responses"].values()):
        yield f"responses of {path}"
    if any(set(need) - schemes for need in operation["security"]):
        yield f"security of {path}"


def faults(described: dict[str, Any]) -> list[str]:
    """What OpenAPI 3.1 demands of the parts that we use, and we of ourselves."""
    assert re.fullmatch(r"3\.1\.\d+", described["openapi"])
    assert {"title", "version"} <= set(described["info"])
    operations = [
        (path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    assert {method for _, method, _ in operations} <= METHODS
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(ids) == len(set(ids))
    schemes = set(described["components"]["securitySchemes"])
    return [*lost(described), *(fault for path, _, one in operations for fault in wrong(path, one, schemes))]


def test_the_document_is_whole(described: dict[str, Any]) -> None:
    assert faults(described) == []
    assert json.loads(json.dumps(described)) == described
    assert set(described["paths"]) == {one.path for one in table()}
    assert {"Ticket", "Line", "Taken", "Problem", "FieldFault"} <= set(described["components"]["schemas"])


def test_what_is_missing_in_a_document_is_found(described: dict[str, Any]) -> None:
    del described["components"]["schemas"]["Line"]
    described["paths"]["/systems/{system_id}/tickets"]["post"]["parameters"].pop(0)
    del described["paths"]["/empty"]["get"]["responses"]["204"]["description"]
    described["paths"]["/mine"]["get"]["security"] = [{"cookie": []}]
    assert len(faults(described)) == 4


def test_an_operation_says_what_it_takes_who_may_and_what_goes_wrong(described: dict[str, Any]) -> None:
    operation = described["paths"]["/systems/{system_id}/tickets"]["post"]
    assert operation["security"] == [{"token": ["webhook"]}]
    assert [(one["name"], one["in"], one["required"]) for one in operation["parameters"]] == [
        ("system_id", "path", True),
        ("dry", "query", False),
    ]
    assert operation["parameters"][0]["schema"]["format"] == "uuid"
    assert operation["requestBody"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/Ticket"}}
    }
    assert list(operation["responses"]) == [
        "202",
        "400",
        "401",
        "403",
        "408",
        "413",
        "415",
        "422",
        "429",
        "503",
        "default",
    ]
    failing = described["paths"]["/fail"]["post"]
    assert failing["security"] == []
    assert failing["responses"]["409"]["description"].startswith("`TWO_AGENTS`: ")
    raw = described["paths"]["/raw"]["put"]
    assert set(raw["requestBody"]["content"]) == {"application/octet-stream", "application/json"}
    assert described["paths"]["/empty"]["get"]["responses"]["204"] == {
        "description": "No Content",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in described["components"]["headers"]},
    }


def test_document_and_page_are_served_and_need_no_script() -> None:
    with served(with_documentation(table(), "Till", "1.2.3", "A <small> API.")) as api:
        said = api.ask("GET", "/openapi.json")
        assert (said.status, said.headers["Content-Type"]) == (200, "application/json")
        assert said.json == document(table(), "Till", "1.2.3", "A <small> API.")
        shown = api.ask("GET", "/docs")
    assert shown.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "style-src 'sha256-" in shown.headers["Content-Security-Policy"]
    html = shown.body.decode()
    for one in table():
        assert f"<code>{one.method} {one.path}</code>" in html
    assert "A &lt;small&gt; API." in html
    assert "<script" not in html


def test_the_page_names_scopes_fields_and_errors(described: dict[str, Any]) -> None:
    html = page(described)
    for said in (
        "<code>webhook</code>",
        "No token.",
        "system_id",
        "path, uuid",
        "TWO_AGENTS",
        '<a href="#Ticket">',
        'id="Ticket"',
    ):
        assert said in html, said


def test_every_header_and_status_that_is_described_is_what_the_server_answers(described: dict[str, Any]) -> None:
    with served(table()) as api:
        for path, methods in described["paths"].items():
            for method in methods:
                place = path.replace("{system_id}", "8f0e5a1c-0000-4000-8000-000000000000")
                said = api.ask(method.upper(), place, b"[]" if method != "get" else None, {"X-Fail": "agents"})
                assert str(said.status) in methods[method]["responses"], (path, said.status)
                assert set(described["components"]["headers"]) <= set(said.headers)


def test_every_error_and_every_scope_is_explained_to_people() -> None:
    explained = (ROOT / "docs" / "http.md").read_text()
    for error in HttpError.__subclasses__():
        assert f"\n| {error.code} | {int(error.status)} |" in explained
    for scope, what in SCOPES.items():
        assert f"\n| `{scope}` | {what} |" in explained
    assert set(SCOPES) == set(Scope)
