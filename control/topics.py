"""`fluxion topics create`: every topic of `schemas.topics` with its settings, and only those."""

import time
from typing import Annotated

import typer
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.cimpl import NewTopic

from fluxion.errors import ConfigurationError, DependencyDownError
from fluxion.kafka import MAX_MESSAGE_BYTES, admin, consumer
from fluxion.settings import load_settings
from schemas.topics import PARTITIONS, TOPICS, Topic

TIMEOUT_S = 10
LEADERS_S = 30

app = typer.Typer(help="Kafka topics.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _group() -> None:
    """Keep `create` a sub-command although it is the only one."""


@app.command("create")
def create(
    replication: Annotated[int, typer.Option(help="3 in production, 1 on one broker")] = 1,
) -> None:
    """Create the topics that are missing; leaves the others as they are."""
    for name, fresh in create_topics(load_settings().kafka, replication).items():
        typer.echo(f"{name}: {'created' if fresh else 'exists'}")


def create_topics(servers: str, replication: int) -> dict[str, bool]:
    """Return topic → whether it is new. Refuses a topic with another number of partitions: that is another order."""
    client = admin(servers)
    try:
        known = client.list_topics(timeout=TIMEOUT_S).topics
    except KafkaException as fault:
        message = f"Kafka at {servers} does not answer ({fault.args[0].str()})"
        raise DependencyDownError(message, "check that it runs and FLUXION_KAFKA") from None
    wrong = [t.name for t in TOPICS if t.name in known and len(known[t.name].partitions) != PARTITIONS]
    if wrong:
        message = f"{', '.join(wrong)}: not {PARTITIONS} partitions, which are for life"
        raise ConfigurationError(message, "create them anew, or raise the topic's version in schemas.topics")
    missing = [_new(topic, replication) for topic in TOPICS if topic.name not in known]
    fresh = dict.fromkeys((topic.name for topic in TOPICS), False)
    for name, future in (client.create_topics(missing) if missing else {}).items():
        try:
            future.result(TIMEOUT_S)
            fresh[name] = True
        except KafkaException as fault:
            if fault.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                message = f"{name} cannot be created ({fault.args[0].str()})"
                raise ConfigurationError(message, "give --replication no more than there are brokers") from None
    _wait_for_leaders(servers, [name for name, new in fresh.items() if new])
    return fresh


def _wait_for_leaders(servers: str, names: list[str]) -> None:
    """Return when every partition answers: for a moment after its creation it has no leader, and whoever asks is refused."""
    asking = consumer(servers, "fluxion-topics")
    deadline = time.monotonic() + LEADERS_S
    try:
        for name in names:
            for partition in range(PARTITIONS):
                _wait_for_leader(asking, TopicPartition(name, partition), deadline)
    finally:
        asking.close()


def _wait_for_leader(asking: Consumer, place: TopicPartition, deadline: float) -> None:
    while True:
        try:
            asking.get_watermark_offsets(place, timeout=TIMEOUT_S)
        except KafkaException as fault:
            if time.monotonic() > deadline:
                message = f"{place.topic} was created, but no broker leads it ({fault.args[0].str()})"
                raise DependencyDownError(message, "look at the brokers' logs") from None
            time.sleep(0.1)
        else:
            return


def _new(topic: Topic, replication: int) -> NewTopic:
    return NewTopic(
        topic.name,
        num_partitions=PARTITIONS,
        replication_factor=replication,
        config=settings_of(topic, replication),
    )


def settings_of(topic: Topic, replication: int) -> dict[str, str]:
    """Return the topic's settings as Kafka takes them."""
    return {
        # A store's clock must neither expire nor refuse records.
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
        "min.insync.replicas": str(min(2, replication)),
        "unclean.leader.election.enable": "false",
    }
