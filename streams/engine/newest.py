"""When the newest record of each topic came, as the brokers know it: no record is read."""

from collections.abc import Iterable
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from streams.engine.clients import admin_client
from streams.engine.cluster import TopicsError

_ANSWER_SECONDS_MAX = 10.0


def newest_records(brokers: str, topics: Iterable[str]) -> dict[str, int]:
    """Return the newest timestamp of each topic, in milliseconds since 1970.

    Topics that are not there, or hold nothing, are left out.

    Raises:
        TopicsError: The brokers do not answer.
    """
    client = admin_client(brokers)
    newest: dict[str, int] = {}
    spec: Any = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
    try:
        # All at once: to ask for a topic by name makes it, where brokers allow that.
        known = client.list_topics(timeout=_ANSWER_SECONDS_MAX).topics
        asked = {
            TopicPartition(topic, number): spec
            for topic in topics
            if topic in known
            for number in known[topic].partitions
        }
        answers = client.list_offsets(asked, request_timeout=_ANSWER_SECONDS_MAX) if asked else {}
        for place, answer in answers.items():
            newest[place.topic] = max(newest.get(place.topic, -1), answer.result().timestamp)
    except KafkaException as error:
        raise TopicsError(
            f"brokers {brokers}: {error.args[0].str()}; check the setting brokers, and that Kafka runs"
        ) from error
    return {topic: timestamp for topic, timestamp in newest.items() if timestamp >= 0}
