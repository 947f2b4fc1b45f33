"""Many calls at once: they end in any order, come back unsent, and the worker dies with some of them on their way."""

from random import Random

import pytest

from streams.delivery.calls import Sending, Work
from streams.delivery.limits import Limits
from streams.domain.posting import Posting, Status
from tests.contract.simulators.memory_erp import MemorySink
from tests.contract.station import NOON, Item, Station
from tests.contract.suite import random_items
from tests.contract.targets import MemoryTarget

SECOND = 1_000


class Erp(MemoryTarget):
    """An ERP in memory that takes so many postings a call."""

    def __init__(self, per_call: int) -> None:
        super().__init__()
        self._per_call = per_call

    def open(self) -> MemorySink:
        sink = super().open()
        sink.postings_per_call = self._per_call
        return sink


class Schedule:
    """A life of deliveries in which chance says what happens next; the worker dies now and then."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.target = Erp(self._random.choice([1, 1, 4, 10_000]))
        limits = Limits(self._random.choice([1, 5, 50]), self._random.choice([0, 5 * SECOND]), SECOND, 8 * SECOND)
        self.station = Station(self.target, limits)
        self._items = random_items(self._random, 300, reversals=True)
        for item in self._items[::37]:
            self.target.refuse(item, "refused by rule")
        self._under_way: list[Work] = []
        self._frozen: dict[str, int] = {}
        self.deaths = 0
        self._live()

    def run(self) -> list[Item]:
        """Let it all come to an end, and return what was meant to be delivered."""
        while len(self.station.log) < len(self._items) or self._under_way:
            self.station.now += self._random.randint(0, 3 * SECOND)
            if self._random.random() < 0.1:
                key = f"C{self._random.randint(1, 40)}"
                self._frozen[key] = self.station.now + self._random.randint(0, 20 * SECOND)
            self._step(self._random.random())
        self._frozen.clear()
        self.station.settle(self.station.now)
        return self._items

    def _step(self, draw: float) -> None:
        if draw < 0.6:
            self._take(more=draw < 0.35)
        elif draw < 0.97 and self._under_way:
            self._end(self._random.choice(self._under_way))
        elif draw > 0.985:
            self._die()

    def _take(self, more: bool) -> None:
        station, random = self.station, self._random
        if more:
            station.log = self._items[: len(station.log) + random.randint(0, 30)]
            station.intend()
        works = station.delivery.work(station.now, random.randint(0, 20), random.random() < 0.7)
        station.commit()  # and only then are they run
        self._under_way += works

    def _end(self, work: Work) -> None:
        if isinstance(work, Sending) and self._random.random() < 0.15:
            work.may = lambda: False
        if self._random.random() < 0.1:
            self.target.disturb(0, self._random.choice(["before", "after"]))
        ended = work.run()
        self.target.faults.clear()
        if not ended.more:
            self._under_way.remove(work)
            self.station.delivery.settle(work, self.station.now)
            if self._random.random() < 0.7:
                self.station.commit()

    def _die(self) -> None:
        for work in self._under_way:
            if self._random.random() < 0.5:
                work.run()  # it was on its way, and arrives
        self._under_way.clear()
        self.deaths += 1
        self._live()

    def _live(self) -> None:
        self.station.restart(self._frozen_until)

    def _frozen_until(self, posting: Posting, now: int) -> int | None:
        until = self._frozen.get(posting.order_key, 0)
        return until if until > now else None


@pytest.mark.parametrize("seed", range(30))
def test_however_calls_end_each_posting_is_booked_once_in_its_order(seed: int) -> None:
    schedule = Schedule(seed)
    items = schedule.run()
    schedule.station.verify()
    last, posted = schedule.station.last, {item.number for item in items if is_posted(schedule.station, item)}
    back = [item for item in items if item.reverses is not None]
    assert [item for item in back if item.number in posted and item.reverses not in posted] == []
    assert {last(item).status for item in items} == {Status.POSTED, Status.REJECTED, Status.SUPERSEDED}
    assert schedule.station.now > NOON
    assert schedule.deaths > 0


def is_posted(station: Station, item: Item) -> bool:
    return station.last(item).status is Status.POSTED
