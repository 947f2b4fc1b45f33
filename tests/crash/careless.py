"""A writer that is wrong, to show that the matrix finds out: outputs leave outside of the transaction."""

from typing import Any

from confluent_kafka import Producer

from streams.engine.round import Commit
from streams.engine.writer import ExactlyOnce


class Careless(ExactlyOnce):
    """Writes outputs first, each by itself; only state and offsets are one transaction."""

    def __init__(self, config: Any, *arguments: Any) -> None:
        super().__init__(config, *arguments)
        self._plain = Producer({**config, "partitioner": "murmur2_random"})

    def write(self, commit: Commit) -> None:
        """Write a round in two parts, between which a worker may die."""
        for topic, key, value, timestamp, partition, _ in commit.outputs:
            self._plain.produce(topic, value, key, partition, timestamp=max(timestamp, 0))
        self._plain.flush()
        outputs, commit.outputs = commit.outputs, ()
        super().write(commit)
        commit.outputs = outputs
