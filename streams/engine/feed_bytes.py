"""What feeds land, as bytes: changes in the envelope of their topic's contract, dead letters, memory, heartbeats."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from connect.feeds.contract import Change, Fatal, Reject, Row
from schemas.codec import Codec
from schemas.contracts import DEBEZIUM, load_contracts
from schemas.debezium import HEARTBEAT_PREFIX
from schemas.debezium_writing import debezium_subject
from schemas.history import history_of
from schemas.registry import Registry, UnknownSchema
from schemas.whole_rows import WholeRows, row_of
from streams.engine.feeding import FeedError, SourceBytes
from streams.engine.transport.producer import ANY_PARTITION, Encoded
from streams.intake.change import Unreadable
from streams.intake.deadletter import dead_letter
from streams.step import Record
from streams.topics import DEAD_LETTERS, FEED_MEMORY

HEARTBEAT_SUBJECT: Final = f"{DEBEZIUM}heartbeat"
_SAID_MAX: Final = 2_000
_NOWHERE: Final = -1
"""Partition and offset of what never stood in a topic."""


class Feed(NamedTuple):
    """Who lands: the feed's name, and what kind of feed it is (`source.name` and `source.connector`).

    What it lands of a history has a name of its own, by which it counts before everything live. `what` says whether it
    is a feed that is configured, or a load: one of each may have the same name, and neither knows of the other.
    """

    name: str
    connector: str
    what: Literal["feed", "load"] = "feed"

    @property
    def remembered_as(self) -> str:
        """The name under which it remembers. No feed's name has a slash in it."""
        return self.name if self.what == "feed" else f"{self.what}/{self.name}"


class FeedBytes:
    """Encodes what one feed lands. Raises `Fatal` where its contracts cannot be used, and `RegistryUnavailable`."""

    def __init__(self, feed: Feed, registry: Registry) -> None:
        self._feed = feed
        self._history = history_of(feed.name)
        self._registry = registry
        self._contracts = load_contracts()
        self._source_bytes = SourceBytes(registry)
        self._codec = Codec(registry)
        self._rows: dict[str, WholeRows] = {}

    def change(self, change: Change, captured_ms: int) -> Encoded | Reject:
        """Return the record of a change, or what is wrong with it."""
        rows = self._rows.get(change.topic)
        if rows is None:
            rows = self._rows[change.topic] = self._known(change.topic)
        try:
            envelope = {
                "before": None if change.before is None else rows.whole(change.before),
                "after": None if change.after is None else rows.whole(change.after),
                "op": change.op,
                "ts_ms": captured_ms,
                "source": {
                    "connector": self._feed.connector,
                    "name": self._history if change.history else self._feed.name,
                    "ts_ms": change.happened_ms,
                    "snapshot": change.snapshot,
                    "position": change.position,
                },
            }
            value = self._source_bytes.of(change.topic, envelope)
            if not change.key:
                raise ValueError("the record has no key")
            return Encoded(change.topic, change.key.encode(), value, change.happened_ms, ANY_PARTITION, None)
        except (FeedError, ValueError) as error:
            return _misfit(change, error)

    def _known(self, topic: str) -> WholeRows:
        contract = self._contracts.get(topic)
        if contract is None:
            raise Fatal(f"{self._feed.name}: there is no contract for topic {topic}; correct the topic in its settings")
        written = self._contracts.get(debezium_subject(topic), contract)
        try:
            self._registry.id_of(written.subject, written.schema)
        except UnknownSchema as error:  # of all rows, so that none of them is to blame
            raise Fatal(f"{self._feed.name}: {error}") from error
        return WholeRows(row_of(contract.schema))

    def letter(self, reject: Reject, now: int) -> Encoded:
        """Return the dead letter of what nobody can read."""
        text = f"{reject.place}: {reject.message}"[:_SAID_MAX].encode("utf-8", "backslashreplace").decode()
        said = Unreadable("UnreadableRow", text, "VALUE_CONVERTER", reject.original)
        record = Record(reject.topic, reject.key, None, now, _NOWHERE, _NOWHERE)
        value, headers = dead_letter(record, said)
        key = None if reject.key is None else reject.key.encode("utf-8", "surrogatepass")
        return Encoded(DEAD_LETTERS, key, value, now, ANY_PARTITION, list(headers))

    def memory(self, memory: Mapping[str, bytes | None], now: int, partition: int) -> Sequence[Encoded]:
        """Return the entries of what the feed remembers; None forgets a key."""
        return [
            Encoded(FEED_MEMORY, memory_key(self._feed, key), value, now, partition, None)
            for key, value in memory.items()
        ]

    def heartbeat(self, now: int) -> Encoded:
        """Return a sign of life, as Debezium writes it."""
        value = self._codec.encode(HEARTBEAT_SUBJECT, {"ts_ms": now})
        key = f"Struct{{serverName={self._feed.name}}}"
        return Encoded(HEARTBEAT_PREFIX + self._feed.name, key.encode(), value, now, ANY_PARTITION, None)


def memory_key(feed: Feed, key: str) -> bytes:
    """Return the record key of what a feed remembers under a key."""
    return f"{feed.remembered_as}:{key}".encode("utf-8", "surrogatepass")


def _misfit(change: Change, error: Exception) -> Reject:
    row: Row = change.after or change.before or {}
    place = f"{change.op} of {datetime.fromtimestamp(change.happened_ms / 1000, UTC).isoformat()}"
    # What is wrong is told before the envelope that an encoding error ends with.
    return Reject(
        change.topic, change.key, json.dumps(row, default=_plain).encode(), place, str(error).partition("; {")[0]
    )


def _plain(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else repr(value)
