"""What is parked, told by count: in any order, with crashes between, it is what a look through the tables finds."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from state import State
from streams.domain.kept import Home, Refused
from streams.intake.memory import TABLES
from streams.intake.parked import SEP
from streams.simulator import Seat, Simulator
from streams.step import Record
from streams.topology import topology
from tests.oracle.firms import interleave, random_firm
from tests.support.streams import reader, record_of, rulebook

pytestmark = pytest.mark.properties

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
ITEMS = {
    "TimeEntry": {"approved"},
    "Expense": {"approved"},
    "Milestone": {"planned", "in_progress", "completed", "accepted", "cancelled"},
    "Assignment": {"confirmed"},
}
"""Rows that wait for their project, and the states in which they bear on money or plans."""


def found(seat: Seat) -> tuple[int, int]:
    """How many rows the tables hold that are parked, and since which second the first."""
    state = State(seat.store)
    refused = [version.first_seen for _, version in state.table("intake.refused", Refused).scan("")]
    homes = {project for project, _ in state.table("intake.home", Home).scan("")}
    waiting = {
        (project, kind, identity)
        for kind, states in ITEMS.items()
        for place, kept in state.table(f"rows.{kind}", TABLES[f"rows.{kind}"]).scan("")
        for project, identity in [place.split(SEP)]
        if kept.good is not None and kept.good.status in states and project not in homes
    }
    told = {tuple(place.split(SEP)): since for place, since in state.table("intake.waiting", int).scan("")}
    assert told.keys() == waiting
    sinces = [*refused, *told.values()]
    return len(sinces), min(sinces, default=0) // 1000 * 1000


def changes(seed: int, random: Random) -> list[Record]:
    """The changes of a random firm in another order, as intake takes them in."""
    contents = interleave(random_firm(seed, 2), random)
    parts = [part for offset, content in enumerate(contents) for part in reader().split(record_of(content, offset))]
    read = ((part, reader().read(part)) for part in parts)
    return [part._replace(value=value) for part, value in read if value is not None]


def piece(simulator: Simulator, seat: Seat, random: Random, crash_rate: float) -> bool:
    """Let a task take in a few records and commit, or crash at one of the two; tell whether it committed."""
    simulator.take(seat, random.randint(1, 8))
    if random.random() < crash_rate:
        simulator.crash(seat)
        return False
    simulator.commit(seat)
    return True


@FEW
@given(st.integers(min_value=0, max_value=10**9), st.sampled_from([1, 4]), st.sampled_from([0.0, 0.3]))
def test_the_count_is_what_the_tables_hold(seed: int, partitions: int, crash_rate: float) -> None:
    random = Random(seed)
    intake, *_ = topology(rulebook(), reader())
    simulator = Simulator([intake], lambda _: None, partitions)
    most = 0
    for change in changes(seed, random):
        simulator.now += random.randint(0, 5_000)
        simulator.feed(change)
        seat = random.choice(simulator.seats)
        if random.random() < 0.3 and seat.queue:
            piece(simulator, seat, random, crash_rate)
            told = seat.task.context.gauges
            assert (told["parked"], told["parked_since"]) == found(seat)
            most = max(most, told["parked"])
    assert most > 0
    for seat in simulator.seats:
        while seat.queue:
            piece(simulator, seat, random, crash_rate)
        simulator.crash(seat)
        told = seat.task.context.gauges
        assert (told["parked"], told["parked_since"]) == found(seat)
