"""Counting that nothing was lost, and comparing with the same input computed without a broker."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from streams.config import Settings
from streams.domain.posting import FINAL
from streams.engine.drained import Ends, GroupLag
from streams.engine.feeding import Change
from streams.engine.worker import rulebook_of
from streams.intake.reading import Reader
from streams.replay import run as replay
from streams.simulator import Simulator
from streams.step import Record, Step
from streams.topics import MARGINS, RECEIPTS, TOPICS, TRIGGERS, Role
from streams.topology import topology

ZERO = Decimal(0)


class LostRecordsError(Exception):
    """Counts or amounts do not agree: something was lost, doubled or computed differently. A defect."""


class Nets(NamedTuple):
    """Triggers less reversals by contract; what its projects have billed and held together; cost by project."""

    billed: Mapping[str, Decimal]
    worth: Mapping[str, Decimal]
    costs: Mapping[str, Decimal]


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


def compare_amounts(records: Sequence[Mapping[str, Any]], expected: Nets) -> str:
    """Check amounts against what was expected, and triggers against receipts; return the result in words.

    Every project's cost and every contract's billed plus held must agree. When a gate shut may depend on the order of
    feeds, which a broker does not promise: then more is held and less billed, or the other way round. Raises
    `LostRecordsError` naming what does not agree.
    """
    found = nets_of(records)
    contracts = sorted({*found.billed, *expected.billed, *found.worth, *expected.worth})
    differing = [c for c in contracts if found.billed.get(c, ZERO) != expected.billed.get(c, ZERO)]
    wrong = [
        f"contract {c}: billed {found.billed.get(c)}, expected {expected.billed.get(c)}; with held "
        f"{found.worth.get(c)}, expected {expected.worth.get(c)}"
        for c in contracts
        if found.worth.get(c, ZERO) != expected.worth.get(c, ZERO)
    ]
    wrong += [
        f"project {p}: cost {found.costs.get(p)}, expected {expected.costs.get(p)}"
        for p in sorted({*found.costs, *expected.costs})
        if found.costs.get(p) != expected.costs.get(p)
    ]
    if wrong:
        raise LostRecordsError("amounts differ from those computed without a broker:\n" + "\n".join(wrong))
    _check_triggers(records)
    _check_receipts(records)
    told = (
        f"amounts: {len(contracts) - len(differing)} of {len(contracts)} contracts have the net billed that was "
        f"computed without a broker, to the cent; billed plus held, and the cost of {len(found.costs)} projects, "
        "agree in all"
    )
    if differing:
        told += f" (in {len(differing)} a gate shut at another moment: what is billed in one run is held in the other)"
    return told


def _check_triggers(records: Sequence[Mapping[str, Any]]) -> None:
    """Check that the triggers of each project come to what the ledger believes to have billed."""
    margins = {record["value"]["project_id"]: record["value"] for record in records if record["topic"] == MARGINS}
    sums: dict[str, Decimal] = defaultdict(Decimal)
    foreign = set()  # their margin is in another currency than their triggers: nothing to compare
    for record in records:
        value = record["value"]
        if record["topic"] == TRIGGERS and value["project_id"] is not None:
            sums[value["project_id"]] += value["amount"]
            if value["currency"] != margins.get(value["project_id"], value)["currency"]:
                foreign.add(value["project_id"])
    for project, margin in sorted(margins.items()):
        if project not in foreign and sums[project] != margin["billed"]:
            raise LostRecordsError(
                f"project {project}: its triggers come to {sums[project]}, but {margin['billed']} is said to be billed"
            )


def answered_in(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the triggers that have a final receipt."""
    receipts = (record["value"] for record in records if record["topic"] == RECEIPTS)
    return {receipt["trigger_id"] for receipt in receipts if receipt["status"] in FINAL}


def _check_receipts(records: Sequence[Mapping[str, Any]]) -> None:
    answered = answered_in(records)
    triggers = [record["value"]["trigger_id"] for record in records if record["topic"] == TRIGGERS]
    if len(triggers) != len(set(triggers)):
        raise LostRecordsError(f"{len(triggers) - len(set(triggers))} triggers were written twice")
    unanswered = [trigger for trigger in triggers if trigger not in answered]
    if unanswered:
        raise LostRecordsError(f"{len(unanswered)} triggers have no final receipt, first {unanswered[0]}")


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
    costs = {project: margin["labor_cost"] + margin["expense_cost"] for project, margin in margins.items()}
    return Nets(dict(billed), dict(worth), costs)


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
    raise TypeError(f"{topic}: {len(value)} bytes; changes come as they were generated")
