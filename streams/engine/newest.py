"""When the newest record of each topic came, and how many came since, as the brokers know it: no record is read."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from streams.engine.clients import admin_client
from streams.engine.cluster import refused

_ANSWER_SECONDS_MAX = 10.0


def newest_records(brokers: str, topics: Iterable[str]) -> dict[str, int]:
    """Return the newest timestamp of each topic, in milliseconds since 1970.

    Topics that are not there, or hold nothing, are left out.

    Raises:
        TopicsError: The brokers do not answer.
    """
    newest: dict[str, int] = {}
    with _answering(brokers) as client:
        places = _places(client, topics)
        for place, answer in _offsets(client, places, OffsetSpec.max_timestamp()).items():  # type: ignore[no-untyped-call]
            newest[place.topic] = max(newest.get(place.topic, -1), answer.timestamp)
    return {topic: timestamp for topic, timestamp in newest.items() if timestamp >= 0}


def records_since(brokers: str, topic: str, since_ms: int) -> int:
    """Return about how many records were written to a topic since an instant, in milliseconds since 1970.

    The marks that end transactions are counted, too: one a transaction and partition.

    Raises:
        TopicsError: The brokers do not answer.
    """
    with _answering(brokers) as client:
        places = _places(client, [topic])
        ends = _offsets(client, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        starts = _offsets(client, places, OffsetSpec.for_timestamp(since_ms))
    found = [(starts[place].offset, end.offset) for place, end in ends.items()]
    return sum(end - start for start, end in found if 0 <= start < end)  # none is as new: -1


@contextmanager
def _answering(brokers: str) -> Iterator[AdminClient]:
    try:
        yield admin_client(brokers)
    except KafkaException as error:
        raise refused(brokers, error.args[0].str()) from error


def _places(client: AdminClient, topics: Iterable[str]) -> list[TopicPartition]:
    # All at once: to ask for a topic by name makes it, where brokers allow that.
    known = client.list_topics(timeout=_ANSWER_SECONDS_MAX).topics
    return [TopicPartition(topic, number) for topic in topics if topic in known for number in known[topic].partitions]


def _offsets(client: AdminClient, places: Iterable[TopicPartition], spec: Any) -> dict[TopicPartition, Any]:
    asked = dict.fromkeys(places, spec)
    answers = client.list_offsets(asked, request_timeout=_ANSWER_SECONDS_MAX) if asked else {}
    return {place: answer.result() for place, answer in answers.items()}
