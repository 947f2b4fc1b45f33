"""What the brokers have: their cluster, their topics, and whether the worker can work on them."""

from collections.abc import Iterable
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]

from streams.config import Settings
from streams.engine.clients import admin_client

_ANSWER_SECONDS_MAX = 15.0
_EMBEDDED = "mockCluster"
"""How the id of an embedded broker's cluster begins."""

_DAY_MS = 24 * 60 * 60 * 1000


class TopicsError(Exception):
    """The brokers do not answer, or their topics do not have the number of partitions that state and keys follow."""


def changelog_of(group: str) -> str:
    """Return the name of the topic that holds the state of a group's workers."""
    return f"{group}.changelog"


def deletions_kept_ms(settings: Settings, changelog: str, cluster: str) -> int:
    """Return how long a changelog keeps deletions, and check that it is compacted and nothing else.

    The embedded broker is not asked: it compacts nothing, and does not answer. Raises `TopicsError`.
    """
    if cluster.startswith(_EMBEDDED):
        return _DAY_MS
    topic: Any = ResourceType.TOPIC
    client = admin_client(settings.brokers)
    answers = client.describe_configs([ConfigResource(topic, changelog)], request_timeout=_ANSWER_SECONDS_MAX)
    try:
        config = next(iter(answers.values())).result(_ANSWER_SECONDS_MAX)
    except KafkaException as error:
        raise TopicsError(f"brokers {settings.brokers}: topic {changelog}: {error.args[0].str()}") from error
    policy = config["cleanup.policy"].value
    if policy != "compact":
        raise TopicsError(
            f"topic {changelog} has cleanup.policy={policy} and would lose state: it must be compact, nothing else. "
            "`throughline topics apply` sets it"
        )
    return int(config["delete.retention.ms"].value)


def known_topics(brokers: str) -> dict[str, int]:
    """Return how many partitions each topic has that is there. Raises `TopicsError`."""
    try:
        # All at once: to ask for a topic by name makes it, where brokers allow that.
        found = admin_client(brokers).list_topics(timeout=_ANSWER_SECONDS_MAX).topics
    except KafkaException as error:
        raise _unanswered(brokers, error) from error
    return {name: len(topic.partitions) for name, topic in found.items()}


def refused(brokers: str, said: str) -> TopicsError:
    """Return the error of brokers that do not answer, or not as they should."""
    return TopicsError(f"brokers {brokers}: {said}; check the setting brokers, and that Kafka runs")


def _unanswered(brokers: str, error: KafkaException) -> TopicsError:
    return refused(brokers, f"no answer within {_ANSWER_SECONDS_MAX:.0f} s ({error.args[0].str()})")


def check_topics(settings: Settings, topics: Iterable[str]) -> str:
    """Check that every topic has the partitions of the settings; return the cluster's id.

    Asking for a topic makes it where brokers allow that. Raises `TopicsError` naming the topics that differ.
    """
    client = admin_client(settings.brokers)
    wrong = []
    try:
        for topic in sorted(topics):
            found = client.list_topics(topic, timeout=_ANSWER_SECONDS_MAX).topics[topic]
            if len(found.partitions) != settings.partitions:
                wrong.append(f"{topic} ({found.error or f'{len(found.partitions)} partitions'})")
        cluster = client.list_topics(timeout=_ANSWER_SECONDS_MAX).cluster_id
    except KafkaException as error:
        raise _unanswered(settings.brokers, error) from error
    if wrong:
        raise TopicsError(
            f"brokers {settings.brokers}: every topic must have {settings.partitions} partitions (setting partitions), "
            f"or keys would not meet; these differ: {', '.join(wrong)}; `throughline topics apply` makes those missing"
        )
    return str(cluster)
