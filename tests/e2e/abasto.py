"""A shop with a template of its own and the four real processes behind it; what PostgreSQL and the public topic say of it."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pymysql
from confluent_kafka import TopicPartition

from control.registry import NewSystem, add_store, add_system, add_tenant
from deploy.demo.supervisor import Supervisor
from deploy.demo.watch import first_ends
from fluxion.kafka import consumer
from fluxion.postgres import APP, STAGE, connect
from fluxion.registry import load_system
from fluxion.schema_registry import SchemaRegistry
from schemas.codec import Decoder
from schemas.events import EventSale, SaleEvent
from schemas.mapping import load
from schemas.topics import SALE_EVENTS
from tests.conftest import Cloud
from tests.e2e.conftest import end_together
from tests.support import local

T = TypeVar("T")
HERE = Path(__file__).parent
WITHIN_S = 60.0
# Longer than the 2 s that a sale stays quiet, and than settling in these tests.
QUIET_S = 4.0
SETTLE_S = 3


class Abasto:
    """One shop."""

    def __init__(self, cloud: Cloud, home: Path, database: str) -> None:
        self.cloud, self.home, self.database = cloud, home, database
        self.supervisor = Supervisor(
            home / "logs",
            {**cloud.environment, "FLUXION_SOURCE_PASSWORD": "cdc", "FLUXION_WORK_DIR": str(home / "work")},
        )
        self.tenant = self.system = self.store = ""
        self._decode = Decoder("sale_event", SaleEvent, SchemaRegistry(cloud.stack.registry).schema_text)

    def prepare(self) -> None:
        """Make the database, register tenant, system and shop, enrol the agent."""
        (self.home / "work").mkdir(parents=True)
        self.pos(*[part for part in (HERE / "tickets.sql").read_text().split(";") if part.strip()])
        where = {"host": self.cloud.stack.mariadb_host, "port": self.cloud.stack.mariadb_port}
        connection = {**where, "user": "cdc", "database": self.database}
        dsn = self.cloud.stack.postgres
        with connect(dsn, APP) as link:
            self.tenant = add_tenant(link, "Abasto La Esquina")
            template = load(HERE / "tickets.yaml")
            self.system = add_system(
                link, self.tenant, NewSystem("Abasto", template, connection, {"settle_seconds": SETTLE_S})
            )
        with connect(dsn, STAGE) as link:
            owner = load_system(link, self.system)
        with connect(dsn, APP) as link:
            self.store = add_store(link, owner, "La Esquina", None, "America/Caracas")
        self.fluxion("agent", "enrol", "--system", self.system, "--home", str(self.home / "agent"))
        with self._reader() as reader:
            self._from = dict(first_ends(reader, SALE_EVENTS))

    def start(self) -> None:
        """Start the processes and wait until the first snapshot is whole."""
        for name in ("relay", "sink", "processor"):
            self.supervisor.start(name, [name, "run"])
        self.start_agent()
        self.wait(lambda: self.agent_status()["snapshot"] == "whole" or None, "the first snapshot")

    def start_agent(self) -> None:
        self.supervisor.start("agent", ["agent", "run", "--home", str(self.home / "agent")])

    def agent_status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.fluxion("agent", "status", "--home", str(self.home / "agent"), "--json")
        )
        return found

    def fluxion(self, *words: str) -> str:
        return local.fluxion(*words, environment=self.supervisor.environment).stdout

    def pos(self, *statements: str) -> None:
        """Run statements in one transaction."""
        stack = self.cloud.stack
        with pymysql.connect(host=stack.mariadb_host, port=stack.mariadb_port, user="root") as link:
            with link.cursor() as cursor:
                cursor.execute(f"create database if not exists {self.database} character set utf8mb4")
                cursor.execute(f"use {self.database}")
                for statement in statements:
                    cursor.execute(statement)
            link.commit()

    def query(self, query: str) -> list[tuple[Any, ...]]:
        """Read what the point of sale holds."""
        stack = self.cloud.stack
        with (
            pymysql.connect(
                host=stack.mariadb_host, port=stack.mariadb_port, user="root", database=self.database
            ) as link,
            link.cursor() as cursor,
        ):
            cursor.execute(query)
            return list(cursor.fetchall())

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Read as the tenant."""
        with connect(self.cloud.stack.postgres, APP) as link:
            link.execute("select set_config('fluxion.tenant_id', %s, true)", [self.tenant])
            return link.execute(query.encode(), values).fetchall()

    def wait(self, look: Callable[[], T | None], what: str) -> T:
        """Look again until it is there."""
        deadline = time.monotonic() + WITHIN_S
        while not (found := look()):
            assert time.monotonic() < deadline, f"{what} did not come; see {self.home / 'logs'}"
            time.sleep(0.2)
        return found

    def sale(self, key: int) -> tuple[Any, ...] | None:
        """Return (status, doc_type, total, purged, announced) of a document, once it is there."""
        found = self.rows(
            "select status, doc_type, total, purged_at is not null, announced_version is not null"
            " from fluxion.sales where external_id = %s and has_header",
            str(key),
        )
        return found[0] if found else None

    def events(self) -> list[tuple[str, str, EventSale]]:
        """Return (ce_id, type, sale) of this tenant in the order of the topic."""
        found = []
        with self._reader() as reader:
            now = {p: end for p, end in first_ends(reader, SALE_EVENTS) if end > self._from[p]}
            reader.assign([TopicPartition(SALE_EVENTS.name, p, self._from[p]) for p in now])
            while now:
                message = reader.poll(10)
                assert message is not None
                assert message.error() is None
                if (partition := message.partition() or 0) not in now:
                    continue  # what came since we looked where the ends are
                if (message.offset() or 0) + 1 >= now[partition]:
                    del now[partition]
                event = self._decode(message.value() or b"")
                if event.tenant_id == self.tenant:
                    pairs: Any = message.headers() or []
                    headers = {name: value.decode() for name, value in pairs}
                    found.append((headers["ce_id"], headers["ce_type"], event.sale))
        return found

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        reader = consumer(self.cloud.stack.kafka, f"test-{self.database}")
        try:
            yield reader
        finally:
            reader.close()


@contextmanager
def open_abasto(cloud: Cloud, home: Path) -> Iterator[Abasto]:
    """Open a shop for the tests of a module; its processes end with it."""
    shop = Abasto(cloud, home, f"abasto_{os.getpid()}_{time.time_ns() % 1_000_000}")
    try:
        shop.prepare()
        shop.start()
        yield shop
    finally:
        end_together(shop.supervisor)
        shop.pos(f"drop database {shop.database}")
