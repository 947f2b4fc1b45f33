"""Running records through the simulator: whole as a file run does, or in pieces as a service would."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from random import Random
from typing import Any

import orjson

from state import MemoryStore, Store
from streams.domain.calendar import instant
from streams.intake.change import Change, NativeChange
from streams.intake.reading import Reader
from streams.replay import as_line, run
from streams.simulator import Simulator
from streams.sources import recorded_reader
from streams.step import Record
from streams.topology import Rulebook, load_rulebook, topology

JsonRecord = dict[str, Any]


@cache
def rulebook() -> Rulebook:
    """The shipped rulebook, loaded once."""
    return load_rulebook()


@cache
def reader() -> Reader:
    """A reader of JSON values."""
    return recorded_reader(rulebook(), None)


class Collected:
    """What a simulator delivered, in the JSON view of a replay file."""

    def __init__(self) -> None:
        self.records: list[JsonRecord] = []

    def __call__(self, record: Record) -> None:
        self.records.append(orjson.loads(as_line(record)))

    def of(self, topic: str) -> list[JsonRecord]:
        """Return the values of one topic, in order."""
        return [record["value"] for record in self.records if record["topic"] == topic]


class Stores:
    """Stores that outlive a simulator, handed out in the same order to the next."""

    def __init__(self) -> None:
        self._kept: list[Store] = []
        self._next = 0

    def begin(self) -> "Stores":
        """Begin again with the first one."""
        self._next = 0
        return self

    def __call__(self) -> Store:
        if self._next == len(self._kept):
            self._kept.append(MemoryStore())
        self._next += 1
        return self._kept[self._next - 1]


def restarted(stores: Stores, rules: Rulebook, now: str = "2026-02-04T12:00:00Z") -> tuple[Simulator, Collected]:
    """Return a simulator that begins with stores as another left them, at a time."""
    told = Collected()
    simulator = Simulator(topology(rules, Reader(rules.mappings, lambda *_: {})), told, store=stores.begin())
    simulator.now = instant_of(now)
    return simulator, told


def record_of(content: JsonRecord, offset: int) -> Record:
    """Return a record of a replay file as steps take it."""
    return Record(content["topic"], content["key"], content["value"], content.get("timestamp", 0), 0, offset)


def file_run(contents: Iterable[JsonRecord], until: str | None = None, partitions: int = 1) -> list[JsonRecord]:
    """Return what a file run derives."""
    collected = Collected()
    simulator = Simulator(topology(rulebook(), reader()), collected, partitions)
    records = (record_of(content, offset) for offset, content in enumerate(contents))
    run(records, simulator, reader(), None if until is None else instant_of(until))
    return collected.records


def read_parts(contents: Iterable[JsonRecord], first: int = 0) -> Iterator[Record]:
    """Yield what intake takes in of records of a replay file, the first of which has an offset."""
    for offset, content in enumerate(contents, first):
        for part in reader().split(record_of(content, offset)):
            read = reader().read(part)
            if read is not None:
                yield part._replace(value=read)


def service_run(
    contents: Sequence[JsonRecord],
    random: Random,
    partitions: int = 1,
    crash_rate: float = 0.0,
    until: str | None = None,
    again: bool = False,
) -> list[JsonRecord]:
    """Return what a service derives that is far behind its feeds: pieces in random order, with delays and crashes.

    The clock stands where a file run would end, since a service that catches up reads the past with today's clock.
    `again` delivers the whole input a second time once all is quiet.
    """
    collected = Collected()
    simulator = Simulator(topology(rulebook(), reader()), collected, partitions)
    parts = list(read_parts(contents))
    for part in parts:
        if isinstance(part.value, Change) and part.value.refusal is None:
            simulator.now = max(simulator.now, part.value.cause.occurred_at)
    if until is not None:
        simulator.now = max(simulator.now, instant_of(until))
    for _ in range(2 if again else 1):
        feed_in_pieces(simulator, parts, random, crash_rate)
    return collected.records


def feed_in_pieces(simulator: Simulator, parts: Sequence[Record], random: Random, crash_rate: float) -> None:
    """Feed records a few at a time, letting tasks run in between; then run to the end and fire what is due."""
    place = 0
    while place < len(parts):
        for part in parts[place : (place := place + random.randint(1, 30))]:
            simulator.feed_to("assembly" if isinstance(part.value, NativeChange) else "intake", part)
        for _ in range(random.randint(0, 40)):
            if not (busy := simulator.busy()):
                break
            simulator.piece(random.choice(busy), random, crash_rate)
    simulator.churn(random, crash_rate)


def instant_of(text: str) -> int:
    """Return the instant of an RFC 3339 time."""
    return instant(datetime.fromisoformat(text))
