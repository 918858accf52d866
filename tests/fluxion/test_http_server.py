"""What every answer has: an id, security headers, limits; errors as problems that tell nothing of our insides."""

import asyncio
import json
import logging
import socket
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from fluxion.clock import SystemClock
from fluxion.errors import ConfigurationError, MappingError
from fluxion.http.limits import Policy
from fluxion.http.problem import InvalidRequestError, problem
from fluxion.http.routes import Call, Route, check_table
from fluxion.http.server import HttpServer, Serving, networks
from tests.support.served import NOWHERE, Served, everything, served
from tests.support.till_routes import empty, table

TICKET = b'{"number": "1", "lines": [{"code": "A", "quantity": 2}]}'


@pytest.fixture(scope="module")
def api() -> Iterator[Served]:
    with served(table(), serving=Serving(proxies=networks("127.0.0.0/8"))) as running:
        yield running


def test_every_answer_has_an_id_limits_and_security_headers(api: Served) -> None:
    for path, status in (("/empty", 204), ("/nothing", 404), ("/mine", 401)):
        said = api.ask("GET", path)
        assert said.status == status
        assert len(said.headers["X-Request-Id"]) == 36
        assert said.headers["X-Content-Type-Options"] == "nosniff"
        assert said.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert said.headers["Referrer-Policy"] == "no-referrer"
        assert said.headers["Cache-Control"] == "no-store"
        assert said.headers["Server"] == "fluxion"
        assert said.headers["RateLimit-Policy"] == '"address";q=1200;w=60'
        assert said.headers["RateLimit"].startswith('"address";r=11')


def test_the_id_that_a_client_sends_is_kept_where_it_is_harmless(api: Served) -> None:
    def answered(id_: str) -> str:
        return api.ask("GET", "/empty", headers={"X-Request-Id": id_}).headers["X-Request-Id"]

    assert answered("store-7:12345.a_b") == "store-7:12345.a_b"
    for bad in ("short", "x" * 65, 'a"quote"d', "flx_0123456789abcdef"):
        assert answered(bad) != bad


def test_tls_is_demanded_for_a_year_where_a_proxy_of_ours_says_that_there_was_tls(api: Served) -> None:
    assert api.ask("GET", "/empty").headers["Strict-Transport-Security"] is None
    said = api.ask("GET", "/empty", headers={"X-Forwarded-Proto": "https"})
    assert said.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_an_unknown_path_and_method_are_problems(api: Served) -> None:
    said = api.ask("GET", "/nothing?secret=1")
    assert (said.status, said.json["code"]) == (404, "NOT_FOUND")
    assert said.headers["Content-Type"] == "application/problem+json"
    assert "secret" not in said.body.decode()
    said = api.ask("GET", "/tickets")
    assert (said.status, said.json["code"], said.headers["Allow"]) == (405, "METHOD_NOT_ALLOWED", "POST")


def test_a_problem_has_everything_that_a_client_needs(api: Served) -> None:
    said = api.ask("POST", "/fail", b"{}", {"X-Fail": "rule", "X-Request-Id": "my-request"})
    assert said.json == {
        "type": "urn:fluxion:problem:BUSINESS_RULE",
        "title": "Conflict",
        "status": 409,
        "detail": "the day is closed",
        "code": "BUSINESS_RULE",
        "error_class": "BUSINESS_RULE_ERROR",
        "retry": "after_mending",
        "mend": "open it",
        "request_id": "my-request",
    }


def test_every_field_at_fault_is_named_and_no_value_repeated(api: Served) -> None:
    body = b'{"lines": [{"code": "A", "quantity": 0}, {"quantity": "s3cret"}], "flag": "s3cret"}'
    said = api.ask("POST", "/tickets", body)
    assert (said.status, said.json["code"]) == (422, "INVALID_REQUEST")
    assert [one["field"] for one in said.json["errors"]] == [
        "number", "lines.0.quantity", "lines.1.code", "lines.1.quantity", "flag",
    ]  # fmt: skip
    assert "s3cret" not in said.body.decode()


def test_a_body_that_is_no_json_or_of_another_type_is_refused(api: Served) -> None:
    for text in (b"", b"{", b'{"number": "s3cret"', b"\xff\xfe"):
        said = api.ask("POST", "/tickets", text)
        assert (said.status, said.json["code"]) == (400, "BAD_REQUEST")
        assert "s3cret" not in said.body.decode()
    said = api.ask("POST", "/tickets", TICKET, {"Content-Type": "text/plain"})
    assert (said.status, said.headers["Accept"]) == (415, "application/json")
    assert api.ask("POST", "/tickets", TICKET, {"Content-Type": "application/cloudevents+json"}).status == 200


def test_an_error_that_the_route_names_is_shown_with_its_status(api: Served) -> None:
    said = api.ask("POST", "/fail", b"{}", {"X-Fail": "agents"})
    assert (said.status, said.json["code"], said.json["detail"]) == (409, "TWO_AGENTS", "two agents: journal 7")


