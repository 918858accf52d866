"""Tokens against a real PostgreSQL: who gets in, for what, for how long; what is written down; and that no log has a secret."""

import asyncio
import io
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
import pytest
import structlog

from control.registry import add_store, add_tenant
from control.tokens import Bound, create, find, listed, revoke
from fluxion.errors import BusinessRuleError
from fluxion.http.access import Access
from fluxion.http.database import NAME, Database, Link
from fluxion.http.limits import Policy
from fluxion.http.problem import UnauthorizedError
from fluxion.http.server import Serving
from fluxion.http.tokens import Scope, digest, new_token
from fluxion.postgres import APP, STAGE, connect
from fluxion.registry import load_system
from tests.conftest import Cloud
from tests.stream_processors.cloud_side import new_system
from tests.support.clocks import HandClock
from tests.support.served import Served, everything, served
from tests.support.sqlserver import superuser
from tests.support.till_routes import table

TICKET = b'{"number": "1", "lines": [{"code": "A", "quantity": 2}]}'
KEEP_S = 10
T = TypeVar("T")


@dataclass
class Desk:
    """A tenant with a system, and a server whose clock a test moves."""

    dsn: str
    tenant: str
    system: str
    clock: HandClock
    api: Served

    def token(self, *scopes: Scope, bound: Bound | None = None, days: int = 30) -> tuple[str, str]:
        with connect(self.dsn, APP) as link:
            return create(link, bound or Bound(self.tenant), "till 7", scopes or (Scope.READ,), days, "ana")

    def revoke(self, id_: str) -> None:
        with connect(self.dsn, STAGE) as link:
            found = find(link, id_)
        with connect(self.dsn, APP) as link:
            revoke(link, found, "ana")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """As the tenant."""
        with connect(self.dsn, APP) as link:
            link.execute("select set_config('fluxion.tenant_id', %s, false)", [self.tenant])
            return link.execute(query.encode()).fetchall()

    def change(self, statement: str) -> None:
        """As the tenant, and then committed."""
        with connect(self.dsn, APP) as link:
            link.execute("select set_config('fluxion.tenant_id', %s, true)", [self.tenant])
            link.execute(statement.encode())

    def mine(self, token: str | None) -> tuple[int, str]:
        said = self.api.ask("GET", "/mine", token=token)
        return said.status, said.json["detail"] if said.body else ""


@pytest.fixture
def desk(cloud: Cloud) -> Iterator[Desk]:
    dsn, clock = cloud.stack.postgres, HandClock()
    system = new_system(dsn)
    with connect(dsn, STAGE) as link:
        tenant = load_system(link, system).tenant_id
    with served(table(), dsn, Serving(keep_token_s=KEEP_S), clock) as api:
        yield Desk(dsn, tenant, system, clock, api)


def test_a_token_opens_what_its_scopes_say_and_nothing_else(desk: Desk) -> None:
    _, token = desk.token(Scope.READ)
    assert desk.mine(token)[0] == 200
    said = desk.api.ask("POST", f"/systems/{desk.system}/tickets", TICKET, token=token)
    assert (said.status, said.json["code"]) == (403, "FORBIDDEN")
    assert "webhook" in said.json["mend"]
    _, both = desk.token(Scope.READ, Scope.WEBHOOK)
    assert desk.mine(both)[0] == 200
    assert (
        desk.api.ask("POST", f"/systems/{desk.system}/tickets?dry=true", TICKET, token=both).json["asked_by"] == "True"
    )


def test_without_a_good_token_nobody_gets_in(desk: Desk) -> None:
    assert desk.mine(None) == (401, "there is no token")
    said = desk.api.ask("GET", "/mine")
    assert said.headers["WWW-Authenticate"] == 'Bearer realm="fluxion"'
    _, token = desk.token()
    for wrong in (token[:-1], token + "x", "x"):
        assert desk.mine(wrong)[0] == 401
    assert desk.mine(new_token()) == (401, "there is no such token")
    for scheme in (f"Basic {token}", token, f"Bearer {token} {token}", "Bearer"):
        assert desk.api.ask("GET", "/mine", headers={"Authorization": scheme}).status == 401
    assert desk.api.ask("GET", "/mine", headers={"Authorization": f"bearer {token}"}).status == 200


