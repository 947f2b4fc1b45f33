"""A feed's program in miniature: topics and memory that commit together, the test's clock, a life that can end."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

from connect.catalogue import Outside, kind_of
from connect.configuration import Configuration
from connect.feeds.contract import Batch, Change, Memory, Reject
from connect.feeds.runner import Landed, Runner, Surroundings
from connect.settings import checked
from schemas.mapping import load_mappings
from tests.contract.simulators.faults import Faults, Killed

NOON = 1_772_366_400_000
IDENTITY = {topic: mapping.identity for topic, mapping in load_mappings().topics.items()}

Row = dict[str, Any]


class Wait(NamedTuple):
    """A wait of the runner: why, and for how many seconds."""

    why: str
    seconds: float


class Topics:
    """Where a feed lands: what is committed outlives it. A commit is a step at which it may die."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.rejects: list[Reject] = []
        self.beats: list[int] = []
        self.memory: dict[str, bytes] = {}
        self.faults = Faults()
        self.commits = 0

    def open(self) -> Memory:
        self.faults.step(lambda: None)
        return dict(self.memory)

    def land(self, batch: Batch, now: int, beat: bool) -> Landed:
        if batch.changes or batch.rejects or batch.memory or beat:
            self.faults.step(lambda: self._commit(batch, now, beat))
        newest = max((change.happened_ms for change in batch.changes), default=None)
        return Landed({}, {}, newest)

    def _commit(self, batch: Batch, now: int, beat: bool) -> None:
        self.commits += 1
        self.changes += batch.changes
        self.rejects += batch.rejects
        if beat:
            self.beats.append(now)
        for key, value in batch.memory.items():
            if value is None:
                self.memory.pop(key, None)
            else:
                self.memory[key] = value

    def close(self) -> None:
        """Nothing is held."""

    def rows(self) -> dict[str, Row]:
        """The rows that the changes leave, by identity, without what is null."""
        rows: dict[str, Row] = {}
        places: dict[str, int] = {}
        for change in self.changes:
            row = change.before if change.op == "d" else change.after
            assert row is not None
            identity = ":".join(row[name] for name in IDENTITY[change.topic])
            # As intake does: what is not newer changes nothing, but a create at the place of a delete.
            if change.position < places.get(identity, -1) or (
                change.position == places.get(identity) and change.op == "d"
            ):
                continue
            places[identity] = change.position
            if change.op == "d":
                rows.pop(identity, None)
            else:
                rows[identity] = {name: value for name, value in (change.after or {}).items() if value is not None}
        return rows

    def verify_once(self) -> None:
        """Every version has landed once: what follows on a row differs from it, and its position is higher."""
        last: dict[str, tuple[Change, int]] = {}
        for change in self.changes:
            row = change.after if change.after is not None else change.before
            assert row is not None
            identity = ":".join(row[name] for name in IDENTITY[change.topic])
            if identity in last:
                before, place = last[identity]
                moved = before.op == "d" and change.op == "c" and before.key != change.key
                assert change.position > place or (moved and change.position == place), (before, change)
                assert (before.op == "d") != (change.op == "d") or before.after != change.after, (before, change)
            last[identity] = (change, change.position)


class Told:
    """What a runner and a client have told."""

    def __init__(self) -> None:
        self.answered_ms: list[int] = []
        self.gaps = 0
        self.failures: list[str] = []
        self.waits: list[Wait] = []
        self.statuses: list[str] = []
        self.held_s: list[float] = []

    def landed(self, landed: Landed) -> None:
        """Topics know."""

    def answered(self, at_ms: int) -> None:
        self.answered_ms.append(at_ms)

    def gap(self) -> None:
        self.gaps += 1

    def failed(self, how: str) -> None:
        self.failures.append(how)

    def waited(self, why: str, seconds: float) -> None:
        self.waits.append(Wait(why, seconds))

    def requested(self, status: str) -> None:
        self.statuses.append(status)

    def held(self, seconds: float) -> None:
        self.held_s.append(seconds)


class Station:
    """Runs one feed against its system, a poll at a time or several, with the clock in the test's hand."""

    def __init__(self, configuration: Mapping[str, str], chance: Callable[[], float] = lambda: 1.0) -> None:
        self.topics = Topics()
        self.told = Told()
        self.now = NOON
        self.deaths = 0
        self._chance = chance
        self.configuration = Configuration(name="feed", config=configuration)

    def poll(self, times: int = 1) -> None:
        """Run a program of the feed that looks so many times at its source. Raises what ends it."""
        stop, told_before = Event(), len(self.told.waits)
        kind = kind_of(self.configuration)
        settings = checked(kind.settings, self.configuration, self.configuration.config)
        source = kind.open(settings, Outside("feed", lambda: self.now, self.told, stop))

        def wait(seconds: float) -> bool:
            self.now += round(seconds * 1000)
            if [each.why for each in self.told.waits[told_before:]].count("poll") == times:
                stop.set()
            return stop.is_set()

        outside = Surroundings(lambda: self.now, self._chance, wait)
        Runner("feed", source, self.topics, self.told, settings.pace, outside, stop).run()

    def poll_on(self, times: int = 1) -> None:
        """Poll, started again whenever it was killed."""
        for _ in range(100):
            try:
                self.poll(times)
                return
            except Killed:
                self.deaths += 1
        raise AssertionError("the feed dies again and again")

    def tick(self, seconds: float) -> int:
        """Let time pass; return what time it is."""
        self.now += round(seconds * 1000)
        return self.now


def rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03d}Z"


def to_seconds(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def put(path: Path, content: str) -> None:
    """Drop a file as its writer has to: under another name until it is whole."""
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(content, encoding="utf-8")
    partial.rename(path)
