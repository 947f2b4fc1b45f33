"""A job with much state: `python -m bench.variants.items BROKERS GROUP FOLDER [NAME=VALUE...]`.

Every record is one item of a contract, kept for good as a ledger keeps its rows; the contract's count is told once a
commit.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import orjson
from confluent_kafka import Message

from streams.behaviour import Behaviour
from streams.config import load
from streams.engine.wire import records_of
from streams.engine.worker import run_steps
from streams.step import Context, Record, Step

ITEMS, COUNTS = "bench.items", "counts"
CONTRACTS = 2_000


class Item(NamedTuple):
    """About what a ledger remembers of a time entry: some 200 bytes."""

    project: str
    topic: str
    row: str
    version: tuple[int, int]
    day: str
    quantity: str
    rate: str
    amount: str
    currency: str
    trigger: str
    kind: str
    resource: str
    role: str
    ready: bool


def rows(first: int, count: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield records of so many items, of which none came before: topic, key and value."""
    for number in range(first, first + count):
        random = Random(number)
        contract = f"C{random.randrange(CONTRACTS):06d}"
        hours, rate = random.randrange(1, 33), random.randrange(80, 300)
        item = Item(
            f"P{random.randrange(CONTRACTS * 2):06d}", "psa.public.time_entries", f"T{number:09d}",
            (0, number), "2025-03-04", f"{hours / 4:.2f}", f"{rate}.00", f"{hours * rate / 4:.2f}", "EUR",
            f"{random.getrandbits(128):032x}", "time_and_materials", f"R{random.randrange(500):04d}", "Engineer", True,
        )  # fmt: skip
        yield ITEMS, contract, orjson.dumps(list(item))


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


class Keeping(Behaviour):
    """Keeps every item, and counts those of each contract."""

    def __init__(self, context: Context, counts: str) -> None:
        self._context = context
        self._items = context.table("items")
        self._counts = context.table("counts")
        self._touched: set[str] = set()
        self._topic = counts

    def on_records(self, records: Sequence[Record]) -> None:
        """Keep items; one that came before is counted no more."""
        for record in records:
            contract, item = record.key or "", Item(*record.value)
            place = f"{contract}|{item.row}"
            if self._items.get(place) is None:
                self._counts.put(contract, (self._counts.get(contract) or 0) + 1)
                self._touched.add(contract)
            self._items.put(place, item)

    def on_timer(self, key: str) -> None:
        """There are no timers."""

    def before_commit(self) -> None:
        """Tell the counts that have changed."""
        for contract in self._touched:
            self._context.emit(self._topic, contract, self._counts.get(contract))
        self._touched.clear()


def main(brokers: str, group: str, folder: str, *options: str) -> int:
    """Run until stopped; further arguments are settings."""
    counts = f"{group}.{COUNTS}"
    step = Step("items", "contract", (ITEMS,), (counts,), lambda c: Keeping(c, counts), {"items": Item, "counts": int})
    chosen: dict[str, Any] = dict(option.split("=", 1) for option in options)
    settings = load(None, brokers=brokers, group=group, state_folder=Path(folder), **chosen)
    return run_steps(settings, (step,), JsonWire())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
