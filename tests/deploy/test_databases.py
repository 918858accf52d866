"""What compose's PostgreSQL runs when it is new: logins that can do their own work, and nothing else."""

import dataclasses
import os
import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from deploy import stack as local_stack
from deploy.stack import lifecycle, postgres
from deploy.stack.state import State
from fluxion.postgres import APP, SINK, STAGE, connect
from sinks.migrate import migrate
from tests.support import local

LOGINS = {
    "processor": "fluxion_processor",
    "sink": "fluxion_writer",
    "relay": "fluxion_relay",
    "agent": "fluxion_agent",
}
SECRETS = ["OWNER", "PROCESSOR", "SINK", "RELAY", "AGENT", "REGISTRY"]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A new PostgreSQL after databases.sh; `{}` in the address is for user:password."""
    with local.open_folder() as home:
        base = local.free_base_port()
        state = State(home)
        state.remember_base_port(base)
        try:
            service = postgres.postgres(home / "postgres", base)
            lifecycle._bring_up(dataclasses.replace(service, when_ready=lambda: None), state, [])
            passwords = {f"{name}_PASSWORD": f"{name.lower()}'s secret" for name in SECRETS}
            where = {"PGHOST": "127.0.0.1", "PGPORT": str(service.port), "POSTGRES_USER": "postgres"}
            script = ["sh", str(local.ROOT / "deploy" / "compose" / "databases.sh")]
            subprocess.run(script, env={**os.environ, **where, **passwords}, check=True, timeout=60)
            yield f"host=127.0.0.1 port={service.port} dbname=fluxion"
        finally:
            local_stack.down(home)


def login(server: str, user: str, name: str) -> str:
    return f"{server} user={user} password='{name}\\'s secret'"


def test_the_owner_migrates_and_each_process_can_take_its_role_only(server: str) -> None:
    migrate(login(server, "fluxion_owner", "owner"))
    for name, user in LOGINS.items():
        mine, others = (STAGE, [APP, SINK]) if name in {"processor", "agent"} else (SINK, [APP, STAGE])
        with connect(login(server, user, name), mine) as link:
            link.execute("select count(*) from pos_integration.pos_systems")
        for other in others:
            with pytest.raises(Exception, match="permission denied"):
                connect(login(server, user, name), other)
        with psycopg.connect(login(server, user, name)) as bare, pytest.raises(psycopg.errors.InsufficientPrivilege):
            bare.execute("select count(*) from pos_integration.pos_systems")


def test_the_schema_registrys_login_does_not_enter_the_projects_database(server: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="CONNECT"):
        psycopg.connect(login(server, "registry", "registry"))
