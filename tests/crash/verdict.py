"""What a run has left in Kafka and on disk, held against the batch."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from state.rocks import RocksStore
from streams.engine.cluster import changelog_of
from tests.crash.entries import Result
from tests.crash.job import Run

_WAIT_SECONDS = 0.1


class Verdict(NamedTuple):
    """How many results are missing, how many are there more than once or should not be, and the first of them."""

    lost: int
    doubled: int
    examples: tuple[str, ...]


class Count:
    """Counts what is missing and what is too much."""

    def __init__(self) -> None:
        self.lost = 0
        self.doubled = 0
        self.examples: list[str] = []

    def hold(self, what: str, found: Counter[str], expected: Iterable[str]) -> None:
        """Count what is missing of things expected once each, and what is too much."""
        wanted = Counter(expected)
        for name in wanted.keys() | found.keys():
            short = wanted[name] - found[name]
            if short:
                self.lost += max(short, 0)
                self.doubled += max(-short, 0)
                self.examples.append(f"{what} {name}: {found[name]} of {wanted[name]}")

    def equal(self, what: str, found: object, expected: object) -> None:
        """Count a value that differs as lost."""
        if found != expected:
            self.lost += 1
            self.examples.append(f"{what}: {found} instead of {expected}")

    def verdict(self) -> Verdict:
        """Return what was counted."""
        return Verdict(self.lost, self.doubled, tuple(sorted(self.examples)[:10]))


def committed(brokers: str, topic: str) -> Iterator[Message]:
    """Yield all committed records of a topic, by partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "verdict",
            "fetch.wait.max.ms": 10,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
        }
    )
    numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
    left = set(numbers)
    while left:
        for message in consumer.consume(2_000, _WAIT_SECONDS):
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition() or 0)
    consumer.close()


def _key(message: Message) -> str:
    return (message.key() or b"").decode()


def _value(message: Message) -> list[int]:
    value: list[int] = orjson.loads(message.value() or b"null")
    return value


def verdict(run: Run, expected: Result) -> Verdict:
    """Hold outputs and changelog of a run against the batch."""
    count = Count()
    hold_outputs(count, run, expected)
    hold_state(count, changelog_state(run), expected)
    return count.verdict()


def hold_outputs(count: Count, run: Run, expected: Result) -> None:
    """Hold the committed outputs of a run against the batch."""
    brokers, topics = run.brokers, run.topics
    facts = Counter(f"{_key(message)}/{_value(message)[0]}" for message in committed(brokers, topics.facts))
    count.hold("fact", facts, (f"{contract}/{n}" for contract, rows in expected.entries.items() for n in rows))
    triggers = Counter(str(_value(message)[0]) for message in committed(brokers, topics.triggers))
    wanted = (f"{c}:{n}" for c in expected.hours for n in range(1, expected.portions(c) + 1))
    count.hold("trigger", triggers, wanted)
    count.hold("reminder", Counter(map(_key, committed(brokers, topics.reminders))), list(expected.hours))
    margins = {_key(message): _value(message) for message in committed(brokers, topics.margins)}
    for contract, hours in expected.hours.items():
        count.equal(f"margin of {contract}", margins.get(contract), [hours, len(expected.entries[contract])])


def changelog_state(run: Run) -> dict[int, dict[bytes, bytes]]:
    """Return the state that the changelog holds, by partition."""
    state: dict[int, dict[bytes, bytes]] = defaultdict(dict)
    for message in committed(run.brokers, changelog_of(run.name)):
        rows, key, value = state[message.partition() or 0], message.key() or b"", message.value()
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
    return dict(state)


def hold_state(count: Count, state: dict[int, dict[bytes, bytes]], expected: Result) -> None:
    """Hold a state by partition, of the changelog or of databases, against the batch."""
    rows = {key.decode(): value for partition in state.values() for key, value in partition.items()}
    found = Counter(key.removeprefix("notes/entries\x00") for key in rows if key.startswith("notes/entries\x00"))
    count.hold("entry", found, (f"{c}|{n:09d}" for c, entries in expected.entries.items() for n in entries))
    for contract, hours in expected.hours.items():
        total = rows.get(f"ledger/totals\x00{contract}")
        wanted = [hours, len(expected.entries[contract]), expected.portions(contract)]
        count.equal(f"total of {contract}", None if total is None else msgspec.msgpack.decode(total), wanted)


def folder_differs(folder: Path, state: dict[int, dict[bytes, bytes]]) -> set[int]:
    """Return the partitions whose database in a worker's folder is not there, or is not what the changelog holds.

    To be called once all workers are stopped; who has not held a partition last has an old database of it.
    """
    there = database_state(folder, state)
    return {number for number, rows in state.items() if there.get(number) != rows}


def database_state(folder: Path, numbers: Iterable[int]) -> dict[int, dict[bytes, bytes]]:
    """Return what the databases in the folder of a stopped worker hold, by partition, of those that are there."""
    state = {}
    for number in numbers:
        path = folder / f"partition-{number}"
        if path.exists():
            store = RocksStore(path)
            try:
                state[number] = dict(store.entries())
            finally:
                store.close()
    return state