def test_a_body_is_not_read_for_who_has_no_token(desk: Desk) -> None:
    with desk.api.line() as line:
        line.sendall(
            f"POST /systems/{desk.system}/tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Content-Length: 1000\r\n\r\n".encode()
        )
        assert line.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_a_revoked_token_is_dead_within_the_time_that_it_is_kept(desk: Desk) -> None:
    id_, token = desk.token()
    assert desk.mine(token)[0] == 200
    desk.revoke(id_)
    desk.clock.sleep(KEEP_S)
    assert desk.mine(token) == (401, "the token was revoked")
    with pytest.raises(BusinessRuleError, match="already"):
        desk.revoke(id_)


def test_a_token_is_looked_up_once_while_it_is_kept(desk: Desk) -> None:
    _, token = desk.token()
    desk.mine(token)
    with connect(desk.dsn) as link, link.transaction():
        link.execute("lock table pos_integration.api_tokens in access exclusive mode")
        assert desk.mine(token)[0] == 200
        desk.clock.sleep(KEEP_S)
        assert desk.mine(token)[0] == 503  # it asks again, and PostgreSQL does not answer in time
    assert desk.mine(token)[0] == 200


class Counting(Database):
    asked = 0

    async def run(self, work: Callable[[Link], T]) -> T:
        self.asked += 1
        return await super().run(work)


def test_many_requests_at_once_ask_once_and_what_is_kept_is_bounded(desk: Desk) -> None:
    _, token = desk.token()

    async def ask() -> tuple[int, int]:
        database = Counting(desk.dsn)
        access = Access(database, HandClock(), most=5)
        callers = await asyncio.gather(*(access.caller(token) for _ in range(20)))
        assert {one.tenant_id for one in callers} == {desk.tenant}
        asked = database.asked
        for _ in range(20):
            with pytest.raises(UnauthorizedError):
                await access.caller(new_token())
        await database.close()
        return asked, len(access._kept)

    assert asyncio.run(ask()) == (1, 5)


def test_a_token_dies_when_it_expires_even_while_it_is_kept(desk: Desk) -> None:
    id_, token = desk.token(days=1)
    desk.change("update pos_integration.api_tokens set expires_at = now() + interval '1.5 s'")
    assert desk.mine(token)[0] == 200
    desk.rows("select 1 from pg_sleep(1.5)")
    desk.clock.sleep(1.5)
    assert desk.mine(token) == (401, "the token has expired")
    with connect(desk.dsn, STAGE) as link:
        assert find(link, id_).state == "expired"


def test_a_token_that_nobody_knows_is_asked_for_once(desk: Desk) -> None:
    token = new_token()
    assert desk.mine(token)[0] == 401
    with connect(desk.dsn, APP) as link:
        link.execute("select set_config('fluxion.tenant_id', %s, true)", [desk.tenant])
        link.execute(
            "insert into pos_integration.api_tokens (tenant_id, name, token_hash, scopes) values (%s, 'x', %s, '{read}')",
            [desk.tenant, digest(token)],
        )
    assert desk.mine(token)[0] == 401
    desk.clock.sleep(KEEP_S)
    assert desk.mine(token)[0] == 200


def test_a_token_of_a_store_is_of_its_system_too_and_of_no_other(desk: Desk) -> None:
    other = new_system(desk.dsn)
    with connect(desk.dsn, STAGE) as link:
        system = load_system(link, desk.system)
        elsewhere = load_system(link, other)
    store = system.stores[0].id if system.stores else _store(desk, desk.system)
    bound = Bound(desk.tenant, desk.system, store)
    id_, _ = desk.token(bound=bound)
    with connect(desk.dsn, STAGE) as link:
        found = find(link, id_)
    assert (found.tenant_id, found.system_id, found.store_id) == (desk.tenant, desk.system, store)
    for wrong in (
        Bound(desk.tenant, None, store),
        Bound(desk.tenant, other, store),
        Bound(elsewhere.tenant_id, other, store),
    ):
        with pytest.raises(psycopg.IntegrityError):
            desk.token(bound=wrong)


