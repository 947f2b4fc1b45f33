"""Assembly at work on one partition, a record at a time, and what it tells."""

from collections.abc import Sequence
from typing import Any

from state import MemoryStore, Store
from streams.assembly.step import assembly_step
from streams.domain.assembled import Answer
from streams.intake.reading import Reader
from streams.simulator import Simulator
from streams.step import Record, Step
from streams.topics import ASSEMBLY_LOOKUPS
from streams.topology import Rulebook
from tests.support.streams import Collected, record_of
from tests.support.tryton import Json, Tryton


class Taking:
    """Notes what comes to its topics."""

    def __init__(self, told: list[Record]) -> None:
        self._told = told

    def on_records(self, records: Sequence[Record]) -> None:
        self._told.extend(records)

    def on_timer(self, key: str) -> None: ...

    def before_commit(self) -> None: ...


class Bench:
    """Assembly at work on one partition; what it tells comes back from `take`."""

    def __init__(self, rules: Rulebook, stores: list[Store] | None = None) -> None:
        self.told: list[Record] = []
        self.stores = stores or [MemoryStore(), MemoryStore()]
        self._reader = Reader(rules.mappings, _no_bytes)
        self._public = Collected()
        topics = (*rules.mappings.assembled, ASSEMBLY_LOOKUPS)
        taking = Step("taking", "", topics, (), lambda _: Taking(self.told))
        given = iter(self.stores)
        self.simulator = Simulator(
            [assembly_step(rules.mappings, self._reader), taking], self._public, store=lambda: next(given)
        )
        self._offset = 0

    def take(self, *contents: Json) -> list[tuple[str, str, str, int]]:
        """Take in records to quiescence; return topic, key, op and position of what is told of rows."""
        self.told.clear()
        for content in contents:
            for part in self._reader.split(record_of(content, self._offset)):
                self._offset += 1
                read = self._reader.read(part)
                if read is not None:
                    self.simulator.feed_to("assembly", part._replace(value=read))
            self.simulator.settle()
        return self.rows()

    def rows(self) -> list[tuple[str, str, str, int]]:
        """Return topic, key, op and position of what was told of rows."""
        return [
            (each.topic, str(each.key), each.value["op"], each.value["source"]["position"])
            for each in self.told
            if each.topic != ASSEMBLY_LOOKUPS
        ]

    def after(self) -> Any:
        """Return the row that was told last."""
        return [each.value["after"] for each in self.told if each.topic != ASSEMBLY_LOOKUPS][-1]

    def answers(self) -> list[str]:
        """Return to which lookups answers were given."""
        return [each.value.name for each in self.told if isinstance(each.value, Answer)]

    def exceptions(self) -> list[tuple[str, str, list[str], int]]:
        """Return id, state, reasons and attempts of the exceptions told since the last call."""
        told = [(e["exception_id"], e["state"], e["reasons"], e["attempts"]) for e in self._public.of("exceptions")]
        self._public.records.clear()
        return told

    def gauge(self) -> int:
        """Return how many rows are parked."""
        return self.simulator.seats[0].task.context.gauges["parked"]

    def counts(self) -> dict[str, int]:
        return self.simulator.seats[0].task.context.counts

    def dead_letters(self) -> list[Json]:
        return [record for record in self._public.records if record["topic"] == "dead.letters"]

    def again(self, rules: Rulebook) -> "Bench":
        """Start again with the state as it is, under other rules."""
        self.simulator.flush()
        bench = Bench(rules, self.stores)
        bench.simulator.now = self.simulator.now
        bench.simulator.advance(max(self.simulator.now, 1))
        return bench


def _no_bytes(topic: str, payload: bytes) -> Any:
    raise AssertionError(f"{topic}: {payload!r}")


def lsn(record: Json) -> int:
    """The position of a change."""
    return int(record["value"]["source"]["lsn"])


def newest(tryton: Tryton, table: str, identity: int) -> Json:
    """The last change of a row."""
    return tryton.told[table, str(identity)][-1]
