"""The job that is killed: hours of contracts are noted, summed over two hops, billed in portions and reminded of once.

Its results do not depend on the order between topics, so that a batch over the same input has the same.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from confluent_kafka import Message

from streams.behaviour import Behaviour
from streams.engine.wire import records_of
from streams.step import Context, Record, Step


class Topics(NamedTuple):
    """The topics of one run, so that several may share a Kafka."""

    time: str
    milestones: str
    facts: str
    triggers: str
    margins: str
    reminders: str


def topics_of(run: str) -> Topics:
    """Return the topics of a run by its name, which is also its group's."""
    return Topics(*(f"{run}.{name}" for name in Topics._fields))


class Run(NamedTuple):
    """One run of the job: its name (its group's, too), where it runs and leaves its files, and what it is fed."""

    name: str
    brokers: str
    out: Path
    seed: int
    records: int

    @property
    def topics(self) -> Topics:
        """Return its topics."""
        return topics_of(self.name)


INPUTS = ("time", "milestones")
"""What is fed, as fields of `Topics`."""

PORTION = 40
"""Hours billed by one trigger."""

REMINDER_MS = 500


class Total(NamedTuple):
    """What is known of a contract: its hours, of how many entries, and how many portions are billed."""

    hours: int
    entries: int
    portions: int


class JsonWire:
    """Values as JSON."""

    def records(self, topic: str, partition: int, messages: Sequence[Message]) -> list[Record]:
        """Return records with their JSON values."""
        return records_of(topic, partition, messages, self.read)

    def read(self, record: Record) -> Any:
        """Return the JSON value."""
        return orjson.loads(record.value)

    def write(self, _topic: str, value: Any) -> bytes:
        """Return the bytes of a JSON value."""
        return orjson.dumps(value)

    def unavailable(self) -> str | None:
        """There is no registry."""
        return None


class Notes(Behaviour):
    """Notes every entry once under its contract, passes it on, and sets one reminder a contract."""

    def __init__(self, topics: Topics, context: Context) -> None:
        self._topics = topics
        self._context = context
        self._entries = context.table("entries")
        self._reminded = context.table("reminded")

    def on_records(self, records: Sequence[Record]) -> None:
        """Note entries."""
        for record in records:
            contract, (entry, hours) = record.key or "", record.value
            self._entries.put(f"{contract}|{entry:09d}", hours)
            self._context.emit(self._topics.facts, contract, [entry, hours])
            if self._reminded.get(contract) is None:
                self._reminded.put(contract, False)
                self._context.timers.set(contract, self._context.now + REMINDER_MS)

    def on_timer(self, key: str) -> None:
        """Remind of a contract."""
        self._reminded.put(key, True)
        self._context.emit(self._topics.reminders, key, [])

    def before_commit(self) -> None:
        """Nothing is told once a commit."""


class Ledger(Behaviour):
    """Sums entries by contract, bills whole portions, and tells the sum once a commit."""

    def __init__(self, topics: Topics, context: Context) -> None:
        self._topics = topics
        self._context = context
        self._totals = context.table("totals")
        self._touched: dict[str, Total] = {}

    def on_records(self, records: Sequence[Record]) -> None:
        """Sum entries."""
        for record in records:
            contract, (_, hours) = record.key or "", record.value
            before = self._totals.get(contract) or Total(0, 0, 0)
            total = Total(before.hours + hours, before.entries + 1, before.portions)
            while total.hours >= (total.portions + 1) * PORTION:
                total = total._replace(portions=total.portions + 1)
                self._context.emit(self._topics.triggers, contract, [f"{contract}:{total.portions}", PORTION])
            self._totals.put(contract, total)
            self._touched[contract] = total

    def on_timer(self, key: str) -> None:
        """There are no timers."""

    def before_commit(self) -> None:
        """Tell the sums that have changed."""
        for contract, total in self._touched.items():
            self._context.emit(self._topics.margins, contract, [total.hours, total.entries])
        self._touched.clear()


def steps_of(topics: Topics) -> tuple[Step, Step]:
    """Return the steps over the topics of a run."""
    notes = Step(
        "notes",
        "contract",
        (topics.time, topics.milestones),
        (topics.facts, topics.reminders),
        partial(Notes, topics),
        {"entries": int, "reminded": bool},
    )
    tells = (topics.triggers, topics.margins)
    ledger = Step("ledger", "contract", (topics.facts,), tells, partial(Ledger, topics), {"totals": Total})
    return notes, ledger
