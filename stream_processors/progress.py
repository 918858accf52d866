"""What the safe loop tells its watchdog, and the watchdog: a worker with lag and no progress is ended and started again."""

import threading
from collections.abc import Callable
from typing import Protocol

from confluent_kafka import Consumer, KafkaException, TopicPartition

from fluxion.clock import Clock
from fluxion.log import get_logger

STALL_S = 60.0
CHECK_S = 5.0
KAFKA_TIMEOUT_S = 5.0
SAY_AGAIN_S = 10.0


class SaidBefore:
    """Keeps a line that would repeat every second to its first time, and then one every 10 s for each subject."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[str, float] = {}

    def due(self, subject: str) -> bool:
        """Tell whether to say it now; asking counts as saying."""
        now = self._clock.monotonic()
        if now - self._said.get(subject, now - SAY_AGAIN_S) < SAY_AGAIN_S:
            return False
        self._said[subject] = now
        return True


class Progress:
    """Counts what was finished, and every wait for a dependency that has a name; read by another thread."""

    def __init__(self, clock: Clock) -> None:
        self._count = 0
        self._said = SaidBefore(clock)

    @property
    def count(self) -> int:
        """Rises with whatever is progress."""
        return self._count

    def finished(self, records: int) -> None:
        """Records whose outputs are confirmed."""
        self._count += records

    def waiting(self, dependency: str, reason: str) -> None:
        """Waiting for a named dependency is progress; it is said at once, then every 10 s."""
        self._count += 1
        if self._said.due(dependency):
            get_logger().warning("waiting", dependency=dependency, reason=reason)


class Lag(Protocol):
    """Where a group stands."""

    def committed(self) -> dict[int, int]:
        """Partition → next offset to read, of those with records behind it; raises KafkaException."""
        ...


class GroupLag:
    """Asks the broker, apart from the consumer that is watched: that one may be what hangs.

    `assigned` returns the worker's partitions; with none it looks at all of them, so a group that never settles shows.
    """

    def __init__(self, probe: Consumer, topic: str, assigned: Callable[[], set[int]]) -> None:
        self._probe = probe
        self._topic = topic
        self._assigned = assigned

    def committed(self) -> dict[int, int]:
        """Partition → next offset, where a record waits. Markers of transactions take offsets and are no records."""
        everything = self._probe.list_topics(self._topic, timeout=KAFKA_TIMEOUT_S).topics[self._topic].partitions
        asked = [TopicPartition(self._topic, number) for number in self._assigned() or everything]
        found: dict[int, int] = {}
        for partition in self._probe.committed(asked, timeout=KAFKA_TIMEOUT_S):
            low, high = self._probe.get_watermark_offsets(partition, timeout=KAFKA_TIMEOUT_S)
            following = max(partition.offset, low)
            if following < high and self._has_record(partition.partition, following):
                found[partition.partition] = following
        return found

    def _has_record(self, number: int, offset: int) -> bool:
        self._probe.assign([TopicPartition(self._topic, number, offset)])
        try:
            record = self._probe.poll(1.0)
        finally:
            self._probe.unassign()
        return record is not None and record.error() is None


class Watchdog:
    """Calls `end` with a sentence when there is lag and nothing moves for `stall_s` seconds."""

    def __init__(
        self, lag: Lag, progress: Progress, clock: Clock, end: Callable[[str], None], stall_s: float = STALL_S
    ) -> None:
        self._lag = lag
        self._progress = progress
        self._clock = clock
        self._end = end
        self._stall_s = stall_s
        self._seen: object = None
        self._since = clock.monotonic()

    def start(self) -> None:
        """Watch from a thread until the process ends."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._clock.sleep(min(CHECK_S, self._stall_s / 4))
            self.look()

    def look(self) -> None:
        """Look once."""
        now, count = self._clock.monotonic(), self._progress.count
        try:
            behind = self._lag.committed()
        except KafkaException as fault:
            self._progress.waiting("Kafka", str(fault))
            behind = {}
        seen = (count, tuple(sorted(behind.items())))
        if not behind or seen != self._seen:
            self._seen, self._since = seen, now
        elif now - self._since >= self._stall_s:
            self._end(f"{len(behind)} partitions lag and nothing moved for {now - self._since:.0f} s")
