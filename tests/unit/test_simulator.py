"""The simulator: order, time, commits and crashes, with toy steps; and what the real topology does at a restart."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from schemas.mapping import MAPPINGS_FOLDER, load_mappings, load_ownership
from state import MemoryStore, Store
from streams.partitioning import partition_of
from streams.simulator import Simulator
from streams.step import Context, Record, Step
from streams.topics import CONTRACT_FACTS, EXCEPTIONS, TRIGGERS
from streams.topology import Rulebook, topology
from tests.support.feed import firm
from tests.support.streams import Collected, Stores, file_run, reader, record_of, restarted, rulebook, service_run

SOURCE = "hr.Worker"


class Counting:
    """Counts records a key, emits the count at each commit, and when a timer fires."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._counts = context.table("counts")
        self._dirty: dict[str, None] = {}

    def on_records(self, records: Sequence[Record]) -> None:
        for record in records:
            key = str(record.key)
            self._counts.put(key, (self._counts.get(key) or 0) + 1)
            self._dirty[key] = None
            if record.value is not None:
                self._context.timers.set(key, record.value)

    def on_timer(self, key: str) -> None:
        self._context.emit(TRIGGERS, key, ("due", self._context.now))

    def before_commit(self) -> None:
        for key in self._dirty:
            self._context.emit(TRIGGERS, key, (self._counts.get(key), self._context.now))
        self._dirty = {}


class Forwarding:
    """Sends every record on, once to a key of its own or to all partitions."""

    def __init__(self, context: Context, to_all: bool) -> None:
        self._context = context
        self._to_all = to_all

    def on_records(self, records: Sequence[Record]) -> None:
        for record in records:
            if self._to_all:
                self._context.emit_to_all(CONTRACT_FACTS, str(record.key), record.value)
            else:
                self._context.emit(CONTRACT_FACTS, record.value, None)

    def on_timer(self, key: str) -> None:
        """Nothing is timed."""

    def before_commit(self) -> None:
        """Nothing waits."""


COUNTING = Step("counting", "k", (SOURCE,), (TRIGGERS,), Counting, {"counts": int})
DOWNSTREAM = Step("counting", "k", (CONTRACT_FACTS,), (TRIGGERS,), Counting, {"counts": int})


def _forwarding(to_all: bool) -> Step:
    return Step("forwarding", "k", (SOURCE,), (CONTRACT_FACTS,), lambda context: Forwarding(context, to_all))


