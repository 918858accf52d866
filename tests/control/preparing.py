"""What the tests of `fluxion system prepare` share: targets, the command, and a store whose database is to be prepared."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property

from control.prepare import Step, Target
from control.prepare_apply import opened, run
from fluxion.clock import SystemClock
from producers.source import Fault
from producers.sources.sqlserver import SQLServerConfig, SQLServerSource
from schemas.mapping import load, tables
from tests.conftest import Cloud
from tests.control.live import new_tenant
from tests.support import local
from tests.support.sqlserver import Database

ENOUGH_S = 40
STELLAR_TABLES = (
    "CREATE TABLE dbo.categorias (id int NOT NULL PRIMARY KEY, nombre nvarchar(80))",
    "CREATE TABLE dbo.productos (codigo nvarchar(20) NOT NULL PRIMARY KEY, nombre nvarchar(80), existencia decimal(18,4))",
    "CREATE TABLE dbo.ventas (id int NOT NULL PRIMARY KEY, numero_factura nvarchar(20), total decimal(18,4))",
    "CREATE TABLE dbo.detalle_ventas (id int NOT NULL PRIMARY KEY, venta_id int, cantidad decimal(18,4))",
)
AGENT_PASSWORD = "Agente'2026"


def target(
    template: str = "stellar", database: str = "tienda", user: str = "fluxion", name: str = "Principal"
) -> Target:
    return Target("7", name, database, "dbo", tuple(sorted(tables(load(template)))), user)


def new_system(cloud: Cloud, template: str, *words: str) -> str:
    command = ("system", "add", "--tenant", new_tenant(cloud), "--template", template, "--name", "Principal", *words)
    return local.fluxion(*command, environment=cloud.environment).stdout.strip()


def prepare(cloud: Cloud, *words: str, **more: str) -> tuple[int, str, str]:
    done = local.fluxion("system", "prepare", *words, environment={**cloud.environment, **more}, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@contextmanager
def terminal(cloud: Cloud, *words: str, **more: str) -> Iterator[tuple[Callable[[str], str], Callable[[str], None]]]:
    """Run fluxion on a terminal: what waits for a text and returns all that was said, and what answers."""
    ours, its = os.openpty()
    command = [sys.executable, "-m", "fluxion.cli", *words]
    environment = {**os.environ, **cloud.environment, **more}
    running = subprocess.Popen(
        command, cwd=local.ROOT, env=environment, stdin=its, stdout=its, stderr=its, start_new_session=True
    )
    os.close(its)
    heard = ""

    def said(text: str) -> str:
        nonlocal heard
        deadline = time.monotonic() + ENOUGH_S
        while text not in heard:
            assert select.select([ours], [], [], max(0.0, deadline - time.monotonic()))[0], heard
            heard += os.read(ours, 65_536).decode(errors="replace")
        return heard

    def answer(text: str) -> None:
        time.sleep(0.2)  # what is typed before the echo is off would be thrown away
        os.write(ours, f"{text}\n".encode())

    try:
        yield said, answer
        assert running.wait(ENOUGH_S) == 0, heard
    finally:
        running.kill()
        running.wait()
        os.close(ours)


class Store:
    """A Stellar database that nothing is prepared in, and its system in the registry."""

    def __init__(self, cloud: Cloud, database: Database) -> None:
        self.cloud, self.database, self.server = cloud, database, database.server
        name = database.name
        database.run(
            *STELLAR_TABLES,
            f"ALTER DATABASE {name} SET CHANGE_TRACKING = OFF",
            f"ALTER DATABASE {name} SET ALLOW_SNAPSHOT_ISOLATION OFF",
        )
        self.user = f"agente_{name}"
        self.target = target(database=name, user=self.user)

    @cached_property
    def system(self) -> str:
        place = ("--host", self.server.host, "--port", str(self.server.port), "--database", self.database.name)
        return new_system(self.cloud, "stellar", *place, "--user", self.user)

    def apply(self, *words: str, **more: str) -> tuple[int, str, str]:
        passwords = {"FLUXION_SOURCE_PASSWORD": AGENT_PASSWORD, "FLUXION_ADMIN_PASSWORD": self.server.password}
        return prepare(self.cloud, self.system, "--apply", "--admin", self.server.user, *words, **{**passwords, **more})

    def run(self, steps: Sequence[Step], password: str = AGENT_PASSWORD) -> list[tuple[str, bool | None]]:
        """Run steps as --apply does; returns each statement and whether it changed something."""
        told: list[tuple[str, bool | None]] = []
        with opened(self.config(self.server.user, self.server.password)) as link:
            changed = run(link, tuple(steps), password, lambda _, step, acted: told.append((step.statement, acted)))
        assert changed == sum(1 for _, acted in told if acted)
        return told

    def config(self, user: str, password: str, *names: str) -> SQLServerConfig:
        return SQLServerConfig(self.server.host, self.server.port, user, self.database.name, frozenset(names), password)

    def faults(self, method: str = "auto") -> list[Fault]:
        """What the source finds missing, as the agent."""
        config = replace(self.config(self.user, AGENT_PASSWORD, *self.target.tables), method=str(method))
        source = SQLServerSource(config, SystemClock())
        try:
            return source.check()
        finally:
            source.close()

    def tracked(self) -> int:
        return len(self.database.run("SELECT object_id FROM sys.change_tracking_tables"))

    def granted(self) -> list[tuple[str, str]]:
        """The tables on which the agent has a permission of its own, and which."""
        return self.database.run(
            "SELECT t.name, p.permission_name FROM sys.database_permissions AS p JOIN sys.tables AS t ON t.object_id = p.major_id"
            f" WHERE p.grantee_principal_id = DATABASE_PRINCIPAL_ID(N'{self.user}') ORDER BY t.name, p.permission_name"
        )

    def switches(self) -> tuple[bool, bool]:
        """Whether snapshots are allowed, and change tracking is on."""
        ((snapshot,),) = self.database.run(
            "SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()"
        )
        rows = self.database.run("SELECT 1 FROM sys.change_tracking_databases WHERE database_id = DB_ID()")
        return snapshot == 1, bool(rows)

    def drop_login(self) -> None:
        """Drop what a dropped database leaves behind on its server."""
        with closing(self.server.connect()) as master:
            name = (self.user,)
            if master.execute("SELECT 1 FROM sys.server_principals WHERE name = ?", name).fetchall():
                master.execute(f"DROP LOGIN [{self.user}]")
