"""The law of assembly: whatever the order, delay, duplicate, crash or partitions, rows equal a join of the last."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from state import State
from streams.assembly.step import assembly_step
from streams.intake.change import Change
from streams.intake.reading import Reader
from streams.partitioning import partition_of
from streams.simulator import Simulator
from streams.step import Context, Record, Step
from streams.topology import Rulebook, topology
from tests.oracle.compare import disagreements
from tests.oracle.firms import UNTIL, interleave, random_firm
from tests.support.feed import Feed
from tests.support.streams import Collected, Stores, feed_in_pieces, instant_of, record_of
from tests.support.tryton import CROSSWALK, Json, interleaved, joined, mapping_in, random_tryton, with_tryton

pytestmark = pytest.mark.properties

SEEDS = st.integers(min_value=0, max_value=10**9)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


@cache
def rules() -> Rulebook:
    with TemporaryDirectory() as folder:
        return with_tryton(mapping_in(Path(folder)))


@cache
def reader() -> Reader:
    return Reader(rules().mappings, lambda *_: {})


class Taking:
    """Takes in assembled rows by the guard of intake: what is not newer than what was seen is a duplicate."""

    def __init__(self, context: Context, reader: Reader) -> None:
        self._context = context
        self._reader = reader
        self._rows = context.table("taken.rows")

    def on_records(self, records: Sequence[Record]) -> None:
        for record in records:
            change = self._reader.read(record)
            assert isinstance(change, Change)
            assert change.refusal is None
            place = f"{record.topic} {record.key} {change.id}"
            position, live, _ = self._rows.get(place) or (-1, False, None)
            # Nothing is told twice, and nothing under a position that has passed.
            assert (change.cause.position or 0) > position, (record, position)
            assert live or not change.deleted
            said = None if change.deleted else {name: _plain(value) for name, value in record.value["after"].items()}
            self._rows.put(place, (change.cause.position, not change.deleted, said))

    def on_timer(self, key: str) -> None: ...

    def before_commit(self) -> None: ...


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | str) else str(value).replace(" ", "T", 1)


ROW = tuple[int, bool, dict[str, Any] | None]


def taking() -> Step:
    topics = tuple(rules().mappings.assembled)
    return Step("taking", "as assembled", topics, (), lambda context: Taking(context, reader()), {"taken.rows": ROW})


def parts_of(contents: Sequence[Json]) -> list[Record]:
    parts = [part for offset, content in enumerate(contents) for part in reader().split(record_of(content, offset))]
    return [part._replace(value=reader().read(part)) for part in parts]


def taken(simulator: Simulator) -> dict[tuple[str, str], Json]:
    """The assembled rows that are in force, each under one key."""
    found: dict[tuple[str, str], Json] = {}
    for seat in simulator.seats:
        if seat.step.name == "taking":
            for place, (_, live, row) in (
                State(seat.store).table("taken.rows", seat.step.remembers["taken.rows"]).scan("")
            ):
                topic, key, identity = place.split(" ")
                if live:
                    assert (topic, identity) not in found, f"{identity} is told under two keys"
                    assert key == row.get("project_id", row["id"])
                    found[topic, identity] = row
    return found


@settings(FEW, max_examples=150)
@given(SEEDS, st.sampled_from([1, 4]), st.sampled_from([0.0, 0.2]), st.booleans())
def test_rows_are_the_join_of_the_last_native_rows(seed: int, partitions: int, crash_rate: float, spoilt: bool) -> None:
    tryton, random = random_tryton(seed, 40, spoilt), Random(seed)
    simulator = Simulator([assembly_step(rules().mappings, reader()), taking()], lambda _: None, partitions)
    feed_in_pieces(simulator, parts_of(interleaved(tryton.told.values(), random)), random, crash_rate)
    wanted, refused = joined(tryton.rows)
    found = taken(simulator)
    # Of a row that is refused, the last good version stays in force: which one was told depends on the order.
    assert {place: row for place, row in found.items() if place not in refused} == wanted
    waiting, parked = gauges(simulator)
    assert parked >= len(refused)
    assert waiting == absent(tryton.rows)
    before = len(found)
    feed_in_pieces(simulator, parts_of(tryton.records), random, crash_rate)
    assert len(taken(simulator)) == before
    assert taken(simulator) == found


def gauges(simulator: Simulator) -> tuple[set[tuple[str, str]], int]:
    """Which rows wait for a partner, and how many are parked in all."""
    waiting: set[tuple[str, str]] = set()
    parked = 0
    for seat in simulator.seats:
        if seat.step.name == "assembly":
            simulator.crash(seat)
            parked += seat.task.context.gauges["parked"]
            places = [place.split("\x1f") for place, _ in State(seat.store).table("assembly.waiting", int).scan("")]
            waiting |= {(place[1], place[0]) for place in places}
    return waiting, parked


def absent(rows: dict[str, dict[str, Json]]) -> set[tuple[str, str]]:
    """Which rows need one that is not there."""
    waiting = set()
    for key, employee in rows["company_employee"].items():
        if str(employee["party"]) not in rows["party_party"]:
            waiting.add(("tryton.resources", key))
    for key, project in rows["project_work"].items():
        if project["type"] == "project" and str(project["company"]) not in rows["company_company"]:
            waiting.add(("tryton.projects", key))
    for key, line in rows.get("timesheet_line", {}).items():
        work = rows["timesheet_work"].get(str(line["work"]))
        origin = "project.work,0" if work is None else work["origin"] or ""
        if origin.startswith("project.work,") and origin.split(",")[1] not in rows["project_work"]:
            waiting.add(("tryton.time_entries", key))
    return waiting


# -- through the whole topology, beside another PSA


def agreed() -> Feed:
    """What other systems say of the firm that has this Tryton."""
    feed = Feed()
    for number, currency in ((1, "EUR"), (2, "USD")):
        feed.put("crm.Account", Id=f"AT{number}")
        feed.put("erp.Customer", Id=f"CUT{number}", CrmAccountId=f"AT{number}")
        rates = [{"Role": "Engineer", "Rate": "100", "EffectiveFrom": "2026-01-01"}]
        rates.append({"Role": "Analyst", "Rate": "133.33", "EffectiveFrom": "2026-02-10"})
        feed.contract(ContractNumber=f"CT{number}", AccountId=f"AT{number}", CurrencyIsoCode=currency, Rates=rates)
        feed.put("hr.Worker", EmployeeId=f"ET{number}")
    return feed


def as_psa(rows: dict[tuple[str, str], Json], stages: dict[str, str]) -> list[Json]:
    """The same rows as the feed of a PSA would tell them, once."""
    feed = Feed()
    for (topic, _), row in rows.items():
        said = {"stage": stages[row["stage"]]} if "stage" in row else {}
        said |= {"status": "Approved"} if "hours" in row else {}
        feed.add(topic.replace("tryton.", "psa.public."), "c", None, {**row, **said})
    return feed.records


@FEW
@given(SEEDS, st.sampled_from([1, 4]), st.sampled_from([0.0, 0.1]))
def test_two_systems_at_once_are_billed_as_a_batch_bills_their_last_rows(
    seed: int, partitions: int, crash_rate: float
) -> None:
    random, tryton = Random(seed), random_tryton(seed, 40, spoilt=False)
    others = [*random_firm(seed, 1), *agreed().records]
    collected = Collected()
    simulator = Simulator(topology(rules(), reader()), collected, partitions)
    simulator.now = instant_of(UNTIL)
    both = interleaved([interleave(others, random), interleaved(tryton.told.values(), random)], random, again=0)
    feed_in_pieces(simulator, parts_of(both), random, crash_rate)
    wanted, refused = joined(tryton.rows)
    assert not refused
    equal = [*others, *as_psa(wanted, {"1": "In Delivery", "2": "Completed"})]
    assert disagreements(equal, collected.records, UNTIL) == []


# -- under revised crosswalks


def earlier(random: Random) -> dict[str, dict[str, Any]]:
    """A crosswalk from before the one that counts: some entries are missing, and some say something else."""
    return {
        table: {
            key: random.choice([value, f"{value}-before"]) for key, value in entries.items() if random.random() < 0.7
        }
        for table, entries in CROSSWALK.items()
    }


@FEW
@given(SEEDS, st.sampled_from([1, 4]), st.sampled_from([0.0, 0.2]))
def test_rows_are_those_of_the_last_crosswalk_whenever_it_was_revised(
    seed: int, partitions: int, crash_rate: float
) -> None:
    tryton, random = random_tryton(seed, 40, spoilt=False), Random(seed)
    parts = parts_of(interleaved(tryton.told.values(), random))
    revised = random.randint(0, len(parts))
    with TemporaryDirectory() as folder:
        before = with_tryton(mapping_in(Path(folder), earlier(random)))
    stores = Stores()

    def start(rulebook: Rulebook, delivered: Sequence[Record]) -> Simulator:
        steps = [assembly_step(rulebook.mappings, reader()), taking()]
        simulator = Simulator(steps, lambda _: None, partitions, stores.begin())
        simulator.now = 1
        feed_in_pieces(simulator, delivered, random, crash_rate)
        return simulator

    start(before, parts[:revised])
    simulator = start(rules(), parts[revised:])
    wanted, refused = joined(tryton.rows)
    assert not refused
    assert taken(simulator) == wanted
    assert [seat.task.context.gauges["parked"] for seat in simulator.seats if seat.step.name == "assembly"] == [
        len([place for place in here if partition_of(place[1], partitions) == number])
        for number, here in enumerate([absent(tryton.rows)] * partitions)
    ]