class Told:
    """What a simulator delivered, as (key, value)."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def __call__(self, record: Record) -> None:
        self.records.append(record)

    def values(self) -> list[tuple[str | None, Any]]:
        return [(record.key, record.value) for record in self.records]


def _simulator(*steps: Step, partitions: int = 1, store: Callable[[], Store] = MemoryStore) -> tuple[Simulator, Told]:
    told = Told()
    return Simulator(steps, told, partitions, store), told


def _feed(simulator: Simulator, *records: tuple[str, Any]) -> None:
    for key, value in records:
        simulator.feed(Record(SOURCE, key, value, 0))


def test_one_commit_says_one_thing_a_key() -> None:
    simulator, told = _simulator(COUNTING)
    _feed(simulator, ("a", None), ("b", None), ("a", None))
    simulator.settle()
    assert told.values() == [("a", (2, 0)), ("b", (1, 0))]
    _feed(simulator, ("a", None))
    simulator.settle()
    assert told.values()[2:] == [("a", (3, 0))]


def test_what_a_step_emits_reaches_the_next_before_it_commits() -> None:
    simulator, told = _simulator(_forwarding(to_all=False), DOWNSTREAM)
    _feed(simulator, ("x", "a"), ("y", "a"), ("z", "b"))
    simulator.settle()
    assert told.values() == [("a", (2, 0)), ("b", (1, 0))]


@pytest.mark.parametrize("partitions", [1, 3, 4])
def test_a_record_to_all_reaches_every_partition(partitions: int) -> None:
    simulator, told = _simulator(_forwarding(to_all=True), DOWNSTREAM, partitions=partitions)
    _feed(simulator, ("a", None))
    simulator.settle()
    assert [record.key for record in told.records] == ["a"] * partitions


def test_records_of_a_key_meet_on_its_partition() -> None:
    simulator, told = _simulator(COUNTING, partitions=4)
    keys = [f"k{number}" for number in range(20)]
    _feed(simulator, *((key, None) for key in keys), *((key, None) for key in keys))
    simulator.settle()
    assert sorted(told.values()) == sorted((key, (2, 0)) for key in keys)
    assert {record.partition for record in told.records} == {partition_of(key, 4) for key in keys}


def test_offsets_count_up_a_partition() -> None:
    simulator, told = _simulator(COUNTING)
    for _ in range(3):
        _feed(simulator, ("a", None))
        simulator.settle()
    assert [record.offset for record in told.records] == [0, 1, 2]


# -- time


def test_the_clock_fires_what_falls_due_each_at_its_own_time() -> None:
    simulator, told = _simulator(COUNTING)
    _feed(simulator, ("late", 300), ("early", 100), ("never", 900))
    simulator.settle()
    del told.records[:]
    simulator.advance(400)
    assert told.values() == [("early", ("due", 100)), ("late", ("due", 300))]
    assert simulator.now == 400


def test_the_clock_never_goes_back() -> None:
    simulator, _ = _simulator(COUNTING)
    simulator.advance(400)
    simulator.advance(100)
    assert simulator.now == 400


def test_what_is_overdue_fires_now() -> None:
    simulator, told = _simulator(COUNTING)
    simulator.advance(400)
    _feed(simulator, ("a", 100))
    simulator.settle()
    simulator.advance(400)
    assert told.values() == [("a", (1, 400)), ("a", ("due", 400))]


# -- pieces


def test_what_is_not_committed_is_undone_by_a_crash_and_comes_again() -> None:
    simulator, told = _simulator(COUNTING)
    [seat] = simulator.seats
    _feed(simulator, ("a", None), ("b", None))
    simulator.take(seat, 1)
    simulator.crash(seat)
    assert told.values() == []
    simulator.take(seat, 2)
    simulator.commit(seat)
    assert told.values() == [("a", (1, 0)), ("b", (1, 0))]
    simulator.crash(seat)
    _feed(simulator, ("a", None))
    simulator.take(seat, 1)
    simulator.commit(seat)
    assert told.values()[2:] == [("a", (2, 0))]


def test_a_timer_outlives_a_crash() -> None:
    simulator, told = _simulator(COUNTING)
    [seat] = simulator.seats
    _feed(simulator, ("a", 100))
    simulator.take(seat, 1)
    simulator.commit(seat)
    simulator.restart()
    simulator.now = 100
    simulator.churn(Random(1))
    assert told.values() == [("a", (1, 0)), ("a", ("due", 100))]


@pytest.mark.parametrize("seed", range(10))
def test_churning_counts_everything_once_whatever_crashes(seed: int) -> None:
    simulator, told = _simulator(_forwarding(to_all=False), DOWNSTREAM, partitions=3)
    _feed(simulator, *((f"s{number}", f"k{number % 5}") for number in range(50)))
    simulator.churn(Random(seed), crash_rate=0.3)
    assert simulator.busy() == []
    assert dict(told.values()) == {f"k{number}": (10, 0) for number in range(5)}


# -- the topology itself


def test_a_file_run_and_a_service_agree_on_a_small_firm() -> None:
    feed = firm().at("2026-02-04T09:00:00Z")
    feed.entry("T1")
    feed.entry("T1", hours="6")
    assert _amounts(file_run(feed.records)) == [Decimal(800), Decimal(-800), Decimal(600)]
    assert sum(_amounts(service_run(feed.records, Random(3), partitions=4, crash_rate=0.2))) == Decimal(600)


def _amounts(records: list[dict[str, Any]]) -> list[Decimal]:
    return [Decimal(record["value"]["amount"]) for record in records if record["topic"] == TRIGGERS]


def _with_word(folder: Path, word: str) -> Rulebook:
    """The shipped rulebook, with one more word of the PSA for an approved entry."""
    for path in MAPPINGS_FOLDER.glob("*.yaml"):
        text = path.read_text()
        if path.name == "psa.yaml":
            assert text.count("    Approved: approved\n") == 1
            text = text.replace("    Approved: approved\n", f"    Approved: approved\n    {word}: approved\n")
        (folder / path.name).write_text(text)
    mappings = load_mappings(folder)
    return Rulebook(mappings, load_ownership(mappings=mappings), rulebook().policy)


def test_a_mapping_that_learns_a_word_releases_what_was_parked_at_the_next_start(tmp_path: Path) -> None:
    feed = firm().at("2026-02-04T09:00:00Z")
    feed.entry("T1", status="Genehmigt")
    feed.entry("T2", status="Unklar")
    stores = Stores()
    simulator, told = restarted(stores, rulebook())
    _run(simulator, feed.records)
    assert told.of(TRIGGERS) == []
    assert [(e["entity_id"], e["state"]) for e in told.of(EXCEPTIONS)] == [("T1", "open"), ("T2", "open")]

    simulator, told = restarted(stores, _with_word(tmp_path, "Genehmigt"))
    _run(simulator, feed.records[:1])  # a duplicate is enough to wake it
    assert [(t["source_id"], t["amount"]) for t in told.of(TRIGGERS)] == [("T1", "800.00")]
    assert [(e["entity_id"], e["state"]) for e in told.of(EXCEPTIONS)] == [("T1", "resolved")]


def test_a_restart_without_change_tells_nothing(tmp_path: Path) -> None:
    feed = firm().at("2026-02-04T09:00:00Z")
    feed.entry("T1")
    feed.entry("T2", status="Unklar")
    stores = Stores()
    simulator, _ = restarted(stores, rulebook())
    _run(simulator, feed.records)
    simulator, told = restarted(stores, rulebook())
    _run(simulator, feed.records)
    assert told.records == []


def _run(simulator: Simulator, contents: list[dict[str, Any]]) -> None:
    for offset, content in enumerate(contents):
        record = record_of(content, offset)
        simulator.feed_to("intake", record._replace(value=reader().read(record)))
        simulator.settle()
    simulator.flush()


@pytest.mark.parametrize("seed", range(12))
def test_a_project_that_comes_back_has_the_margin_of_its_contract(seed: int) -> None:
    feed = firm()
    other = next(c for c in ("C2", "C3", "C4", "C5") if partition_of(c, 4) != partition_of("C1", 4))
    feed.contract(ContractNumber=other, Rates=[{"Role": "Engineer", "Rate": "200", "EffectiveFrom": "2020-01-01"}])
    feed.entry("T1")
    before = len(feed.records)
    for number in (other, "C1"):
        feed.project(contract_number=number)
    told = Collected()
    simulator = Simulator(topology(rulebook(), reader()), told, 4)
    for records in (feed.records[:before], feed.records[before:]):
        for offset, content in enumerate(records):
            record = record_of(content, offset)
            simulator.feed_to("intake", record._replace(value=reader().read(record)))
        simulator.churn(Random(seed), batch_max=8)
    last = told.of("margin.updates")[-1]
    assert (last["contract_number"], Decimal(last["revenue"])) == ("C1", Decimal(800))
