"""A toy topology: orders and payments by customer are summed, then counted by size, and late customers are reminded."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from streams.behaviour import Behaviour
from streams.engine.wire import records_of
from streams.step import Context, Record, Step

REMINDER_MS = 60_000


class Sum(NamedTuple):
    """What a customer owes, and how many records said so."""

    owed: int
    records: int


class JsonWire:
    """Values as JSON; a source value that is no JSON reaches the step as bytes."""

    def read(self, record: Record) -> Any:
        """Return the JSON value, or the bytes."""
        try:
            return None if record.value is None else orjson.loads(record.value)
        except orjson.JSONDecodeError:
            return record.value

    def records(self, topic: str, partition: int, messages: Any) -> list[Record]:
        """Return records with their JSON values."""
        return records_of(topic, partition, messages, self.read)

    def unavailable(self) -> str | None:
        """There is no registry."""
        return None

    def write(self, _topic: str, value: Any) -> bytes | None:
        """Return the bytes of a JSON value."""
        return None if value is None else orjson.dumps(value)


class Account(Behaviour):
    """Adds orders, subtracts payments, tells the sum once a commit, reminds of what is owed after a minute."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sums = context.table("sums")
        self._changed: dict[str, int] = {}

    def on_records(self, records: Sequence[Record]) -> None:
        """Take in orders and payments."""
        for record in records:
            key = record.key or ""
            if not isinstance(record.value, int):
                self._context.emit("toy.rejects", key, {"offset": record.offset, "topic": record.topic})
                continue
            amount = record.value if record.topic == "toy.orders" else -record.value
            before = self._sums.get(key) or Sum(0, 0)
            after = Sum(before.owed + amount, before.records + 1)
            self._sums.put(key, after)
            self._context.emit("toy.moves", key, {"owed": after.owed, "records": after.records})
            if after.owed > 0:
                self._context.timers.set(key, self._context.now + REMINDER_MS)
            else:
                self._context.timers.cancel(key)

    def on_timer(self, key: str) -> None:
        """Remind a customer."""
        self._context.emit("toy.reminders", key, (self._sums.get(key) or Sum(0, 0)).owed)

    def before_commit(self) -> None:
        """Nothing is told once a commit."""


class Journal(Behaviour):
    """Numbers the moves of each customer."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._numbers = context.table("numbers")

    def on_records(self, records: Sequence[Record]) -> None:
        """Number the moves."""
        for record in records:
            key = record.key or ""
            number = (self._numbers.get(key) or 0) + 1
            self._numbers.put(key, number)
            self._context.emit("toy.journal", key, {"number": number, **record.value})

    def on_timer(self, key: str) -> None:
        """There are no timers."""

    def before_commit(self) -> None:
        """Nothing is told once a commit."""


class Faulty(Journal):
    """A journal that fails on the thirteenth move of a customer."""

    def on_records(self, records: Sequence[Record]) -> None:
        """Fail if one of the records is unlucky."""
        if any(record.value["records"] == 13 for record in records):
            raise ValueError("move 13 cannot be numbered")
        super().on_records(records)


ACCOUNT = Step(
    "account",
    "customer",
    ("toy.orders", "toy.payments"),
    ("toy.moves", "toy.reminders", "toy.rejects"),
    Account,
    {"sums": Sum},
)
JOURNAL = Step("journal", "customer", ("toy.moves",), ("toy.journal",), Journal, {"numbers": int})
FAULTY = Step("journal", "customer", ("toy.moves",), ("toy.journal",), Faulty, {"numbers": int})
