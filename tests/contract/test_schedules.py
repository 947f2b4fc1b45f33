"""Many calls at once: they end in any order, late or unsent, the worker dies or stalls, and its memory may be lost."""

from random import Random

import pytest

from streams.delivery.calls import Sending, Work
from streams.delivery.limits import LEASE_MS, Limits
from streams.domain.posting import Posting, Status
from tests.contract.simulators.late_erp import LateErp, LateSink
from tests.contract.station import NOON, Item, Station
from tests.contract.suite import random_items
from tests.contract.targets import MemoryTarget

SECOND = 1_000
ANSWER_MS_MAX, STALE_MS_MAX = 5 * SECOND, 20 * SECOND


class Erp(MemoryTarget):
    """An ERP that takes so many postings a call, and may book late."""

    def __init__(self, per_call: int) -> None:
        super().__init__()
        self.late = self.erp = LateErp(self.faults, lambda: NOON)
        self._per_call = per_call

    def open(self) -> LateSink:
        sink = LateSink(self.system, self.late)
        sink.postings_per_call = self._per_call
        sink.answer_ms_max, sink.stale_ms_max = ANSWER_MS_MAX, STALE_MS_MAX
        return sink

    def answer(self, now: int) -> None:  # noqa: ARG002 - it has a clock
        self.late.catch_up()


class Schedule:
    """A life of deliveries in which chance says what happens next.

    It looks when something is due, as a worker does, and when something has ended; and it never waits for nothing.
    """

    def __init__(self, seed: int, *, forgets: bool = False) -> None:
        self._random = Random(seed)
        self.target = Erp(self._random.choice([1, 1, 4, 10_000]))
        limits = Limits(self._random.choice([1, 5, 50]), self._random.choice([0, 5 * SECOND]), SECOND, 8 * SECOND)
        self.station = Station(self.target, limits)
        self.target.late.clock = lambda: self.station.now
        self._items = random_items(self._random, 300, reversals=True)
        for item in self._items[::37]:
            self.target.refuse(item, "refused by rule")
        self._forgets = forgets
        self._under_way: list[Work] = []
        self._stalled: list[tuple[int, Work]] = []
        self._frozen: dict[str, int] = {}
        self.deaths = self.losses = 0
        self._live()

    def run(self) -> list[Item]:
        """Let it all come to an end, and return what was meant to be delivered."""
        while len(self.station.log) < len(self._items) or self._under_way:
            self._pass()
            if self._random.random() < 0.1:
                key = f"C{self._random.randint(1, 40)}"
                self._frozen[key] = self.station.now + self._random.randint(0, 20 * SECOND)
            self._step(self._random.random())
        self._frozen.clear()
        self._stalled.clear()
        self.station.settle(self.station.now)
        return self._items

    def _pass(self) -> None:
        """Let time pass: a little, or until something is due."""
        due = self.station.delivery.due(self.station.now)
        later = self.station.now + self._random.randint(0, 3 * SECOND)
        self._move_to(later if due is None or self._random.random() < 0.8 else max(later, due))
        for until, work in [*self._stalled]:
            if self._random.random() < 0.3 or self.station.now >= until:
                self._stalled.remove((until, work))
                if self.station.now < until:
                    self._arrive(work)

    def _move_to(self, now: int) -> None:
        self.station.now = now
        self.target.answer(now)

    def _step(self, draw: float) -> None:
        if draw < 0.6:
            self._take(more=draw < 0.35)
        elif draw < 0.97 and self._under_way:
            self._end(self._random.choice(self._under_way))
        elif draw > 0.98:
            self._die()

    def _take(self, more: bool) -> None:
        station, random = self.station, self._random
        if more:
            station.log = self._items[: len(station.log) + random.randint(0, 30)]
        station.intend()
        room, flush = random.randint(0, 20), random.random() < 0.7
        works = station.delivery.work(station.now, room, flush)
        station.commit()  # and only then are they run
        self._under_way += works
        self._waits_for_something(looked=room > 0 and not works)

    def _waits_for_something(self, looked: bool) -> None:
        """It is neither stuck, nor does it look again at once for nothing."""
        due = self.station.delivery.due(self.station.now)
        if not self._under_way and self.station.delivery.open_receipts():
            assert due is not None
        if looked:
            assert due is None or due > self.station.now

    def _end(self, work: Work) -> None:
        draw = self._random.random()
        if isinstance(work, Sending) and draw < 0.15:
            work.may = lambda: False
        elif draw < 0.25:
            self.target.disturb(0, self._random.choice(["before", "after"]))
        elif isinstance(work, Sending) and draw < 0.35:
            self.target.late.late_ms = self._random.randint(0, STALE_MS_MAX)
        ended = work.run()
        self.target.faults.clear()
        if not ended.more:
            self._under_way.remove(work)
            self.station.delivery.settle(work, self.station.now)
            if self._random.random() < 0.7:
                self.station.commit()

    def _arrive(self, work: Work) -> None:
        """Let a call of a former life be made, and booked within its time; nobody hears of it."""
        if isinstance(work, Sending):
            self.target.late.late_ms = self._random.randint(0, ANSWER_MS_MAX + STALE_MS_MAX)
            work.run()
            self.target.late.late_ms = None

    def _die(self) -> None:
        forgets = self._forgets and self._random.random() < 0.3
        for work in self._under_way:
            draw = self._random.random()
            if draw < 0.4:
                self._arrive(work)  # it was on its way
            elif draw < 0.7 and not forgets:
                self._stalled.append((self.station.now + LEASE_MS, work))  # it was promised, and the worker stalled
        self._under_way.clear()
        self.deaths += 1
        if forgets:
            self.losses += 1
            self.station.forget()
            self._stalled.clear()
        self._live()

    def _live(self) -> None:
        self.station.restart(self._frozen_until)

    def _frozen_until(self, posting: Posting, now: int) -> int | None:
        until = self._frozen.get(posting.order_key, 0)
        return until if until > now else None


@pytest.mark.parametrize("seed", range(40))
def test_however_calls_end_each_posting_is_booked_once_in_its_order(seed: int) -> None:
    schedule = Schedule(seed)
    items = schedule.run()
    schedule.station.verify()
    last, posted = schedule.station.last, {item.number for item in items if is_posted(schedule.station, item)}
    back = [item for item in items if item.reverses is not None]
    assert [item for item in back if item.number in posted and item.reverses not in posted] == []
    assert {last(item).status for item in items} == {Status.POSTED, Status.REJECTED, Status.SUPERSEDED}
    assert schedule.station.now > NOON


@pytest.mark.parametrize("seed", range(40))
def test_a_memory_that_is_lost_costs_questions_and_books_nothing_twice(seed: int) -> None:
    schedule = Schedule(seed, forgets=True)
    schedule.run()
    # What was not booked, as it was reversed before, is booked and reversed now, and that is after what came later.
    schedule.station.verify(in_order=False)
    assert all(receipt.trigger_id and receipt.contract_number for receipt in schedule.station.receipts)


def is_posted(station: Station, item: Item) -> bool:
    return station.last(item).status is Status.POSTED
