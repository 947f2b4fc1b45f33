"""How far a group has come: what it has acknowledged of each topic, and what is still to do."""

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from streams.engine.clients import admin_client

_ANSWER_SECONDS_MAX = 10.0
_PAUSE_SECONDS = 0.1

_COMING = frozenset(
    (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE)
)
"""Brokers are about to say who keeps the group's offsets; the client asks who that is again, but not for them."""

Place = tuple[str, int]
"""Topic and partition."""


class Lag(NamedTuple):
    """Records of some topics: how many were written in all, and how many of them the group has not acknowledged."""

    written: int
    open: int


class Reached(NamedTuple):
    """How far a group has come in a partition: the first offset that it has not acknowledged, and where it ends."""

    acknowledged: int
    end: int


class Ends:
    """Asks the broker where topics end."""

    def __init__(self, brokers: str) -> None:
        self._client = admin_client(brokers)
        self._partitions: dict[str, int] = {}

    def places(self, topics: Iterable[str]) -> list[Place]:
        """Return all partitions of topics; asking for a topic makes it where the broker allows that."""
        for topic in topics:
            if topic not in self._partitions:
                found = self._client.list_topics(topic, timeout=_ANSWER_SECONDS_MAX).topics[topic]
                self._partitions[topic] = len(found.partitions)
        return [(topic, partition) for topic in topics for partition in range(self._partitions[topic])]

    def of(
        self, places: Iterable[Place], isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED
    ) -> dict[Place, int]:
        """Return the offset of the next record to be written to each partition; of the first open one, if asked so."""
        latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(topic, partition): latest for topic, partition in places}
        if not asked:
            return {}
        answers = self._client.list_offsets(asked, isolation_level=isolation, request_timeout=_ANSWER_SECONDS_MAX)
        return {(place.topic, place.partition): answer.result().offset for place, answer in answers.items()}


class GroupLag:
    """Asks the broker for a group's lag, without joining the group."""

    def __init__(self, brokers: str, group: str) -> None:
        self._ends = Ends(brokers)
        self._client = Consumer(
            {"bootstrap.servers": brokers, "group.id": group, "enable.auto.commit": False, "log_level": 2}
        )

    def of(self, topics: Iterable[str]) -> Lag:
        """Return the lag over all partitions of the topics.

        0 open over all topics of a topology means that nothing is under way in it.
        """
        found = self.reached(topics).values()
        written = sum(place.end for place in found)
        return Lag(written, written - sum(place.acknowledged for place in found))

    def reached(
        self, topics: Iterable[str], isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED
    ) -> dict[Place, Reached]:
        """Return how far the group has come in each partition of the topics; `isolation` is of where these end.

        Acknowledged offsets are read first and ends afterwards: outputs are written before their input is acknowledged.
        """
        places = self._ends.places(tuple(topics))
        if not places:
            return {}
        committed = self._committed([TopicPartition(topic, partition) for topic, partition in places])
        ends = self._ends.of(places, isolation)
        acknowledged = {(place.topic, place.partition): max(place.offset, 0) for place in committed}
        return {place: Reached(acknowledged[place], end) for place, end in ends.items()}

    def _committed(self, asked: list[TopicPartition]) -> list[TopicPartition]:
        deadline = time.monotonic() + _ANSWER_SECONDS_MAX
        while True:
            try:
                return self._client.committed(asked, timeout=_ANSWER_SECONDS_MAX)
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                if error.code() not in _COMING or time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE_SECONDS)  # brokers do not tell when they know; nobody asks on an event loop

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
