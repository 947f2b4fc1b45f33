"""Reading along: the records of some topics from their beginning, before the broker drops them."""

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from streams.engine.drained import Ends, Place
from streams.engine.wire import Wire
from streams.step import Headers, Record

_TURN_SECONDS = 0.2
_TURN_RECORDS_MAX = 1_000


class IncompleteReadingError(Exception):
    """Records were dropped by the broker before they were read."""


class Collector:
    """Collects the records of topics in a thread of its own, each as `{"topic", "key", "value", "timestamp"}`.

    Records of one key stay in order. `records` grows while the thread runs; `on_record` hears of each.
    """

    def __init__(self, brokers: str, topics: Iterable[str], wire: Wire) -> None:
        self.records: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self._topics = tuple(topics)
        self._wire = wire
        self._next: dict[Place, int] = {}
        self._ends = Ends(brokers)
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._client = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": "throughline-collector",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "log_level": 2,
            }
        )
        self._thread = threading.Thread(target=self._read, name="collector", daemon=True)

    def start(self) -> None:
        """Begin to read all partitions of the topics."""
        self._next = dict.fromkeys(self._ends.places(self._topics), 0)
        self._client.assign([TopicPartition(topic, partition, 0) for topic, partition in self._next])
        self._thread.start()

    def open(self) -> int:
        """Return how many records are not collected yet. Raises what stopped the reading."""
        if self._failure is not None:
            raise self._failure
        return sum(self._ends.of(self._next).values()) - sum(self._next.values())

    def stop(self) -> None:
        """End the reading and close the connection. Raises what stopped it before."""
        self._stopping.set()
        self._thread.join()
        self._client.close()
        if self._failure is not None:
            raise self._failure

    def _read(self) -> None:
        try:
            while not self._stopping.is_set():
                for message in self._client.consume(_TURN_RECORDS_MAX, _TURN_SECONDS):
                    self._collect(message)
        except Exception as error:  # whatever it is, the owner of the thread must hear of it
            self._failure = error

    def _collect(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            raise KafkaException(error)
        topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
        expected = self._next[topic, partition]
        if offset != expected:
            raise IncompleteReadingError(
                f"{topic}, partition {partition}: records {expected} to {offset - 1} were dropped by the broker before "
                "they were read; feed more slowly, or a smaller firm"
            )
        key = message.key()
        timestamp = message.timestamp()[1]
        headers = _headers(message)
        record = Record(
            topic,
            None if key is None else key.decode(errors="replace"),
            message.value(),
            timestamp,
            partition,
            offset,
            headers,
        )
        self.records.append(
            {
                "topic": topic,
                "key": record.key,
                "value": self._wire.read(record),
                "timestamp": timestamp,
                "headers": headers,
            }
        )
        self.counts[topic] += 1
        self._next[topic, partition] = offset + 1


def _headers(message: Message) -> Headers:
    headers: Any = message.headers() or ()
    return tuple((name, value or b"") for name, value in headers)
