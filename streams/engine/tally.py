"""Counting that nothing was lost, and comparing with the same input computed without a broker."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from streams.config import Settings
from streams.engine.drained import Ends, GroupLag
from streams.engine.feeding import Change
from streams.engine.worker import rulebook_of
from streams.intake.reading import Reader
from streams.replay import run as replay
from streams.simulator import Simulator
from streams.step import Record, Step
from streams.topics import MARGINS, RECEIPTS, TOPICS, TRIGGERS, Role
from streams.topology import topology


class LostRecordsError(Exception):
    """Counts or amounts do not agree: something was lost, doubled or computed differently. A defect."""


class Nets(NamedTuple):
    """Amounts by contract: triggers less reversals; and what its projects have billed and held together."""

    billed: Mapping[str, Decimal]
    worth: Mapping[str, Decimal]


class Tally:
    """What went in, what came out, and whether it adds up."""

    def __init__(self, brokers: str, group: str, steps: Sequence[Step]) -> None:
        self._lag = GroupLag(brokers, group)
        self._ends = Ends(brokers)
        self._reads = sorted({topic for step in steps for topic in step.reads})
        self._lines: list[str] = []

    def check_counts(self, confirmed: int, fed: int, collected: Counter[str]) -> None:
        """Check that each record was written, taken in by its step, and that each derived one was read.

        Raises `LostRecordsError` naming the topic.
        """
        sources = [topic for topic in self._reads if topic not in TOPICS or TOPICS[topic].role is Role.SOURCE]
        internal = [topic for topic in self._reads if topic in TOPICS and TOPICS[topic].role is Role.INTERNAL]
        stored = self._lag.of(sources).written
        if not fed == confirmed == stored:
            raise LostRecordsError(f"{fed} records were fed, {confirmed} confirmed, {stored} stored")
        for topic in (*sources, *internal):
            lag = self._lag.of([topic])
            if lag.open:
                raise LostRecordsError(f"{topic}: {lag.open} of {lag.written} records were not processed")
        for topic, count in collected.items():
            written = sum(self._ends.of(self._ends.places([topic])).values())
            if written != count:
                raise LostRecordsError(f"{topic}: {written} records were written, {count} read")
        within = sum(self._lag.of([topic]).written for topic in internal)
        self._lines = [
            f"records in: {fed:,} fed, {fed:,} processed; {within:,} facts between steps, all processed",
            "records out: " + ", ".join(f"{topic} {count:,}" for topic, count in sorted(collected.items())),
        ]

    def told(self) -> str:
        """Return the counts in words."""
        return "\n".join(self._lines)

    def check_amounts(self, records: Sequence[Mapping[str, Any]], expected: Nets) -> str:
        """Check the net of every contract against what was expected; return the result in words.

        What a gate held back may depend on the order of feeds, which a broker does not promise: such a contract must
        agree in billed plus held. Raises `LostRecordsError` naming the contracts that do not.
        """
        found = nets_of(records)
        contracts = sorted({*found.billed, *expected.billed})
        differing = [c for c in contracts if found.billed.get(c, Decimal(0)) != expected.billed.get(c, Decimal(0))]
        wrong = [c for c in differing if found.worth.get(c, Decimal(0)) != expected.worth.get(c, Decimal(0))]
        if wrong:
            lines = (
                f"{c}: net {found.billed.get(c)}, expected {expected.billed.get(c)}; with held {found.worth.get(c)}, "
                f"expected {expected.worth.get(c)}"
                for c in wrong
            )
            raise LostRecordsError(f"{len(wrong)} of {len(contracts)} contracts differ:\n" + "\n".join(lines))
        answered = {record["value"]["trigger_id"] for record in records if record["topic"] == RECEIPTS}
        triggers = [record["value"]["trigger_id"] for record in records if record["topic"] == TRIGGERS]
        if len(triggers) != len(set(triggers)):
            raise LostRecordsError(f"{len(triggers) - len(set(triggers))} triggers were written twice")
        unanswered = [trigger for trigger in triggers if trigger not in answered]
        if unanswered:
            raise LostRecordsError(f"{len(unanswered)} triggers have no receipt, first {unanswered[0]}")
        same = len(contracts) - len(differing)
        told = f"amounts: {same} of {len(contracts)} contracts have the net computed without a broker, to the cent"
        if differing:
            told += f"; {len(differing)} in billed plus held, where a gate fell in another order"
        return told


def nets_of(records: Iterable[Mapping[str, Any]]) -> Nets:
    """Return the amounts of derived records, given in the order of each key."""
    billed: dict[str, Decimal] = defaultdict(Decimal)
    margins: dict[str, Mapping[str, Any]] = {}
    fees: dict[str, Decimal] = defaultdict(Decimal)
    for record in records:
        value = record["value"]
        if record["topic"] == TRIGGERS:
            billed[value["contract_number"]] += value["amount"]
            if value["project_id"] is None:
                fees[value["contract_number"]] += value["amount"]
        elif record["topic"] == MARGINS:
            margins[value["project_id"]] = value
    worth: dict[str, Decimal] = defaultdict(Decimal, fees)
    for margin in margins.values():
        if margin["contract_number"] is not None:
            worth[margin["contract_number"]] += margin["billed"] + margin["held"]
    return Nets(dict(billed), dict(worth))


def expected_nets(settings: Settings, fed: Iterable[Change], now: int) -> Nets:
    """Return what the same changes come to in the simulator, with its clock moved to `now` at the end."""
    rulebook = rulebook_of(settings)
    reader = Reader(rulebook.mappings, _no_bytes, settings.epochs)
    derived: list[dict[str, Any]] = []

    def deliver(record: Record) -> None:
        if record.topic in (TRIGGERS, MARGINS):
            derived.append({"topic": record.topic, "value": record.value})

    simulator = Simulator(topology(rulebook, reader), deliver)
    changes = (
        Record(change.topic, change.key, change.value, change.timestamp, 0, offset) for offset, change in enumerate(fed)
    )
    replay(changes, simulator, reader, now)
    return nets_of(derived)


def _no_bytes(topic: str, value: bytes) -> Mapping[str, Any]:
    raise NotImplementedError(f"{topic}: {len(value)} bytes; changes come as they were generated")
