"""How far fluxion.records.v1 has been read, kept in PostgreSQL together with what was read. Kafka's own offsets only inform."""

from collections.abc import Iterable, Mapping

from fluxion.errors import FencedError, PositionLostError, TopicReplacedError
from sinks.tables import Link


def load_offsets(link: Link, topic: str, topic_id: str, watermarks: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    """Return the next offset of each partition of `watermarks` (low, high); a new partition begins at its low watermark.

    Raises TopicReplacedError where PostgreSQL's offsets are another topic's or lie behind the end, PositionLostError where
    Kafka no longer holds the next record.
    """
    with link.transaction():
        _same_topic(link, topic, topic_id)
        for partition, (low, _) in sorted(watermarks.items()):
            link.execute(
                "insert into pos_integration.stream_offsets (topic, topic_id, partition, next) values (%s, %s, %s, %s)"
                " on conflict do nothing",
                [topic, topic_id, partition, low],
            )
        found: dict[int, int] = dict(
            link.execute(
                "select partition, next from pos_integration.stream_offsets where topic_id = %s and partition = any(%s)",
                [topic_id, list(watermarks)],
            ).fetchall()
        )
    for partition, (low, high) in watermarks.items():
        _check_place(topic, partition, found[partition], low, high)
    return found


def _same_topic(link: Link, topic: str, topic_id: str) -> None:
    other = link.execute(
        "select 1 from pos_integration.stream_offsets where topic = %s and topic_id <> %s limit 1", [topic, topic_id]
    ).fetchone()
    if other:
        message = f"{topic} was created anew: PostgreSQL holds the offsets of another topic of that name"
        raise TopicReplacedError(
            message, "delete its rows from pos_integration.stream_offsets and re-snapshot every system"
        )


def _check_place(topic: str, partition: int, place: int, low: int, high: int) -> None:
    if place > high:
        message = f"{topic} partition {partition} ends at {high}, but PostgreSQL has read up to {place}"
        raise TopicReplacedError(message, "the topic lost records: find out how before you go on")
    if place < low:
        message = f"{topic} partition {partition} begins at {low}, but PostgreSQL has read only up to {place}"
        raise PositionLostError(message, "replay the raw records, then set its row in pos_integration.stream_offsets")


def advance(link: Link, topic_id: str, before: Mapping[int, int], after: Mapping[int, int]) -> None:
    """Move offsets inside the caller's transaction; FencedError where one is no longer what we started from."""
    partitions = sorted(after)
    _lock(link, topic_id, partitions)
    moved = link.execute(
        "update pos_integration.stream_offsets o set next = t.after"
        " from unnest(%s::int[], %s::bigint[], %s::bigint[]) as t (partition, before, after)"
        " where o.topic_id = %s and o.partition = t.partition and o.next = t.before",
        [partitions, [before[p] for p in partitions], [after[p] for p in partitions], topic_id],
    ).rowcount
    if moved < len(partitions):
        raise _fenced()


def hold(link: Link, topic_id: str, places: Mapping[int, int]) -> None:
    """Lock offsets for the caller's transaction; FencedError where one is not what we think."""
    if _lock(link, topic_id, places) != dict(places):
        raise _fenced()


def _lock(link: Link, topic_id: str, partitions: Iterable[int]) -> dict[int, int]:
    """In order, so that two sinks wait for each other instead of deadlocking."""
    return dict(
        link.execute(
            "select partition, next from pos_integration.stream_offsets where topic_id = %s and partition = any(%s)"
            " order by partition for update",
            [topic_id, list(partitions)],
        ).fetchall()
    )


def _fenced() -> FencedError:
    return FencedError("another sink took over this one's partitions", "nothing to mend: it is started again")