def _store(desk: Desk, system_id: str) -> str:
    with connect(desk.dsn, STAGE) as link:
        system = load_system(link, system_id)
    with connect(desk.dsn, APP) as link:
        return add_store(link, system, "Chacao", "1", "America/Caracas")


def test_a_token_has_a_limit_of_its_own_whatever_its_address(cloud: Cloud, desk: Desk) -> None:
    _, token = desk.token()
    _, other = desk.token()
    with served(table(), cloud.stack.postgres, Serving(by_token=Policy("token", 2, 60)), HandClock()) as api:
        told = [api.ask("GET", "/mine", token=token) for _ in range(3)]
        assert [one.status for one in told] == [200, 200, 429]
        assert told[0].headers["RateLimit"] == '"token";r=1;t=30, "address";r=1199;t=1'
        assert told[2].headers["Retry-After"] == "30"
        assert api.ask("GET", "/mine", token=other).status == 200


def test_only_the_hash_of_a_token_is_stored_and_when_it_was_used(desk: Desk) -> None:
    id_, token = desk.token()
    desk.mine(token)
    ((stored, used),) = desk.rows(f"select token_hash, last_used_at from pos_integration.api_tokens where id = '{id_}'")
    assert bytes(stored) == digest(token)
    assert used is not None
    everywhere = desk.rows("select row_to_json(t)::text from pos_integration.api_tokens t")
    everywhere += desk.rows("select row_to_json(t)::text from pos_integration.audit_log t")
    assert token[4:] not in json.dumps(everywhere)


def test_what_a_token_did_is_in_the_audit_log_of_its_tenant(desk: Desk) -> None:
    id_, token = desk.token(Scope.WEBHOOK)
    # What a query says of the system is not what the path says.
    place = f"/systems/{desk.system}/tickets?system_id={uuid.uuid4()}"
    said = desk.api.ask("POST", place, TICKET, token=token)
    assert said.status == 202
    desk.mine(token)
    deeds = desk.rows("select actor, action, subject, detail from pos_integration.audit_log order by id")
    assert deeds[0][:3] == ("ana", "token.create", id_)
    assert deeds[0][3] == {"name": "till 7", "scopes": ["webhook"], "days": 30}
    assert deeds[1] == (
        "token:till 7", "ticket.take", desk.system,
        {"request_id": said.headers["X-Request-Id"], "address": "127.0.0.1", "status": 202, "token": id_},
    )  # fmt: skip
    assert deeds[2][1::2] == ("mine.read", {**deeds[2][3], "status": 403})
    desk.revoke(id_)
    assert desk.rows("select action from pos_integration.audit_log order by id")[-1] == ("token.revoke",)


def test_nobody_reads_another_tenants_tokens_or_deeds_and_nobody_changes_a_deed(desk: Desk) -> None:
    desk.token()
    with connect(desk.dsn, APP) as link:
        other = add_tenant(link, "Otra")
    with connect(desk.dsn, APP) as link:
        link.execute("select set_config('fluxion.tenant_id', %s, false)", [other])
        for seen in ("api_tokens", "audit_log"):
            assert link.execute(f"select count(*) from pos_integration.{seen}".encode()).fetchone() == (0,)
    for role, denied in (
        (STAGE, "update pos_integration.audit_log set actor = 'x'"),
        (STAGE, "select * from pos_integration.audit_log"),
        (STAGE, "delete from pos_integration.audit_log"),
        (STAGE, "update pos_integration.api_tokens set scopes = '{read}'"),
        (
            STAGE,
            "insert into pos_integration.api_tokens (tenant_id, name, token_hash) values (gen_random_uuid(), 'x', 'x')",
        ),
        (APP, "update pos_integration.audit_log set actor = 'x'"),
    ):
        with connect(desk.dsn, role) as link, pytest.raises(psycopg.errors.InsufficientPrivilege):
            link.execute(denied.encode())
    with connect(desk.dsn, STAGE) as link:
        assert {one.tenant_id for one in listed(link, desk.tenant)} == {desk.tenant}


