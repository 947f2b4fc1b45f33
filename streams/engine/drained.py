"""How far a group has come: what it has acknowledged of each topic, and what is still to do."""

from collections.abc import Iterable
from typing import NamedTuple

from confluent_kafka import Consumer, TopicPartition

_ANSWER_SECONDS_MAX = 10.0


class Lag(NamedTuple):
    """Records of some topics: how many there are in all, and how many of them the group has not acknowledged."""

    written: int
    open: int


class GroupLag:
    """Asks the broker for a group's lag, without joining the group."""

    def __init__(self, brokers: str, group: str) -> None:
        self._client = Consumer(
            {"bootstrap.servers": brokers, "group.id": group, "enable.auto.commit": False, "log_level": 2}
        )

    def of(self, topics: Iterable[str]) -> Lag:
        """Return the lag over all partitions of the topics.

        Acknowledged offsets are read first and ends afterwards. Outputs are written before their input is
        acknowledged, so 0 open over all topics of a topology means that nothing is under way in it.
        """
        places = [place for topic in topics for place in self._partitions(topic)]
        if not places:
            return Lag(0, 0)
        committed = {
            (place.topic, place.partition): max(place.offset, 0)
            for place in self._client.committed(places, timeout=_ANSWER_SECONDS_MAX)
        }
        written = still_open = 0
        for place in places:
            end = self._client.get_watermark_offsets(place, timeout=_ANSWER_SECONDS_MAX, cached=False)[1]
            written += end
            still_open += end - committed[place.topic, place.partition]
        return Lag(written, still_open)

    def _partitions(self, topic: str) -> list[TopicPartition]:
        found = self._client.list_topics(topic, timeout=_ANSWER_SECONDS_MAX).topics[topic]
        return [TopicPartition(topic, partition) for partition in found.partitions]

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
