"""The job that is killed: hours of contracts are noted, summed over two hops, billed in portions and reminded of once.

Its results do not depend on the order between topics, so that a batch over the same input has the same.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from confluent_kafka import Message

from streams.engine.wire import records_of
from streams.step import Behaviour, Context, Record, Step

TIME, MILESTONES = "crash.time", "crash.milestones"
FACTS = "crash.facts"
TRIGGERS, MARGINS, REMINDERS = "crash.triggers", "crash.margins", "crash.reminders"
INPUTS = (TIME, MILESTONES)
TOPICS = (*INPUTS, FACTS, TRIGGERS, MARGINS, REMINDERS)

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

    def __init__(self, context: Context) -> None:
        self._context = context
        self._entries = context.table("entries")
        self._reminded = context.table("reminded")

    def on_records(self, records: Sequence[Record]) -> None:
        """Note entries."""
        for record in records:
            contract, (entry, hours) = record.key or "", record.value
            self._entries.put(f"{contract}|{entry:09d}", hours)
            self._context.emit(FACTS, contract, [entry, hours])
            if self._reminded.get(contract) is None:
                self._reminded.put(contract, False)
                self._context.timers.set(contract, self._context.now + REMINDER_MS)

    def on_timer(self, key: str) -> None:
        """Remind of a contract."""
        self._reminded.put(key, True)
        self._context.emit(REMINDERS, key, [])

    def before_commit(self) -> None:
        """Nothing is told once a commit."""


class Ledger(Behaviour):
    """Sums entries by contract, bills whole portions, and tells the sum once a commit."""

    def __init__(self, context: Context) -> None:
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
                self._context.emit(TRIGGERS, contract, [f"{contract}:{total.portions}", PORTION])
            self._totals.put(contract, total)
            self._touched[contract] = total

    def on_timer(self, key: str) -> None:
        """There are no timers."""

    def before_commit(self) -> None:
        """Tell the sums that have changed."""
        for contract, total in self._touched.items():
            self._context.emit(MARGINS, contract, [total.hours, total.entries])
        self._touched.clear()


NOTES = Step("notes", "contract", INPUTS, (FACTS, REMINDERS), Notes, {"entries": int, "reminded": bool})
LEDGER = Step("ledger", "contract", (FACTS,), (TRIGGERS, MARGINS), Ledger, {"totals": Total})
STEPS = (NOTES, LEDGER)
