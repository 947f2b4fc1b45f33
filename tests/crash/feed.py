"""The input of a run, written little by little."""

import threading
import time

import orjson
from confluent_kafka import KafkaError, Message, Producer

from tests.crash.entries import entries
from tests.crash.job import Run

_TICK_SECONDS = 0.01
_SHARE_OF_A_TICK = 0.003
"""Of what may be fed; so there is always something left to feed, and a worker that starts finds work under way."""


class Feed(threading.Thread):
    """Writes the input up to the share it is allowed, ever slower as it comes near; all at once when that is all."""

    def __init__(self, run: Run) -> None:
        super().__init__(name="feed", daemon=True)
        self.allowed = 0.0
        self.fed = 0
        self._topics = run.topics
        self._records = run.records
        self._entries = entries(run.seed, run.records)
        self._ended = threading.Event()
        self._refused: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": run.brokers,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "queue.buffering.max.messages": 2_000_000,
                "log_level": 0,
            }
        )

    def stop(self) -> None:
        """Feed no more."""
        self._ended.set()

    def verify_written(self) -> None:
        """Raise AssertionError if a record was not written: what was never fed must not count as lost."""
        assert not self._refused, f"{len(self._refused)} records of the input were not written: {self._refused[0]}"

    def run(self) -> None:
        """Feed until all is fed."""
        due = 0.0
        while self.fed < self._records and not self._ended.is_set():
            allowed = self.allowed
            left = allowed * self._records - self.fed
            due += left if allowed >= 1.0 else max(left, 0.0) * _SHARE_OF_A_TICK
            while due >= 1.0 and self.fed < self._records:
                self._feed_one()
                due -= 1.0
            self._producer.poll(0)
            time.sleep(_TICK_SECONDS)
        self._producer.flush()

    def _feed_one(self) -> None:
        entry = next(self._entries)
        topic = getattr(self._topics, entry.topic)
        self._producer.produce(topic, orjson.dumps([entry.number, entry.hours]), entry.contract, on_delivery=self._told)
        self.fed += 1

    def _told(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refused.append(f"{message.topic()}, partition {message.partition()}: {error.str()}")
