"""How each system tells its changes: envelopes with rising positions, in the order in which they arrive.

Feeds differ in how soon they tell: the PSA database at once, the polled APIs up to minutes later, and all of their
backlog at the end of an outage. So records of different feeds arrive out of order; those of one feed never do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, Literal, NamedTuple

Row = dict[str, Any]
Op = Literal["c", "u", "d", "r"]

CAPTURE_MS = 100  # from capture by the connector to the record's own timestamp
POSITION_PER_MS = 1000  # API feeds: position = change time in milliseconds × 1000 + sequence
LSN_FIRST = 24_000_000
LSN_STEP = 56


class Record(NamedTuple):
    """One line of a replay file: an envelope on a topic. `timestamp` is when it arrived, in milliseconds."""

    topic: str
    key: str
    value: dict[str, Any]
    timestamp: int


class Outage(NamedTuple):
    """A feed that told nothing from `from_ms` to `until_ms`, and everything then."""

    feed: str
    from_ms: int
    until_ms: int


@dataclass(slots=True)
class _Feed:
    connector: str
    name: str
    delay_ms: int
    position: int = 0


class Wire:
    """Takes changes as they happen and gives records as they arrive.

    Changes must be told in order of time. `arrived()` hands over what has arrived by the last change told.
    """

    def __init__(self, outages: Sequence[Outage] = ()) -> None:
        self._feeds = {
            "psa": _Feed("postgresql", "psa", 900, LSN_FIRST),
            "crm": _Feed("crm-feed", "crm", 20_000),
            "hr": _Feed("hr-feed", "hr", 300_000),
            "erp": _Feed("erp-feed", "erp", 60_000),
        }
        self._outages = outages
        self._arrived: list[Record] = []
        self._on_the_way: list[tuple[int, int, Record]] = []
        self._count = 0

    def create(self, at_ms: int, topic: str, key: str, row: Row) -> None:
        """A new row."""
        self._tell(at_ms, topic, key, "c", None, row)

    def read(self, at_ms: int, topic: str, key: str, row: Row) -> None:
        """A row that was there when the feed started: snapshot read."""
        self._tell(at_ms, topic, key, "r", None, row)

    def update(self, at_ms: int, topic: str, key: str, before: Row, after: Row) -> None:
        """A new version of a row."""
        self._tell(at_ms, topic, key, "u", before, after)

    def delete(self, at_ms: int, topic: str, key: str, before: Row) -> None:
        """A row that is gone."""
        self._tell(at_ms, topic, key, "d", before, None)

    def rekey(self, at_ms: int, topic: str, keys: tuple[str, str], before: Row, after: Row) -> None:
        """A row whose record key changed: a delete under the old key, a create under the new one, at one position."""
        self._tell(at_ms, topic, keys[0], "d", before, None)
        self._tell(at_ms, topic, keys[1], "c", None, after, same_position=True)

    def arrived(self) -> list[Record]:
        """The records that arrived since the last call, timestamps rising."""
        records, self._arrived = self._arrived, []
        return records

    def close(self) -> list[Record]:
        """The records still on the way when the history ends."""
        while self._on_the_way:
            self._arrived.append(heappop(self._on_the_way)[2])
        return self.arrived()

    def _tell(
        self,
        at_ms: int,
        topic: str,
        key: str,
        op: Op,
        before: Row | None,
        after: Row | None,
        same_position: bool = False,
    ) -> None:
        psa = topic.startswith("psa.")
        feed = self._feeds["psa"] if psa else self._feeds[topic.partition(".")[0]]
        if psa:
            feed.position += 0 if same_position else LSN_STEP
        else:
            feed.position = max(feed.position + 1, at_ms * POSITION_PER_MS)
        arrives_ms = (at_ms if psa else self._told_ms(feed.name, at_ms)) + feed.delay_ms
        value = {
            "before": before,
            "after": after,
            "op": op,
            "ts_ms": arrives_ms - CAPTURE_MS,
            "source": {
                "connector": feed.connector,
                "name": feed.name,
                "ts_ms": at_ms,
                "snapshot": op == "r",
                "position": feed.position,
            },
        }
        record = Record(topic, key, value, arrives_ms)
        if not psa:
            self._count += 1
            heappush(self._on_the_way, (arrives_ms, self._count, record))
            return
        # The PSA tells soonest: whatever the others told before arrives by now, and nothing sooner can follow.
        on_the_way = self._on_the_way
        while on_the_way and on_the_way[0][0] <= arrives_ms:
            self._arrived.append(heappop(on_the_way)[2])
        self._arrived.append(record)

    def _told_ms(self, feed: str, at_ms: int) -> int:
        for outage in self._outages:
            if outage.feed == feed and outage.from_ms <= at_ms < outage.until_ms:
                return outage.until_ms
        return at_ms
