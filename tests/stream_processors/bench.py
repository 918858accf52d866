"""A safe loop on a bench: its producer is the real one, and nobody answers it."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluxion import kafka
from fluxion.clock import Clock, SystemClock
from fluxion.errors import DependencyDownError
from fluxion.progress import Progress
from fluxion.registry import System
from schemas.codec import Decoder, Encoder, schema_text
from schemas.records import CanonicalSet
from schemas.topics import RECORDS
from stream_processors.batch import Event
from stream_processors.drafts import Raw
from stream_processors.loop import SafeLoop
from stream_processors.mappings import Mappings
from stream_processors.pipeline import Chain, records
from stream_processors.steps.map import Mapping
from stream_processors.worknote import WorkNote
from tests.stream_processors.sets import DECODE, ENCODE, SALE, SYSTEM, TRANSACTIONS, change_set, system

NOBODY = "127.0.0.1:1"
GOOD = ENCODE(change_set((TRANSACTIONS, "c", 0, SALE)))
READ: Decoder[CanonicalSet] = Decoder("canonical_set", CanonicalSet, lambda _: schema_text("canonical_set"))


@dataclass
class At:
    topic: str
    partition: int
    offset: int
    timestamp: float = 1_795_000_000.5


@dataclass
class Came:
    key: bytes | None
    value: bytes | None
    message: Any


def raw(offset: int, value: bytes = GOOD) -> Raw:
    return Raw("pos.changes.v1", 4, offset, value)


def event(offset: int, value: bytes = GOOD, system_id: str = SYSTEM) -> Event:
    return Came(system_id.encode(), value, At("pos.changes.v1", 4, offset))


class Looks(Mappings):
    """Mappings that count how often PostgreSQL is asked, and what it then has: another revision, or no answer (None)."""

    def __init__(self, then: System | None) -> None:
        super().__init__("", lambda mapping: records(DECODE, mapping), SystemClock())
        self.then = then
        self.count = 0

    def refresh(self) -> None:
        self.count += 1
        if self.then is None:
            raise DependencyDownError("PostgreSQL does not answer", "check that it runs")
        self._known = self._renewed({SYSTEM: self.then})


class Bench:
    """A loop whose outputs are caught on the way to a broker that does not answer for half a second, and then gives up."""

    def __init__(
        self,
        folder: Path,
        chain: Chain | None = None,
        mappings: Mappings | None = None,
        clock: Clock | None = None,
        topic: str = RECORDS.name,
    ) -> None:
        mappings = mappings or Looks(system())
        mappings._known = {SYSTEM: (3, chain or records(DECODE, Mapping(system())))}
        self.note = WorkNote(folder)
        self.producer = kafka.producer(NOBODY, **{"message.timeout.ms": 500, "log_level": 0})
        self.progress = Progress(SystemClock())
        self.acked: list[int] = []
        self.loop = SafeLoop(
            mappings=mappings,
            encode=Encoder("canonical_set", 2),
            producer=self.producer,
            topic=topic,
            note=self.note,
            progress=self.progress,
            clock=clock or SystemClock(),
        )
        self.loop._ack = self._ack

    async def _ack(self, one: Event) -> None:
        self.acked.append(one.message.offset)

    def made(self, value: bytes, system_id: str = SYSTEM) -> CanonicalSet:
        return READ(run(self.loop._made(raw(5, value), event(5, value, system_id))))


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)
