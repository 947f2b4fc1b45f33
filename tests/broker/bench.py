"""What the broker tests share: a toy worker as a child, records in, records out."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from streams.engine.drained import GroupLag, Lag
from streams.engine.to_the_end import ends_of

TOPICS = ("toy.orders", "toy.payments", "toy.moves")
WAIT_SECONDS_MAX = 45.0
_PAUSE_SECONDS = 0.1


class WorkerChild:
    """A worker in a process of its own: the toys, or another program."""

    def __init__(self, brokers: str, folder: Path, *arguments: str, program: str = "tests.broker.toy_worker") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, path = tempfile.mkstemp(".log", dir=folder)
        self._log = Path(path)
        with os.fdopen(descriptor, "wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", program, brokers, str(folder), *arguments], stderr=log
            )

    @property
    def messages(self) -> str:
        """What the worker has written to standard error."""
        return self._log.read_text()

    def says(self, words: str) -> None:
        """Wait until the worker has written some words."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while words not in self.messages:
            assert not self.ends_within(_PAUSE_SECONDS), f"the worker ended: {self.messages}"
            assert time.monotonic() < deadline, f"not said after {WAIT_SECONDS_MAX} s: {words}"

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self._child.terminate()
        return self.ended()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._child.kill()
        self.ended()

    def ended(self) -> int:
        """Wait for the end and return the exit code."""
        return self._child.wait(WAIT_SECONDS_MAX)

    def ends_within(self, seconds: float) -> bool:
        """Whether the worker ends by itself within some seconds; waits as long."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(seconds)
        return self._child.returncode is not None


@contextmanager
def worker(
    brokers: str, folder: Path, *arguments: str, program: str = "tests.broker.toy_worker"
) -> Iterator[WorkerChild]:
    """Run a worker for the length of a block."""
    child = WorkerChild(brokers, folder, *arguments, program=program)
    try:
        yield child
    finally:
        if not child.ends_within(0):
            child.kill()


def feed(brokers: str, records: Iterable[tuple[str, str, bytes]], headers: Mapping[str, bytes] | None = None) -> None:
    """Write records of topic, key and value, as every producer of the product does; all with the same headers."""
    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random", "log_level": 2})
    for topic, key, value in records:
        producer.produce(topic, value=value, key=key, headers=dict(headers or {}))
    assert producer.flush(WAIT_SECONDS_MAX) == 0


def commit(brokers: str, group: str, topic: str, offset: int) -> None:
    """Let a group have read the first partition of a topic up to an offset."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": group, "log_level": 2})
    consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    consumer.close()


def drain(brokers: str, written: int, child: WorkerChild, topics: Sequence[str] = TOPICS) -> None:
    """Wait until the worker has acknowledged everything, and at least `written` records in all."""
    _await(brokers, child, topics, lambda now: now.open == 0 and now.written >= written)


def await_written(brokers: str, topic: str, written: int, child: WorkerChild) -> None:
    """Wait until a topic has so many records."""
    _await(brokers, child, (topic,), lambda now: now.written >= written)


def _await(brokers: str, child: WorkerChild, topics: Sequence[str], reached: Callable[[Lag], bool]) -> None:
    lag = GroupLag(brokers, "throughline")
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    try:
        while not reached(now := lag.of(topics)):
            assert not child.ends_within(_PAUSE_SECONDS), "the worker ended"
            assert time.monotonic() < deadline, f"still so after {WAIT_SECONDS_MAX} s: {now}"
    finally:
        lag.close()


def await_committed(brokers: str, topic: str, offsets: dict[int, int], child: WorkerChild) -> None:
    """Wait until the group has committed such offsets of a topic, whatever it has of other partitions."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not (found := committed(brokers, topic)).items() >= offsets.items():
        assert not child.ends_within(_PAUSE_SECONDS), "the worker ended"
        assert time.monotonic() < deadline, f"still so after {WAIT_SECONDS_MAX} s: {found}"


def committed(brokers: str, topic: str, group: str = "throughline") -> dict[int, int]:
    """Return the offsets a group has committed of a topic, where it has."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": group, "log_level": 2})
    places = [TopicPartition(topic, number) for number in consumer.list_topics(topic, 10).topics[topic].partitions]
    offsets = {place.partition: place.offset for place in consumer.committed(places, 10) if place.offset >= 0}
    consumer.close()
    return offsets


def read_all(brokers: str, *topics: str) -> list[tuple[str, str, Any]]:
    """Return all records of some topics as topic, key and JSON value; those of one key in their order."""
    records = []
    for message in read_messages(brokers, *topics):
        topic, key, value = message.topic(), message.key(), message.value()
        assert topic is not None
        assert key is not None
        assert value is not None
        records.append((topic, key.decode(), orjson.loads(value)))
    return records


def read_messages(brokers: str, *topics: str) -> list[Message]:
    """Return all records of some topics as they lie there; those of one key in their order."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "reader", "log_level": 2})
    messages: list[Message] = []
    for topic in topics:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        for place in (TopicPartition(topic, partition, 0) for partition in partitions):
            (left,) = ends_of(consumer, [place], 10).values()
            consumer.assign([place])
            while left:
                found = consumer.consume(left, timeout=10)
                assert [message.error() for message in found if message.error()] == []
                left -= len(found)
                messages += found
    consumer.close()
    return messages
