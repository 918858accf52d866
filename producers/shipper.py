"""The shipper: what the journal holds and Kafka has not acknowledged, in order, again until it is acknowledged."""

import threading
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from fluxion import kafka
from fluxion.log import get_logger
from producers.journal import Journal
from producers.packing import MAX_BYTES, MAX_ROWS, Sender, pack
from schemas.codec import Encoder
from schemas.records import ChangeSet
from schemas.topics import CHANGES

# A batch is what is in flight at once: a few records, so that a backlog is not bound by round trips.
_RECORDS = 8
_IDLE_S = 1.0
_POLL_S = 0.1
_RETRY_S = (0.5, 1.0, 2.0, 5.0)

# From the contract's subject to its id at the schema registry; may wait for as long as that is down.
SchemaId = Callable[[], int]


class Shipper:
    """Ships one journal. `wake` is set whenever the journal grew; `stop` ends `run` within a second.

    A batch is acknowledged in the journal only after every one of its records was: whatever else happens, the same
    records are sent again, with the same sequences and versions.
    """

    def __init__(
        self, journal: Journal, sender: Sender, servers: str, wake: threading.Event, stop: threading.Event
    ) -> None:
        self._journal = journal
        self._sender = sender
        self._servers = servers
        self._wake = wake
        self._stop = stop
        self._producer: Any = None

    def run(self, schema_id: SchemaId) -> None:
        """Ship until stopped."""
        encode: Encoder[ChangeSet] = Encoder("change_set", schema_id())
        position = self._journal.acknowledged_position()
        failures = 0
        while not self._stop.is_set():
            # Cleared first: what is appended after the look wakes us again.
            self._wake.clear()
            batch = self._journal.unshipped(_RECORDS * MAX_ROWS, _RECORDS * MAX_BYTES)
            if not batch:
                self._wake.wait(_IDLE_S)
                continue
            # (1) send; (2) wait for every report; (3) only then acknowledge
            fault = self._deliver([encode(record) for record in pack(batch, self._sender, position)])
            if fault is None:
                self._journal.acknowledge(batch[-1].sequence)
                position = batch[-1].capture.position
                failures = 0
            elif not self._stop.is_set():
                self._report(fault, batch[0].sequence)
                self._stop.wait(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1

    def _deliver(self, records: list[bytes]) -> KafkaError | None:
        """Send and wait for all reports; the first error, or None where all arrived."""
        if self._producer is None:
            self._producer = kafka.producer(self._servers)
        reports: list[KafkaError | None] = []
        key = self._sender.system_id.encode()
        try:
            for record in records:
                self._producer.produce(CHANGES.name, record, key, on_delivery=lambda error, _: reports.append(error))
        except KafkaException as fault:  # a producer that failed for good refuses to take more
            reports.append(fault.args[0])
            self._abandon()
        while self._producer is not None and len(reports) < len(records):
            self._producer.poll(_POLL_S)
            if self._stop.is_set():
                self._abandon()
        errors = [error for error in reports if error is not None]
        if any(error.fatal() for error in errors):
            self._abandon()
        if errors:
            return errors[0]
        return None if len(reports) == len(records) else KafkaError(KafkaError._PURGE_QUEUE)  # noqa: SLF001 -- its name

    def _abandon(self) -> None:
        """Drop the producer with what it still holds."""
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def _report(self, fault: KafkaError, sequence: int) -> None:
        mend = "run `fluxion topics create`" if "Unknown topic" in fault.str() else "it is sent again"
        get_logger().warning("kafka did not take a batch", reason=fault.str(), sequence=sequence, mend=mend)
