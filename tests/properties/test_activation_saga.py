"""Random deals through ledger and doers, with failures and crashes anywhere: each is set up once, or not at all.

The systems remember what was made in them, whatever the workers forget. What the feeds show is told back.
"""

from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from outside.errors import CannotGoOn, Fatal, Retriable, Skippable
from streams.doers.contract import Made
from streams.domain.undertaking import Order
from streams.engine.activating import activation_step
from streams.engine.doing import Doers, Reached
from streams.simulator import Simulator
from streams.step import Record
from streams.topics import ACTIVATION_COMMANDS, ACTIVATION_EVENTS, EXCEPTIONS
from streams.topology import topology
from tests.broker.activation_bench import NOON, Bench, Place
from tests.support.feed import Feed
from tests.support.streams import Collected, read_parts, reader, rulebook

pytestmark = pytest.mark.properties

FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
DEALS = ("O1", "O2", "O3")
DAY = "2026-03-01"


class Trouble(Place):
    """A system that fails by chance, before or after it has done what was asked, and refuses some deals for good."""

    def __init__(self, name: str, told: list[str], random: Random, refused: frozenset[str]) -> None:
        super().__init__(name, told)
        self._random = random
        self._refused = refused
        self.times: dict[str, int] = {}

    def make(self, order: Order, in_doubt: bool) -> Made:
        if order.opportunity_id in self._refused:
            raise Skippable("never")
        failure: CannotGoOn | None = None
        match self._random.randrange(6):
            case 0:
                raise Retriable("not now", nothing_sent=True)
            case 1:
                raise Fatal("wrong password")
            case 2:
                failure = Retriable("no answer")
        if not self.made.get(order.opportunity_id):
            self.times[order.opportunity_id] = self.times.get(order.opportunity_id, 0) + 1
        made = super().make(order, in_doubt)
        if failure is not None:
            raise failure
        return made


class World:
    """The whole flow over some partitions, with systems that close the loop."""

    def __init__(self, random: Random, partitions: int, refused: frozenset[str]) -> None:
        self._random = random
        self._bench = Bench()
        self.places = {
            name: Trouble(name, [], random, refused if name == "erp" else frozenset())
            for name in ("psa", "erp", "hook")
        }
        self.told = Collected()
        plan = self._bench.plan.model_copy(update={"closed_within_days": 100_000})
        doers = Doers(plan, lambda name: Reached(self.places[name], self._bench), 60.0, random.random, lambda: NOON)
        steps = (*topology(rulebook(), reader()), activation_step(doers))
        self.simulator = Simulator(steps, self._delivered, partitions)
        self.simulator.now = NOON
        self._feed = Feed(f"{DAY}T09:00:00Z")
        self._taken = 0
        self._shown: set[tuple[str, str]] = set()

    def _delivered(self, record: Record) -> None:
        self.told(record)

    def win(self) -> None:
        self._feed.put("crm.Account", Id="A1")
        for deal in DEALS:
            self._feed.contract(ContractNumber=f"C-{deal}", LegalEntity="DE01", OpportunityId=deal)
            self._feed.put("crm.Opportunity", Id=deal, IsClosed=True, IsWon=True, ContractNumber=f"C-{deal}")
        self._take()

    def run(self, crash_rate: float) -> None:
        """Run until nothing moves any more, with crashes and the clock moving on."""
        for _ in range(200):
            self._work(crash_rate)
            self._show()
            self.simulator.now += 30_000
            if not self._is_any_open() and not self.simulator.busy():
                return
        raise AssertionError("something is still open")

    def _is_any_open(self) -> bool:
        doing = [seat for seat in self.simulator.seats if seat.step.name == "activation"]
        return any(seat.task.next_due() is not None or seat.task.context.nudged for seat in doing)

    def _work(self, crash_rate: float) -> None:
        for _ in range(20):
            self.simulator.churn(self._random, crash_rate)
            nudged = [seat for seat in self.simulator.seats if seat.task.context.nudged]
            for seat in nudged:
                seat.task.fire(self.simulator.now)
            if not nudged:
                break

    def _show(self) -> None:
        """Have the feeds of the PSA and of the ERP show what was made there."""
        for deal in DEALS:
            if self.places["psa"].made.get(deal) and ("psa", deal) not in self._shown:
                self._shown.add(("psa", deal))
                self._feed.put("psa.public.projects", id=f"P-{deal}", contract_number=f"C-{deal}")
            if self.places["erp"].made.get(deal) and ("erp", deal) not in self._shown:
                self._shown.add(("erp", deal))
                self._feed.put("erp.Project", ProjectId=f"P-{deal}", ErpProjectNumber=f"N-{deal}")
        self._take()

    def _take(self) -> None:
        fresh, first = self._feed.records[self._taken :], self._taken
        self._taken = len(self._feed.records)
        for part in read_parts(fresh, first):
            self.simulator.feed_to("intake", part)

    def of(self, topic: str) -> list[dict[str, Any]]:
        return self.told.of(topic)


@pytest.mark.parametrize("partitions", [1, 4])
@FEW
@given(seed=st.integers(0, 2**32), refused=st.frozensets(st.sampled_from(DEALS), max_size=2))
def test_each_deal_is_set_up_once_or_taken_back(partitions: int, seed: int, refused: frozenset[str]) -> None:
    world = World(Random(seed), partitions, refused)
    world.win()
    world.run(crash_rate=0.1)
    well = set(DEALS) - refused
    for deal in DEALS:
        is_well = deal in well
        assert world.places["psa"].made.get(deal) is is_well, (seed, deal)
        assert bool(world.places["erp"].made.get(deal)) is is_well
        assert bool(world.places["hook"].made.get(deal)) is is_well
    assert all(times == 1 for place in world.places.values() for times in place.times.values())
    completed = {each["opportunity_id"] for each in world.of(ACTIVATION_EVENTS) if each["state"] == "completed"}
    assert completed == well
    newest = {each["exception_id"]: each for each in world.of(EXCEPTIONS) if each["kind"] == "activation_failed"}
    still_open = {each["entity_id"] for each in newest.values() if each["state"] == "open"}
    assert still_open & set(DEALS) == refused
    for deal in refused:
        [matter] = [each for each in newest.values() if each["entity_id"] == deal]
        assert matter["reasons"][-1].endswith("made for it, is cancelled"), (seed, matter)
    ids = [each["event_id"] for each in world.of(ACTIVATION_EVENTS)]
    assert len(set(ids)) == len(ids)
    announced = {each["opportunity_id"] for each in world.of(ACTIVATION_COMMANDS) if each["step"] == "announce"}
    assert announced == well
