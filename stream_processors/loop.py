"""The safe loop, without Faust: an event is acknowledged only when every output of its batch is on the broker.

Nothing is raised out of it: a record that a pure step cannot take is poison; anything else ends the process with 70, and
Kafka delivers again what was not acknowledged. Outputs may be written twice, so ids and versions make them the same.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NoReturn

from confluent_kafka import KafkaError, KafkaException, Producer

from fluxion import metrics
from fluxion.clock import Clock
from fluxion.errors import AccessDeniedError, ConfigurationError, DependencyDownError, FluxionError, MappingError
from fluxion.log import get_logger
from fluxion.progress import RESTART_ME, Progress
from schemas.codec import Encoder
from schemas.records import CanonicalSet
from stream_processors.batch import Batch, Event
from stream_processors.drafts import OutOfRangeError, Raw, UnknownStoreError
from stream_processors.mappings import POLL_S, Found, Mappings
from stream_processors.pipeline import Chain
from stream_processors.poison import EndsWorkerError, UnknownSystemError, poison
from stream_processors.worknote import WorkNote

BATCH_EVENTS = 200
RETRY_S = 1.0
# How long a system that we do not know may hold up its neighbours while PostgreSQL is down.
UNKNOWN_WAIT_S = 30.0
MAX_UNKNOWN = 1000
# A store that nobody ever adds must not have the registry read for each of its records.
LOOK_AGAIN_S = 0.5
LOOK_TIMEOUT_S = 5.0


class SafeLoop:
    """Works events in batches. `ack` acknowledges one event to whoever delivered it."""

    def __init__(
        self,
        *,
        mappings: Mappings,
        encode: Encoder[CanonicalSet],
        producer: Producer,
        topic: str,
        note: WorkNote,
        progress: Progress,
        clock: Clock,
    ) -> None:
        self._mappings = mappings
        self._encode = encode
        self._producer = producer
        self._topic = topic
        self._note = note
        self._progress = progress
        self._clock = clock
        self._batch = Batch()
        self._closing = asyncio.Lock()
        self._ack: Callable[[Event], Awaitable[object]] | None = None
        self._unknown: dict[str, float] = {}
        self._looked = clock.monotonic() - LOOK_AGAIN_S
        self.in_step = False

    async def run(self, events: AsyncIterator[Event], ack: Callable[[Event], Awaitable[object]]) -> None:
        """Work events until cancelled."""
        self._ack = ack
        try:
            async for event in events:
                await self._work(event)
        except asyncio.CancelledError:  # an orderly stop, or a rebalance
            raise
        except BaseException as fault:  # noqa: BLE001 -- Faust would acknowledge what we failed on
            self.end(f"{type(fault).__name__}: {fault}")

    async def close_every(self, seconds: float) -> None:
        """Close the batch at this interval, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.close()
            except asyncio.CancelledError:
                raise
            except BaseException as fault:  # noqa: BLE001 -- as above
                self.end(f"{type(fault).__name__}: {fault}")

    async def close(self) -> None:
        """Acknowledge the batch's events once its outputs are on the broker."""
        async with self._closing:  # (1) one at a time, so acknowledgements keep their order
            batch, self._batch = self._batch, Batch()  # (2) a closing batch takes no more events
            if not batch.events or self._ack is None:
                return
            await asyncio.to_thread(self._wait, batch)  # (3) every output of its own is confirmed
            for event in batch.events:  # (4) in offset order
                await self._ack(event)
            self._note.done(batch.raws)
            self._progress.finished(len(batch.events))
            metrics.BATCH.observe(len(batch.events))

    def end(self, reason: str) -> NoReturn:
        """End the process so that its supervisor starts another."""
        get_logger().error("worker ends, to be started again", reason=reason)
        self._exit(RESTART_ME)

    def leave(self) -> NoReturn:
        """End the process at once, as told: what is not acknowledged is delivered again."""
        get_logger().warning("worker ends before it could stop in order, its open records come again")
        self._exit(0)

    def _exit(self, status: int) -> NoReturn:
        if not self.in_step:  # a record whose step hangs is found by its note
            self._note.clear()
        os._exit(status)

    def _wait(self, batch: Batch) -> None:
        """Wait for the broker; the producer gives up by itself, after its message time-out."""
        beat = self._clock.monotonic()
        while not batch.confirmed():
            self._producer.poll(0.002)
            if self._clock.monotonic() - beat > RETRY_S:
                beat = self._clock.monotonic()
                self._progress.waiting("Kafka", "outputs are not confirmed yet")

    async def _work(self, event: Event) -> None:
        record = event.message
        raw = Raw(record.topic, record.partition, record.offset, event.value or b"")
        alone = self._note.suspected(raw)
        if alone:
            await self.close()
        self._note.begin(raw)
        value = await self._made(raw, event)
        batch = self._batch
        batch.events.append(event)
        batch.raws.append(raw)
        try:
            self._send(batch, event.key, value)
        except KafkaException as fault:
            if fault.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise
            large = OutOfRangeError(f"its canonical set has {len(value)} bytes, too many for Kafka", "report it")
            self._send(batch, event.key, self._set_aside(raw, event, 0, large))
        if alone or len(batch.events) >= BATCH_EVENTS:
            await self.close()

    def _send(self, batch: Batch, key: bytes | None, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._topic, value, key, on_delivery=batch.delivered)
            except BufferError:  # the local queue is full: let deliveries happen
                self._producer.poll(0.1)
            else:
                batch.produced += 1
                self._producer.poll(0)
                return

    async def _made(self, raw: Raw, event: Event) -> bytes:
        """Return the output of a record. Waits for the registries; never raises for the record's own faults."""
        if self._note.convicted(raw):
            return self._set_aside(raw, event, 0, EndsWorkerError("it ended its worker three times", "report it"))
        system_id = _system_id(event)
        found = self._mappings.find(system_id) or await self._looked_up(system_id)
        if found is None:
            fault = UnknownSystemError(
                f"the registry knows no system {system_id!r}", "add it with `fluxion system add`"
            )
            return self._set_aside(raw, event, 0, fault)
        made, is_store_unknown = await self._mapped(raw, event, *found)
        if is_store_unknown and (fresh := await self._fresher(system_id, found[0])) is not None:
            made, _ = await self._mapped(raw, event, *fresh)
        return made

    async def _mapped(self, raw: Raw, event: Event, revision: int, chain: Chain | MappingError) -> tuple[bytes, bool]:
        """Return a record's output at one revision, and whether a row of it names a store that is unknown there."""
        if isinstance(chain, MappingError):
            return self._set_aside(raw, event, revision, chain), False
        waited = False
        while True:
            try:
                # Whoever waits for the schema registry does it in a thread, so that the consumer lives on.
                return await asyncio.to_thread(self._stepped, raw, chain) if waited else self._stepped(raw, chain)
            except (DependencyDownError, ConfigurationError, AccessDeniedError) as fault:
                waited = True
                self._progress.waiting("schema registry", fault.message)
                await asyncio.sleep(RETRY_S)
            except MemoryError:
                raise
            except Exception as fault:  # noqa: BLE001 -- a pure step failed: this record is poison, its neighbours are not
                return self._set_aside(raw, event, revision, fault), False

    def _stepped(self, raw: Raw, chain: Chain) -> tuple[bytes, bool]:
        self.in_step = True
        try:
            made = chain(raw)
            metrics.count("mapped")
            return self._encode(made), any(entry.code == UnknownStoreError.code for entry in made.quarantined)
        finally:
            self.in_step = False

    def _set_aside(self, raw: Raw, event: Event, revision: int, fault: Exception) -> bytes:
        metrics.count("set_aside")
        get_logger().warning("record set aside", partition=raw.partition, offset=raw.offset, reason=str(fault))
        return self._encode(poison(raw, _system_id(event), int(event.message.timestamp * 1000), revision, fault))

    async def _fresher(self, system_id: str, revision: int) -> Found | None:
        """Read the registry for a store that may be new; None where it brings nothing newer than `revision`.

        Never waits for PostgreSQL that is down, and reads at most every 0.5 s, whoever asks.
        """
        now = self._clock.monotonic()
        if not self._mappings.down and now - self._looked >= LOOK_AGAIN_S:
            self._looked = now
            try:
                await asyncio.wait_for(asyncio.to_thread(self._mappings.refresh), LOOK_TIMEOUT_S)
            except Exception as fault:  # noqa: BLE001 -- whatever it is, the last known mappings are what there is
                self._mappings.failed(fault)
        found = self._mappings.find(system_id)
        return found if found is not None and found[0] > revision else None

    async def _looked_up(self, system_id: str) -> Found | None:
        """Read the registry again for a system that is new, at most every 2 s for each."""
        began = self._clock.monotonic()
        if began - self._unknown.get(system_id, began - POLL_S) < POLL_S:
            return None
        while True:
            try:
                await asyncio.to_thread(self._mappings.refresh)
                break
            except FluxionError as fault:
                if self._clock.monotonic() - began > UNKNOWN_WAIT_S:
                    break
                self._progress.waiting("PostgreSQL", fault.message)
                await asyncio.sleep(RETRY_S)
        if len(self._unknown) >= MAX_UNKNOWN:
            self._unknown.clear()
        self._unknown[system_id] = self._clock.monotonic()
        return self._mappings.find(system_id)


def _system_id(event: Event) -> str:
    """The key names the system, so that it is known even where the value cannot be read."""
    return (event.key or b"").decode("utf-8", "backslashreplace")
