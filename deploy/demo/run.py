"""The demo as a course of events: prepare, start everything, sell, drain, reckon. Screen and tests drive it alike."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from control.contracts import register_contracts
from control.registry import NewSystem, add_store, add_system, add_tenant
from control.topics import create_topics
from deploy.demo.pos import Pos
from deploy.demo.reckoning import Reckoning, latencies_ms, read_postgres, reckon
from deploy.demo.registers import Registers
from deploy.demo.supervisor import Supervisor
from deploy.demo.systimax import Systimax
from deploy.demo.watch import EventWatcher, TopicCounter
from deploy.stack import Stack
from fluxion.clock import SystemClock
from fluxion.errors import DependencyDownError
from fluxion.postgres import APP, STAGE, connect
from fluxion.registry import load_system
from producers.journal import Journal
from schemas.mapping import load
from schemas.topics import CHANGES, RECORDS
from sinks.migrate import migrate

# Made anew by every run, so never a name that a person would choose.
DATABASE = "fluxion_demo"
PROCESSES = ("agent", "processor", "sink", "relay")
READY_TIMEOUT_S = 90.0
DRAIN_TIMEOUT_S = 120.0
# After all sides agree the topic is watched on: a doubled event would come late.
AFTERWARDS_S = 1.5


@dataclass(frozen=True)
class Counts:
    """How far the sales have come: at the registers, in the journal, in both topics, in PostgreSQL, in the public topic."""

    pos: int
    journal: int
    changes: int
    records: int
    postgres: int
    events: int
    total: Decimal


class Demo:
    """One run on a stack that is up. `home` is a fresh folder of this run; the POS database is made anew."""

    def __init__(
        self, stack: Stack, home: Path, sales_per_second: float, past_sales: int = 0, pos: Pos | None = None
    ) -> None:
        self.stack, self.home, self.past_sales = stack, home, past_sales
        self.pos = pos or Systimax(stack.mariadb_host, stack.mariadb_port, "app", "app", DATABASE)
        self.registers = Registers(self.pos, sales_per_second)
        environment = {
            "FLUXION_DATABASE": stack.postgres,
            "FLUXION_KAFKA": stack.kafka,
            "FLUXION_SCHEMA_REGISTRY": stack.registry,
            "FLUXION_SOURCE_PASSWORD": self.pos.agent_password,
            "FLUXION_WORK_DIR": str(home / "work"),
        }
        self.environment = environment
        self.supervisor = Supervisor(home / "logs", environment)
        self.tenant_id = self.system_id = ""

    def prepare(self) -> None:
        """(1) tables, topics, schemas; (2) the POS; (3) tenant, system, shops; (4) the agent's enrolment."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "work").mkdir(exist_ok=True)
        migrate(self.stack.postgres)
        create_topics(self.stack.kafka, 1)
        register_contracts(self.stack.registry)
        self.pos.create(self.past_sales)
        with connect(self.stack.postgres, APP) as link:
            self.tenant_id = add_tenant(link, "Bodegón de muestra")
            template = load(self.pos.template)
            system = NewSystem(f"{template.title} de muestra", template, dict(self.pos.connection), {})
            self.system_id = add_system(link, self.tenant_id, system)
        for shop, name in self.pos.shops.items():
            with connect(self.stack.postgres, STAGE) as link:
                owner = load_system(link, self.system_id)
            with connect(self.stack.postgres, APP) as link:
                add_store(link, owner, name, str(shop) if shop else None, "America/Caracas")
        self._fluxion("agent", "enrol", "--system", self.system_id, "--home", str(self.home / "agent"))
        self._journal = Journal(self.home / "agent" / "journal.db", SystemClock(), create=False)
        self.events = EventWatcher(self.stack.kafka, self.stack.registry, self.tenant_id)
        self.topics = {topic.name: TopicCounter(self.stack.kafka, topic) for topic in (CHANGES, RECORDS)}
        self._reader = connect(self.stack.postgres, APP)

    def start(self, *, kafka_for_agent: str | None = None) -> None:
        """Start the four processes and the watcher. `kafka_for_agent`: another address, behind a line that can be cut."""
        self.events.start()
        self.supervisor.start("relay", ["relay", "run"])
        self.supervisor.start("sink", ["sink", "run"])
        self.supervisor.start("processor", ["processor", "run"])
        more = {"FLUXION_KAFKA": kafka_for_agent} if kafka_for_agent else {}
        self.supervisor.start("agent", ["agent", "run", "--home", str(self.home / "agent")], more)

    def wait_until_ready(self) -> None:
        """Until the first snapshot is in PostgreSQL, so that all four processes have worked."""
        stock = len(self.pos.read().stock)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while len(read_postgres(self.stack.postgres, self.tenant_id).stock) < stock:
            if time.monotonic() > deadline:
                message = f"the first snapshot did not arrive in {READY_TIMEOUT_S:.0f} s"
                raise DependencyDownError(message, f"read the logs in {self.home / 'logs'}")
            time.sleep(0.2)

    def counts(self) -> Counts:
        """Where the sales are; called by the screen."""
        with self._reader.transaction():
            self._reader.execute("select set_config('fluxion.tenant_id', %s, true)", [self.tenant_id])
            row = self._reader.execute(
                "select count(*), coalesce(sum(total), 0) from fluxion.sales where has_header"
            ).fetchone()
        sales, total = row or (0, Decimal(0))
        # The furthest stage first: read the other way round, a sale could seem to be ahead of itself.
        return Counts(
            events=self.events.count(),
            postgres=sales,
            total=total,
            records=self.topics[RECORDS.name].count(),
            changes=self.topics[CHANGES.name].count(),
            journal=self._journal.state().last_sequence,
            pos=len(self.registers.committed) + self.past_sales,
        )

    def drain(self, tick: Callable[[], None] = lambda: None, within_s: float = DRAIN_TIMEOUT_S) -> Reckoning:
        """After the shops closed: wait until all sides agree or the time is up, then watch a little longer and reckon."""
        deadline = time.monotonic() + within_s
        while not self.reckon().agrees and time.monotonic() < deadline:
            tick()
            time.sleep(0.5)
        time.sleep(AFTERWARDS_S)
        return self.reckon()

    def reckon(self) -> Reckoning:
        """Compare the three sides as they are now."""
        return reckon(self.pos.read(), read_postgres(self.stack.postgres, self.tenant_id), dict(self.events.sales))

    def latency_ms(self) -> dict[str, float]:
        """p50, p95, max over all sales that arrived so far."""
        committed = {str(sale): at for sale, at in list(self.registers.committed.items())}
        return latencies_ms(committed, dict(self.events.sales))

    def stop(self) -> None:
        """End everything that this run started, in order."""
        self.supervisor.stop()
        if hasattr(self, "events"):
            self.events.stop()
            self._reader.close()
            self._journal.close()
            for counter in self.topics.values():
                counter.close()

    def _fluxion(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "fluxion.cli", *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DependencyDownError(f"fluxion {' '.join(arguments[:2])} failed: {done.stderr.strip()}")


def as_json(result: Reckoning, latency: dict[str, float]) -> dict[str, Any]:
    """The last line of `fluxion demo --json`."""
    return {
        "pos_sales": result.pos_sales,
        "postgres_sales": result.postgres_sales,
        "sale_created": result.sale_created,
        "pos_total": f"{result.pos_total:.2f}",
        "postgres_total": f"{result.postgres_total:.2f}",
        "stock_differences": result.stock_differences,
        "lost": result.lost,
        "duplicated": result.duplicated,
        "latency_ms": latency,
    }
