"""What Kafka says of how far the stages are, and what the agents told lately. No group is joined, nothing is committed."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from confluent_kafka import Consumer, KafkaException, Message, TopicCollection, TopicPartition

from control.raw_log import look_up_of
from fluxion import kafka
from fluxion.errors import ConfigurationError, DependencyDownError
from fluxion.schema_registry import SchemaRegistry
from schemas.codec import Decoder, UnreadableRecordError
from schemas.status import Status
from schemas.topics import PARTITIONS, STATUS

TIMEOUT_S = 5.0
LATELY = timedelta(minutes=15)
POLL_S = 0.5
# So many polls without a word: what is left are markers of transactions, or Kafka is gone.
SILENT_POLLS = 4
JOB = frozenset({"job_started", "job_progress"})
JOB_ENDED = frozenset({"job_finished", "job_failed"})
FAULT = frozenset({"job_failed", "source_error", "circuit_opened", "position_lost", "journal_full", "two_agents"})
MENDED = frozenset({"job_finished", "source_recovered", "circuit_closed"})


@dataclass(frozen=True)
class Behind:
    """Records that wait for a stage, and the age of the oldest in seconds; None where nothing waits."""

    records: int
    oldest_s: float | None


@dataclass(frozen=True)
class Topic:
    """A topic as it stands. committed: of the group that was asked for; below 0 where it never read the partition."""

    servers: str
    name: str
    topic_id: str
    bounds: Mapping[int, tuple[int, int]]
    committed: Mapping[int, int]


def read_topic(servers: str, name: str, group: str) -> Topic:
    """Return a topic's bounds and what a group has committed; raises DependencyDownError or ConfigurationError."""
    admin = kafka.admin(servers)
    with closing(kafka.consumer(servers, group)) as asking:
        try:
            if (known := asking.list_topics(name, timeout=TIMEOUT_S).topics[name]).error is not None:
                message = f"there is no topic {name}"
                raise ConfigurationError(message, "run `fluxion topics create`")
            places = [TopicPartition(name, number) for number in known.partitions]
            bounds = {place.partition: asking.get_watermark_offsets(place, timeout=TIMEOUT_S) for place in places}
            committed = {place.partition: place.offset for place in asking.committed(places, timeout=TIMEOUT_S)}
            described = admin.describe_topics(TopicCollection([name]), request_timeout=TIMEOUT_S)[name]
            topic_id = str(described.result(TIMEOUT_S).topic_id)
        except (KafkaException, TimeoutError) as fault:
            raise _down(servers, fault) from None
    return Topic(servers, name, topic_id, bounds, committed)


def behind_group(topic: Topic, now: datetime) -> Behind:
    """Return what waits for the group that `topic` was asked for."""
    return _behind(topic, topic.committed, now)


def behind_places(topic: Topic, places: Mapping[tuple[str, int], int], now: datetime) -> Behind:
    """Return what waits for a reader that keeps its own offsets: (topic id, partition) → next."""
    return _behind(topic, {number: places.get((topic.topic_id, number), -1) for number in topic.bounds}, now)


def _behind(topic: Topic, places: Mapping[int, int], now: datetime) -> Behind:
    waiting: dict[int, int] = {}
    for number, (low, high) in topic.bounds.items():
        following = max(places.get(number, -1), low)
        if following < high:
            waiting[number] = following
    first: dict[int, Message] = {}
    with closing(kafka.consumer(topic.servers, "fluxion-status")) as looking:
        for message in _messages(
            looking, topic.name, {number: (at, topic.bounds[number][1]) for number, at in waiting.items()}, 1
        ):
            first.setdefault(message.partition() or 0, message)
    # From the first record on: the markers of transactions before it wait for nobody, and where nothing but them is left, nothing waits.
    records = sum(topic.bounds[number][1] - (message.offset() or 0) for number, message in first.items())
    oldest = min((message.timestamp()[1] for message in first.values()), default=None)
    return Behind(records, now.timestamp() - oldest / 1000 if oldest is not None else None)


def _messages(
    reader: Consumer, topic: str, ways: Mapping[int, tuple[int, int]], most: int | None = None
) -> Iterator[Message]:
    """Yield the records of partitions from an offset up to another; at most so many of each."""
    left = {number: most for number, (at, end) in ways.items() if at < end}
    reader.assign([TopicPartition(topic, number, ways[number][0]) for number in left])
    silent = 0
    while left and silent < SILENT_POLLS:
        message = reader.poll(POLL_S)
        if message is None or message.error() is not None:
            silent += 1
            continue
        silent = 0
        number = message.partition() or 0
        if number not in left:
            continue
        yield message
        limit = left[number]
        left[number] = limit - 1 if limit is not None else None
        if left[number] == 0 or (message.offset() or 0) + 1 >= ways[number][1]:
            reader.incremental_unassign([TopicPartition(topic, number)])
            left.pop(number)


@dataclass(frozen=True)
class News:
    """What a system's agent told lately, each with when Kafka took it: the store's clock may be wrong."""

    heartbeat_at: datetime | None = None
    job: Status | None = None
    fault: Status | None = None
    fault_at: datetime | None = None

    def after(self, told: Status, at: datetime) -> "News":
        """Return the news when this was told."""
        beat = at if told.kind == "heartbeat" else self.heartbeat_at
        job = told if told.kind in JOB else None if told.kind in JOB_ENDED else self.job
        if told.kind in FAULT:
            return News(beat, job, told, at)
        if self.fault is not None and _is_mended(self.fault, told):
            return News(beat, job)
        return News(beat, job, self.fault, self.fault_at)


def _is_mended(fault: Status, told: Status) -> bool:
    """Whether this ends the fault. A full journal ends by its own word only, and that ends nothing else."""
    if fault.kind == "journal_full" or told.code is not None:
        return told.kind == "source_recovered" and told.code == fault.code
    return told.kind in MENDED


def news_of_agents(servers: str, registry: SchemaRegistry, now: datetime) -> dict[str, News]:
    """Return the news of the last 15 minutes by system id."""
    decode: Decoder[Status] = Decoder(STATUS.schema or "", Status, look_up_of(registry))
    found: dict[str, News] = {}
    since = int((now - LATELY).timestamp() * 1000)
    with closing(kafka.consumer(servers, "fluxion-status")) as reader:
        try:
            places = [TopicPartition(STATUS.name, number, since) for number in range(PARTITIONS)]
            starts = {place.partition: place.offset for place in reader.offsets_for_times(places, timeout=TIMEOUT_S)}
            ends = {
                number: reader.get_watermark_offsets(TopicPartition(STATUS.name, number), timeout=TIMEOUT_S)[1]
                for number, start in starts.items()
                if start >= 0
            }
        except KafkaException as fault:
            raise _down(servers, fault) from None
        for message in _messages(reader, STATUS.name, {number: (starts[number], end) for number, end in ends.items()}):
            try:
                told = decode(message.value() or b"")
            except UnreadableRecordError:
                continue
            at = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
            found[told.system_id] = found.get(told.system_id, News()).after(told, at)
    return found


def _down(servers: str, fault: Exception) -> DependencyDownError:
    said = fault.args[0].str() if isinstance(fault, KafkaException) else "no answer in time"
    return DependencyDownError(f"Kafka at {servers} does not answer ({said})", "check that it runs and FLUXION_KAFKA")