def test_a_dependency_that_is_down_is_503_and_not_described(api: Served) -> None:
    said = api.ask("POST", "/fail", b"{}", {"X-Fail": "down"})
    assert (said.status, said.json["code"], said.json["retry"]) == (503, "DEPENDENCY_DOWN", "soon")
    assert said.headers["Retry-After"] == "5"
    for inside in ("PostgreSQL", "10.1.2.3", "FLUXION_DATABASE"):
        assert inside not in said.body.decode()


def test_an_error_that_nobody_expected_is_500_and_tells_nothing(api: Served) -> None:
    said = api.ask("POST", "/fail", b'{"a": "s3cret"}', {"X-Fail": "boom"})
    assert (said.status, said.json["code"], said.json["mend"]) == (500, "INTERNAL", "tell us the request_id")
    for inside in ("s3cret", "KeyError", "boom", "Traceback"):
        assert inside not in said.body.decode()


def test_what_is_wrong_with_our_settings_is_not_for_strangers() -> None:
    assert (
        problem(ConfigurationError("FLUXION_KAFKA is not valid"), "id", {}).detail
        == "something went wrong here; it is in our log"
    )
    assert problem(MappingError("no such column"), "id", {}).status == 422
    assert problem(MappingError("no such column"), "id", {MappingError: 409}).status == 409
    assert problem(InvalidRequestError("not valid", "mend it", []), "id", {}).status == 422


def test_what_is_no_http_gets_a_problem_that_does_not_repeat_it(api: Served) -> None:
    for garbage in (
        b"flx_s3cret\r\n\r\n",
        b"GET /x\x00s3cret HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"s3cret" * 5000,
    ):
        with api.line() as line:
            line.sendall(garbage)
            said = everything(line)
        assert said.split()[1] == b"400"
        assert b"application/problem+json" in said
        assert b"s3cret" not in said
        assert b"nosniff" in said


def test_an_address_has_a_limit_and_learns_when_it_may_ask_again() -> None:
    serving = Serving(by_address=Policy("address", 3, 60), proxies=networks("127.0.0.1"))
    with served(table(), serving=serving) as api:
        left = [api.ask("GET", path).headers["RateLimit"].split(";")[1] for path in ("/empty", "/nothing", "/mine")]
        assert left == ["r=2", "r=1", "r=0"]
        said = api.ask("GET", "/empty")
        assert (said.status, said.json["code"], said.json["retry"]) == (429, "TOO_MANY_REQUESTS", "soon")
        assert 0 < int(said.headers["Retry-After"]) <= 20
        assert api.ask("GET", "/empty", headers={"X-Forwarded-For": "190.1.1.1"}).status == 204


def test_connections_are_bounded_and_one_too_many_is_told_to_come_again() -> None:
    with served(table(), serving=Serving(most_connections=3)) as api:
        lines = [socket.create_connection(("127.0.0.1", api.port)) for _ in range(3)]
        try:
            with api.line() as line:
                assert b"503" in line.recv(1000)
        finally:
            for line in lines:
                line.close()
        for _ in range(100):
            if api.ask("GET", "/empty").status == 204:
                break
        assert api.ask("GET", "/empty").status == 204


def test_a_port_that_is_taken_is_refused_with_its_mend(api: Served) -> None:
    async def start() -> None:
        await HttpServer(table(), NOWHERE, SystemClock(), Serving()).start("127.0.0.1", api.port)

    with pytest.raises(ConfigurationError, match=f"{api.port}.*choose another"):
        asyncio.run(start())


class Named(BaseModel):
    name: str


def route(**more: object) -> Route:
    said: dict[str, object] = {
        "method": "GET", "path": "/a", "name": "a", "summary": "a", "handler": empty, "scope": None, **more,
    }  # fmt: skip
    return Route(**said)  # type: ignore[arg-type] # a test says what it likes


@pytest.mark.parametrize(
    ("second", "fault"),
    [
        (route(name="b"), "method and path"),
        (route(path="/b"), "name is another's"),
        (route(name="b", path="b"), "begin with /"),
        (route(name="b", path="/{name}"), "lacks"),
        (route(name="b", path="/b", request=Named), "no body"),
        (route(name="b", path="/b", audit="b.read"), "whose token"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused_when_the_process_starts(second: Route, fault: str) -> None:
    check_table([route(), route(name="b", path="/{name}", parameters=Named)])
    with pytest.raises(ValueError, match=fault):
        HttpServer([route(), second], NOWHERE, SystemClock(), Serving())


def test_what_a_call_holds_is_not_in_its_repr() -> None:
    call = Call("id", "address", None, parameters="s3cret", body="s3cret", raw=b"s3cret", headers={"a": "s3cret"})
    assert "s3cret" not in repr(call)


def test_aiohttp_logs_nothing_of_its_own(api: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        api.ask("GET", "/empty?s3cret=1")
        with api.line() as line:
            line.sendall(b"flx_s3cret\r\n\r\n")
            everything(line)
    assert "s3cret" not in json.dumps([record.getMessage() for record in caplog.records])
