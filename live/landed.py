"""What feeds have landed in source topics, held against what happened in their systems."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient

from firm.final import final_rows, identity_of
from firm.wire import Record
from live.errors import PipelineError
from live.pipeline import Pipeline
from schemas.codec import Codec
from schemas.registry import Confluent
from streams.engine.feeding import SourceBytes

LAND_SECONDS_MAX: Final = 120.0
_ANSWER_SECONDS_MAX: Final = 10.0
_POLL_SECONDS: Final = 0.2

Row = dict[str, Any]


class Landed:
    """The rows that feeds have landed since it was opened, by topic and identity, and how many changes that were."""

    def __init__(self, pipeline: Pipeline, topics: Iterable[str]) -> None:
        self._client = SchemaRegistryClient({"url": pipeline.registry.confluent_url})
        self._codec = Codec(Confluent(self._client))
        self._bytes = SourceBytes(Confluent(self._client))
        self._consumer = Consumer(
            {"bootstrap.servers": pipeline.kafka.bootstrap, "group.id": "throughline-landed", "log_level": 2,
             "isolation.level": "read_committed", "enable.auto.commit": False}
        )  # fmt: skip
        known = self._consumer.list_topics(timeout=_ANSWER_SECONDS_MAX).topics
        self._consumer.assign([TopicPartition(name, number, 0) for name in topics for number in known[name].partitions])
        self._rows: dict[tuple[str, str], tuple[int, Row | None]] = {}
        self.changes: dict[str, Counter[str]] = {}
        """How many changes have landed, by feed and topic."""

    def wait(self, changes: Iterable[Record], lives: Callable[[], None]) -> None:
        """Wait until the rows landed are those that changes end with, to the last digit; `lives` raises if they cannot.

        Raises:
            PipelineError: They are not, after a bounded time; the message names a row.
        """
        wanted = {place: self._as_landed(place[0], row) for place, row in final_rows(changes).items()}
        until = time.monotonic() + LAND_SECONDS_MAX
        while True:
            while self._read():
                pass
            open_rows = self._differing(wanted)
            if not open_rows:
                return
            lives()
            if time.monotonic() > until:
                first = open_rows[0]
                raise PipelineError(
                    f"{len(open_rows)} rows of the firm's systems have not landed as they are there, first {first[0]} "
                    f"{first[1]}: {wanted.get(first)} there, {self._row(first)} landed"
                )

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()
        self._client.close()

    def _read(self) -> bool:
        """Take in what has landed meanwhile, for a short time; return whether there was anything."""
        messages = self._consumer.consume(1_000, _POLL_SECONDS)
        for message in messages:
            if message.error() is not None:
                raise PipelineError(f"what feeds have landed cannot be read: {message.error()}")
            topic, value = message.topic() or "", message.value()
            if value is not None:
                self._take(topic, self._codec.decode(topic, value))
        return bool(messages)

    def _take(self, topic: str, envelope: dict[str, Any]) -> None:
        source, row = envelope["source"], envelope["after"]
        self.changes.setdefault(source["name"], Counter())[topic] += 1
        place = topic, identity_of(topic, row or envelope["before"])
        position, known = self._rows.get(place, (-1, None))
        if source["position"] > position or (source["position"] == position and known is None):
            self._rows[place] = source["position"], row

    def _row(self, place: tuple[str, str]) -> Row | None:
        return self._rows.get(place, (0, None))[1]

    def _differing(self, wanted: dict[tuple[str, str], Row]) -> list[tuple[str, str]]:
        there = [place for place, (_, row) in self._rows.items() if row is not None]
        return [place for place in dict.fromkeys([*wanted, *there]) if wanted.get(place) != self._row(place)]

    def _as_landed(self, topic: str, row: Row) -> Row:
        """Return a row as it reads once it was in its topic: decimals with all places, times in UTC."""
        source = {"connector": "", "name": "", "ts_ms": 0, "snapshot": False, "position": 0}
        written = self._bytes.of(topic, {"before": None, "after": row, "op": "c", "ts_ms": 0, "source": source})
        landed: Row = self._codec.decode(topic, written)["after"]
        return landed