def test_where_postgresql_is_away_a_token_waits_and_comes_back_with_it(cloud: Cloud, desk: Desk) -> None:
    _, token = desk.token()
    with served(table()) as api:
        said = api.ask("GET", "/mine", token=token)
        assert (said.status, said.json["retry"], said.headers["Retry-After"]) == (503, "soon", "5")
    assert desk.mine(token)[0] == 200
    with psycopg.connect(superuser(cloud.stack.postgres)) as admin:
        ended = admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s", [NAME]
        ).fetchall()
        assert ended
    desk.clock.sleep(KEEP_S)
    assert desk.mine(token)[0] == 200


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """Everything that anybody logs, ours and the libraries', down to debug."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=repr)],
        logger_factory=structlog.PrintLoggerFactory(heard),
    )  # fmt: skip
    try:
        yield heard
    finally:
        structlog.reset_defaults()
        root.setLevel(level)
        root.removeHandler(handler)


def test_no_log_has_a_secret_whatever_goes_wrong(logs: io.StringIO, desk: Desk) -> None:
    id_, token = desk.token(Scope.WEBHOOK)
    secret = f"s3cret{uuid.uuid4().hex}"
    hidden = json.dumps({"number": secret, "password": secret, "lines": secret}).encode()
    place = f"/systems/{desk.system}/tickets"
    tries = [
        ("POST", place, TICKET, {}),
        ("POST", place, hidden, {}),
        ("POST", place, hidden[:-4], {}),
        ("POST", f"{place}?key={secret}&access_token={token}", TICKET, {}),
        ("POST", f"/{secret}/{token}", TICKET, {"Webhook-Signature": secret}),
        ("POST", f"/systems/{secret}/tickets", TICKET, {}),
        ("PUT", "/raw", hidden, {"Content-Encoding": secret}),
        ("PUT", "/raw", hidden, {"Content-Encoding": "gzip"}),
        ("PUT", "/raw", hidden, {"Content-Type": f"text/{secret}"}),
        ("POST", "/fail", hidden, {"X-Fail": secret}),
        ("POST", "/fail", hidden, {"X-Fail": "down"}),
        (f"X{secret}", "/fail", hidden, {}),
        ("DELETE", f"/fail?{secret}", None, {}),
        ("GET", "/mine", None, {"X-Request-Id": token}),
        ("GET", "/mine", None, {"X-Forwarded-For": secret}),
        ("GET", "/mine", None, {"Authorization": f"Bearer {secret}"}),
        ("GET", "/mine", None, {"Authorization": f"Basic {secret}"}),
    ]
    statuses = {desk.api.ask(method, path, body, more, token=token).status for method, path, body, more in tries}
    assert statuses == {202, 400, 401, 403, 404, 405, 415, 422, 500, 503}
    for garbage in (
        f"{secret}\r\n\r\n",
        f"GET /{token}\x00 HTTP/1.1\r\n\r\n",
        f"GET / HTTP/1.1\r\nAuthorization {token}\r\n\r\n",
    ):
        with desk.api.line() as line:
            line.sendall(garbage.encode())
            everything(line)
    said = logs.getvalue()
    for hidden_text in (secret, token, token[4:20], TICKET.decode(), digest(token).hex()):
        assert hidden_text not in said
    assert said.count('"event": "request"') == len(tries) - 1  # a method that HTTP does not know never came so far
    assert id_ in said  # whose it was is told by the token's id
    assert "fail" in said
    assert "till_routes.py" in said  # and where it went wrong


def test_the_grep_finds_a_secret_that_is_there(logs: io.StringIO, desk: Desk) -> None:
    logging.getLogger("aiohttp.access").debug("GET /?key=s3cret1")
    structlog.get_logger().info("x", key="s3cret2")
    assert "s3cret1" in logs.getvalue()
    assert "s3cret2" in logs.getvalue()
    assert desk.api.port
