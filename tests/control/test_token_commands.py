"""`fluxion token` as a person runs it: the token is printed once, its faults are sentences."""

import pytest

from fluxion.http.tokens import PATTERN, digest
from fluxion.postgres import STAGE, connect
from tests.conftest import Cloud
from tests.control.live import new_tenant
from tests.control.test_commands import add_system, refused, run
from tests.support import local

NOBODY = "00000000-0000-4000-8000-000000000000"


def test_a_token_is_printed_once_listed_without_itself_and_revoked(cloud: Cloud) -> None:
    tenant = new_tenant(cloud)
    made = local.fluxion(
        "token", "create", "agente de Chacao", "--tenant", tenant, "--scope", "agent", "--scope", "webhook",
        environment=cloud.environment,
    )  # fmt: skip
    token = made.stdout.strip()
    assert PATTERN.fullmatch(token)
    assert token not in made.stderr
    assert "not shown again" in made.stderr
    id_ = made.stderr.split()[1].rstrip(";")
    with connect(cloud.stack.postgres, STAGE) as link:
        stored = link.execute(
            "select id::text, scopes from pos_integration.api_tokens where token_hash = %s", [digest(token)]
        )
        assert stored.fetchall() == [(id_, ["agent", "webhook"])]
    shown = run(cloud, "token", "list", "--tenant", tenant)
    assert [part in shown for part in (id_, "agente de Chacao", "agent, webhook", f"tenant {tenant}", "good")] == [
        True
    ] * 5
    assert token[4:20] not in shown
    assert "revoked" in run(cloud, "token", "revoke", id_)
    assert "revoked" in run(cloud, "token", "list")
    code, said = refused(cloud, "token", "revoke", id_)
    assert (code, "already" in said) == (1, True)


def test_a_token_of_a_system_or_a_store_says_so(cloud: Cloud) -> None:
    system = add_system(cloud, new_tenant(cloud))
    store = run(cloud, "store", "add", "Chacao", "--system", system, "--external-id", "1")
    run(cloud, "token", "create", "caja", "--system", system, "--scope", "webhook", "--days", "1")
    run(cloud, "token", "create", "agente", "--store", store, "--scope", "agent")
    shown = run(cloud, "token", "list")
    assert f"system {system}" in shown
    assert f"store {store}" in shown


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        ((), "exactly one"),
        (("--tenant", "TENANT", "--system", NOBODY), "exactly one"),
        (("--tenant", NOBODY), "tenant list"),
        (("--system", NOBODY), "system list"),
        (("--store", "7"), "store list"),
        (("--tenant", "TENANT", "--days", "0"), "1 to 3650 days"),
        (("--tenant", "TENANT", "--days", "99999"), "1 to 3650 days"),
    ],
)
def test_a_token_for_nothing_is_refused(cloud: Cloud, words: tuple[str, ...], mend: str) -> None:
    tenant = new_tenant(cloud)
    words = tuple(tenant if word == "TENANT" else word for word in words)
    code, said = refused(cloud, "token", "create", "x", "--scope", "read", *words)
    assert code == 78
    assert mend in said


def test_a_name_or_a_token_that_is_none_is_refused(cloud: Cloud) -> None:
    code, said = refused(cloud, "token", "create", " ", "--scope", "read", "--tenant", new_tenant(cloud))
    assert (code, "1 to 200" in said) == (78, True)
    for id_ in (NOBODY, "flx"):
        code, said = refused(cloud, "token", "revoke", id_)
        assert (code, "token list" in said) == (78, True)


def test_a_scope_that_does_not_exist_is_a_mistake_of_usage(cloud: Cloud) -> None:
    done = local.fluxion(
        "token", "create", "x", "--scope", "root", "--tenant", NOBODY, environment=cloud.environment, check=False
    )
    assert done.returncode == 2
    assert "webhook" in done.stderr
