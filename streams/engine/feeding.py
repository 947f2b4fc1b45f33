"""Feeding source topics from a generated firm: encoding its changes, and not running ahead of the worker."""

import time
from collections.abc import Callable, Iterable
from decimal import InvalidOperation
from typing import Any, Protocol, TypeVar

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.codec import Codec, Unencodable
from schemas.contracts import load_contracts
from schemas.debezium_writing import DebeziumShape, debezium_subject
from schemas.json_view import JsonView
from schemas.registry import Manifest, Registry
from streams.engine.clients import admin_client
from streams.engine.drained import GroupLag, Lag
from streams.engine.writer import RECORD_BYTES_MAX

_ANSWER_SECONDS_MAX = 10.0
_FLUSH_SECONDS_MAX = 60.0
_LOOK_EVERY_RECORDS = 500
_PAUSE_SECONDS = 0.1


class FeedError(OSError):
    """A record could not be written to its topic, or no broker answers."""


class Change(Protocol):
    """A change to feed: an envelope in its JSON view under a key. `timestamp` is when it arrived, in milliseconds."""

    @property
    def topic(self) -> str:
        """The source topic."""

    @property
    def key(self) -> str:
        """The record key."""

    @property
    def value(self) -> dict[str, Any]:
        """The envelope."""

    @property
    def timestamp(self) -> int:
        """When it arrived."""


C = TypeVar("C", bound=Change)


class Target(Protocol):
    """Source topics of a broker, and how many records `group` may have open before a writer waits; None: any number."""

    @property
    def brokers(self) -> str:
        """Bootstrap addresses."""

    @property
    def group(self) -> str:
        """The group that is waited for."""

    @property
    def open_records_max(self) -> int | None:
        """Open records at most."""

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that are written to."""


class SourceBytes:
    """Encodes changes as their feeds do: the PSA database's as Debezium writes them, all others in our own envelope."""

    def __init__(self, registry: Registry) -> None:
        self._codec = Codec(registry)
        self._contracts = load_contracts()
        self._subjects: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {}

    def of(self, topic: str, envelope: dict[str, Any]) -> bytes:
        """Return the bytes of a change. Raises `FeedError` for one that does not fit its contract."""
        known = self._subjects.get(topic)
        if known is None:
            known = self._subjects[topic] = self._subject(topic)
        subject, shape = known
        try:
            return self._codec.encode(subject, shape(envelope))
        except (Unencodable, KeyError, ValueError, InvalidOperation) as error:
            raise FeedError(f"{topic}: a change does not fit its contract: {error}; {envelope}") from error

    def _subject(self, topic: str) -> tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]:
        debezium = self._contracts.get(debezium_subject(topic))
        if debezium is not None:
            return debezium.subject, DebeziumShape(debezium).envelope
        return topic, JsonView(self._contracts[topic].schema).native


class FlowControl:
    """Holds a writer back while a group has too much to do.

    The embedded broker drops its oldest records, so they must be read before too many more are written.
    """

    def __init__(
        self, brokers: str, group: str, topics: Iterable[str], open_max: int, alive: Callable[[], None]
    ) -> None:
        self._lag = GroupLag(brokers, group)
        self._topics = tuple(topics)
        self._open_max = open_max
        self._alive = alive

    def look(self) -> Lag:
        """Return the lag now."""
        return self._lag.of(self._topics)

    def wait(self, open_max: int | None = None) -> Lag:
        """Wait until the group has at most so many records open; `alive` raises if it never will."""
        limit = self._open_max if open_max is None else open_max
        while (lag := self.look()).open > limit:
            self._alive()
            time.sleep(_PAUSE_SECONDS)
        return lag

    def close(self) -> None:
        """Close the connection."""
        self._lag.close()


class Feed:
    """Writes changes to their topics and counts what the broker has confirmed."""

    def __init__(self, brokers: str, source_bytes: SourceBytes, flow: FlowControl | None = None) -> None:
        self.confirmed = 0
        self._failures: list[str] = []
        self._bytes = source_bytes
        self._flow = flow
        self._producer = Producer(
            {
                "bootstrap.servers": brokers,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "message.max.bytes": RECORD_BYTES_MAX,
                "linger.ms": 5,
                "log_level": 2,
            }
        )

    def write(self, changes: Iterable[C], told: Callable[[int, C], None]) -> int:
        """Write all changes in their order, pausing for the flow; `told` hears of each batch. Return how many."""
        written = 0
        for written, change in enumerate(changes, 1):
            value = self._bytes.of(change.topic, change.value)
            self._producer.produce(
                change.topic, value=value, key=change.key, timestamp=change.timestamp, on_delivery=self._delivered
            )
            if written % _LOOK_EVERY_RECORDS == 0:
                self._flush()
                told(written, change)
                if self._flow is not None:
                    self._flow.wait()
        self._flush()
        return written

    def _flush(self) -> None:
        left = self._producer.flush(_FLUSH_SECONDS_MAX)
        if left or self._failures:
            raise FeedError(f"{left + len(self._failures)} records were not written: {', '.join(self._failures[:3])}")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.confirmed += 1
        else:
            self._failures.append(f"{message.topic()}: {error.str()}")


def open_topics(target: Target) -> Feed:
    """Open the source topics of a broker for a generated firm. Raises `FeedError` if it does not answer."""
    client = admin_client(target.brokers)
    try:
        client.list_topics(timeout=_ANSWER_SECONDS_MAX)
    except KafkaException as error:
        said = f"no answer within {_ANSWER_SECONDS_MAX:.0f} s; check the address, and that Kafka runs"
        raise FeedError(said) from error
    flow = None
    if target.open_records_max is not None:
        flow = FlowControl(target.brokers, target.group, target.topics, target.open_records_max, _always_alive)
    return Feed(target.brokers, SourceBytes(Manifest()), flow)


def _always_alive() -> None:
    """A group that is nobody's child is waited for as long as it takes."""
