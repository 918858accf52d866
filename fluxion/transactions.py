"""Batches for Kafka, each one transaction: so that of two producers with one name only the newer can write.

Readers see records before the commit: the transaction is here for its fence, not to hide anything.
"""

from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer

from fluxion import kafka
from fluxion.errors import DependencyDownError, FencedError

_SLICE_S = 0.1
# An abort that the broker does not answer is given up: the next producer of this name does it.
_ABORT_S = 5.0
_FENCED = {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}  # noqa: SLF001 -- its names


class BatchProducer:
    """Sends as `name`, the transactional.id. The first send fences whoever sent under that name before.

    stopped: asked ten times a second; once it is true, `send` returns False. Used by one thread.
    """

    def __init__(self, servers: str, name: str, stopped: Callable[[], bool]) -> None:
        self._servers = servers
        self._name = name
        self._stopped = stopped
        self._producer: Producer | None = None

    def send(self, topic: str, key: bytes, values: Sequence[bytes]) -> bool:
        """Send values in order and return True when Kafka has all of them; False where it was stopped before.

        Raises DependencyDownError (send the same again) and FencedError (a newer producer of this name has begun, or the
        broker gave this one up while it was away: ask PostgreSQL which). In both cases Kafka may have any of them.
        """
        try:
            # (1) a name of our own; (2) send; (3) wait for every report; (4) commit
            producer = self._ready()
            producer.begin_transaction()
            reports: list[KafkaError | None] = []
            for value in values:
                producer.produce(topic, value, key, on_delivery=lambda error, _: reports.append(error))
            while len(reports) < len(values):
                producer.poll(_SLICE_S)
                self._end_if_stopped()
            errors = [error for error in reports if error is not None]
            if errors:
                raise self._abort(errors[0])
            self._until_done(producer.commit_transaction)
        except KafkaException as fault:
            raise self._abort(fault.args[0]) from None
        except _StoppedError:
            self.abandon()
            return False
        return True

    def abandon(self) -> None:
        """Drop the producer with what it still holds. The next `send` begins as a new one."""
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def _ready(self) -> Producer:
        if self._producer is None:
            # Longer than a line is usually away; the broker ends a transaction that its producer has forgotten.
            settings: dict[str, str | float] = {"transactional.id": self._name, "transaction.timeout.ms": 60_000}
            producer = kafka.producer(self._servers, **settings)
            self._until_done(producer.init_transactions)
            self._producer = producer
        return self._producer

    def _until_done(self, step: Callable[[float], None]) -> None:
        """Call a step that may be called again after its time-out, until it is done."""
        while True:
            self._end_if_stopped()
            try:
                step(_SLICE_S)
            except KafkaException as fault:
                if fault.args[0].retriable():
                    continue
                raise
            return

    def _abort(self, error: KafkaError) -> FencedError | DependencyDownError:
        """Make ready for the same batch again, and say what went wrong."""
        fenced = error.code() in _FENCED
        if self._producer is not None:
            try:
                self._producer.abort_transaction(_ABORT_S)
            except KafkaException as fault:  # for good, or too slow: a new producer aborts what this one left
                fenced = fenced or fault.args[0].code() in _FENCED
                self.abandon()
        if fenced:
            self.abandon()
            return FencedError(f"Kafka has fenced producer {self._name} ({error.str()})", "a newer one took over")
        mend = "run `fluxion topics create`" if "Unknown topic" in error.str() else "it is sent again"
        return DependencyDownError(f"Kafka did not take a batch ({error.str()})", mend)

    def _end_if_stopped(self) -> None:
        if self._stopped():
            raise _StoppedError


class _StoppedError(Exception):
    """The batch is given up because its sender ends."""
