"""Topics on the broker of a bench: made, filled, read back, removed."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    OffsetSpec,
)
from confluent_kafka.cimpl import NewTopic

from streams.engine.to_the_end import ends_of, read_to_the_end

PARTITIONS = 4
COMPACTED = {"cleanup.policy": "compact"}
_ANSWER_SECONDS_MAX = 30.0
_FLUSH_SECONDS_MAX = 120.0
_LOOK_SECONDS = 0.05

Place = tuple[str, int]
"""Topic and partition."""


def make_topics(brokers: str, topics: Mapping[str, Mapping[str, str]], partitions: int = PARTITIONS) -> None:
    """Make topics, each with its configuration. Raises `KafkaException`."""
    wanted = [NewTopic(topic, partitions, 1, config=dict(config)) for topic, config in topics.items()]
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 2})  # held: its answers die with it
    for made in admin.create_topics(wanted).values():
        made.result(_ANSWER_SECONDS_MAX)
    end_sum(brokers, topics, partitions)


def touch_topics(brokers: str, topics: Iterable[str]) -> None:
    """Make topics on a broker that makes them when they are asked for, and in no other way."""
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 2})
    for topic in topics:
        admin.list_topics(topic, timeout=_ANSWER_SECONDS_MAX)
    end_sum(brokers, topics)


def remove_topics(brokers: str, prefix: str) -> None:
    """Remove all topics whose name begins so. The names should not be used again: clients take a while to notice."""
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 2})
    found = [topic for topic in admin.list_topics(timeout=_ANSWER_SECONDS_MAX).topics if topic.startswith(prefix)]
    for removed in (admin.delete_topics(found) if found else {}).values():
        removed.result(_ANSWER_SECONDS_MAX)


def producer_of(brokers: str, **config: object) -> Producer:
    """Return a producer whose keys land where every other client would put them."""
    return Producer(
        {
            "bootstrap.servers": brokers,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "queue.buffering.max.messages": 2_000_000,
            "linger.ms": 5,
            "batch.size": 1_000_000,
            "log_level": 2,
            **config,
        }
    )


def fill(brokers: str, records: Iterable[tuple[str, str, bytes]]) -> int:
    """Write records of topic, key and value; return how many. Raises `OSError` for what did not arrive."""
    producer, count = producer_of(brokers), 0
    for topic, key, value in records:
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
        count += 1
    left = producer.flush(_FLUSH_SECONDS_MAX)
    if left:
        raise OSError(f"{left} of {count} records were not written within {_FLUSH_SECONDS_MAX:.0f} s")
    return count


def read_all(brokers: str, topic: str) -> Iterator[Message]:
    """Yield all committed records of a topic, those of one key in their order."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "bench-reader",  # never joined
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "queued.min.messages": 200_000,
            "log_level": 2,
        }
    )
    try:
        numbers = consumer.list_topics(topic, timeout=_ANSWER_SECONDS_MAX).topics[topic].partitions
        places = [TopicPartition(topic, number, 0) for number in numbers]
        consumer.assign(places)
        yield from read_to_the_end(consumer, places, {}, _ANSWER_SECONDS_MAX)
    finally:
        consumer.close()


def reader_from_now(brokers: str, topic: str) -> Consumer:
    """Return a consumer of what is committed to a topic from now on."""
    reader = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "bench-watch",  # never joined
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 10,
            "log_level": 2,
        }
    )
    places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    ends = ends_of(reader, places, _ANSWER_SECONDS_MAX)
    reader.assign([TopicPartition(*place, end) for place, end in ends.items()])
    return reader


def end_sum(brokers: str, topics: Iterable[str], partitions: int = PARTITIONS) -> int:
    """Return how many records topics hold, marks of transactions counted; waits until all of them can be asked."""
    asking = Committed(brokers, "bench-ends", topics, partitions)
    try:
        return sum(asking.ends().values())
    finally:
        asking.close()


class Committed:
    """Asks how far a group has committed, again and again, without joining it."""

    def __init__(self, brokers: str, group: str, topics: Iterable[str], partitions: int = PARTITIONS) -> None:
        self._admin = AdminClient({"bootstrap.servers": brokers, "log_level": 2})
        self._places = [TopicPartition(topic, number) for topic in topics for number in range(partitions)]
        self._client = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": group,
                "enable.auto.commit": False,
                # Or an offset in an open transaction would have to be waited for.
                "isolation.level": "read_uncommitted",
                "log_level": 2,
            }
        )

    def ends(self) -> dict[Place, int]:
        """Return where the topics end; waits for one that was made a moment ago."""
        latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        deadline = time.monotonic() + _ANSWER_SECONDS_MAX
        while True:
            asked = self._admin.list_offsets(dict.fromkeys(self._places, latest), request_timeout=_ANSWER_SECONDS_MAX)
            try:
                return {(place.topic, place.partition): answer.result().offset for place, answer in asked.items()}
            except KafkaException:  # a new topic takes a moment until it has leaders and everybody knows them
                if time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK_SECONDS)

    def offsets(self) -> dict[Place, int]:
        """Return what is committed; waits for a broker that has just started to know its groups."""
        deadline = time.monotonic() + _ANSWER_SECONDS_MAX
        while True:
            try:
                found = self._client.committed(self._places, timeout=_ANSWER_SECONDS_MAX)
                return {(place.topic, place.partition): max(place.offset, 0) for place in found}
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK_SECONDS)

    def open(self, offsets: Mapping[Place, int]) -> dict[Place, int]:
        """Return how many offsets lie between what is committed and the ends as they are now."""
        return {place: end - offsets[place] for place, end in self.ends().items()}

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
