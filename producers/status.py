"""Status events: how this agent fares, on pos.status.v1. Best effort: they never hold capture up and never end it."""

import json
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from fluxion import kafka
from fluxion.clock import Clock
from fluxion.errors import FluxionError
from fluxion.log import get_logger
from schemas.codec import Encoder
from schemas.status import Status, StatusKind
from schemas.topics import STATUS

HEARTBEAT_S = 10.0
WAITING_EVENTS = 1_000
# A line that is down for longer keeps what matters here, not in the producer.
TIMEOUT_MS = 30_000
FLUSH_S = 2.0
_LOOK_S = 0.5
_AGAIN_S = 30.0
# Outdated a moment later, so not worth a second try.
_FLEETING: frozenset[StatusKind] = frozenset({"heartbeat", "job_progress"})

# What a heartbeat says in `detail`: how the journal stands, what the agent does.
Facts = Callable[[], dict[str, Any]]


class Reporter:
    """Sends what `say` was told, from a thread of its own that calls `run`. schema_id: may wait for the schema registry."""

    def __init__(
        self, system_id: str, servers: str, schema_id: Callable[[], int], clock: Clock, ending: threading.Event
    ) -> None:
        self._system_id = system_id
        self._servers = servers
        self._schema_id = schema_id
        self._clock = clock
        self._ending = ending
        self._events: deque[Status] = deque(maxlen=WAITING_EVENTS)
        self._wake = threading.Event()
        self._producer: Any = None
        self._encode: Encoder[Status] | None = None
        self._journal_id: str | None = None
        self._epoch: int | None = None

    def identify(self, journal_id: str, epoch: int | None = None) -> None:
        """Say from now on which journal speaks, and under which epoch once that is known."""
        self._journal_id, self._epoch = journal_id, epoch

    def say(self, kind: StatusKind, *, fault: FluxionError | None = None, **fields: Any) -> None:
        """Send an event soon, from any thread; never waits. fault: fills code, message and mend; fields: as in `Status`.

        Where more wait than the line can hold, the oldest are dropped.
        """
        told = {"code": fault.code, "message": fault.message, "mend": fault.mend} if fault is not None else {}
        event = Status(
            system_id=self._system_id,
            kind=kind,
            at=self._clock.micros(),
            journal_id=self._journal_id,
            epoch=self._epoch,
            **{**told, **fields},
        )
        self._events.append(event)
        self._wake.set()

    def run(self, facts: Facts) -> None:
        """Send until the agent ends, with a heartbeat every 10 s, and what is left then."""
        heartbeat = self._clock.monotonic()
        while not self._ending.is_set():
            if self._clock.monotonic() >= heartbeat:
                heartbeat = self._clock.monotonic() + HEARTBEAT_S
                self._beat(facts)
            self._wake.wait(_LOOK_S)
            self._wake.clear()
            if not self._guarded(self._send_all):
                self._ending.wait(_AGAIN_S)
        self._guarded(self._send_all)
        if self._producer is not None:
            self._producer.flush(FLUSH_S)

    def _beat(self, facts: Facts) -> None:
        """A heartbeat that could not be sent makes way for the next."""
        if not any(event.kind == "heartbeat" for event in list(self._events)):
            self._guarded(lambda: self.say("heartbeat", detail=json.dumps(facts())))

    def _guarded(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except FluxionError as fault:
            get_logger().warning("status events are not sent", reason=str(fault))
            return False
        except KafkaException as fault:
            get_logger().warning("status events are not sent", reason=str(fault))
            self._producer = None
        return True

    def _send_all(self) -> None:
        if self._encode is None:
            self._encode = Encoder("status", self._schema_id())
        if self._producer is None:
            limits: dict[str, float] = {
                "message.timeout.ms": TIMEOUT_MS,
                "queue.buffering.max.messages": WAITING_EVENTS,
            }
            self._producer = kafka.producer(self._servers, **limits)
        while self._events:
            event = self._events.popleft()
            try:
                value = self._encode(event)
                self._producer.produce(STATUS.name, value, event.system_id.encode(), on_delivery=self._report(event))
            except BufferError:
                self._events.appendleft(event)
                break
        self._producer.poll(0)

    def _report(self, event: Status) -> Callable[[KafkaError | None, object], None]:
        def report(fault: KafkaError | None, _: object) -> None:
            if fault is None:
                return
            if event.kind not in _FLEETING and len(self._events) < WAITING_EVENTS:
                self._events.appendleft(event)
            if fault.fatal():
                self._producer = None

        return report
