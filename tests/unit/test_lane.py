"""Threads that call one target: in order of priority, within what it allows, and what comes back unsent."""

import threading
import weakref
from collections.abc import Callable, Iterator
from queue import Queue
from typing import ClassVar

import pytest

from streams.delivery.calls import Ended, Sending, Work
from streams.delivery.flow import Circuit, Pace
from streams.delivery.lane import Lane, Priority
from streams.sinks.contract import Fatal, Retriable, Trouble

pytestmark = pytest.mark.unit
SECONDS_MAX = 10


class Held:
    """A work whose calls wait until they are let go."""

    failure: Retriable | None = None
    fatal: Fatal | None = None
    every: ClassVar[list[weakref.ref["Held"]]] = []

    def __init__(self, name: str, calls: int = 1, ends: tuple[Trouble | None, ...] = (None,)) -> None:
        self.name = name
        self.calls = calls
        self._ends = list(ends)
        self.go = threading.Semaphore(0)
        self.begun: Queue[str] = Queue()
        self.every.append(weakref.ref(self))

    def run(self) -> Ended:
        self.begun.put(self.name)
        assert self.go.acquire(timeout=SECONDS_MAX)
        self.calls -= 1
        return Ended(self._ends.pop(0) if self._ends else None, more=self.calls > 0)


class Busy(Held):
    """A call to which the target says that it is busy, and when to come again."""

    def __init__(self, name: str, retry_after_ms: int) -> None:
        super().__init__(name)
        self._retry_after_ms = retry_after_ms

    def run(self) -> Ended:
        return super().run()._replace(trouble=Trouble.BUSY, retry_after_ms=self._retry_after_ms)


@pytest.fixture(autouse=True)
def nothing_is_held() -> Iterator[None]:
    """No call outlives its test: its thread would fail in the middle of another one."""
    yield
    for reference in Held.every:
        held = reference()
        if held is not None:
            held.go.release(max(1, held.calls))
    Held.every.clear()


class OneByOne:
    """A sink that takes one posting a call."""

    postings_per_call = 1


class Owner:
    """Whoever brings works, and is told what has ended."""

    def __init__(self) -> None:
        self.done: Queue[Work] = Queue()


def begin(lane: Lane, owner: Owner, work: Work, priority: Priority = Priority.BILLING) -> None:
    lane.begin(owner, work, priority, owner.done.put)


def lane_of(clock: Callable[[], float] = lambda: 0.0, partitions: int = 1, **pace: int) -> Lane:
    return Lane("erp", Pace(**pace), partitions, lambda: 1.0, clock)


def test_calls_wait_for_each_other_only_where_the_target_takes_no_more() -> None:
    lane, owner = lane_of(calls_at_once=2), Owner()
    works = [Held(str(number)) for number in range(3)]
    for work in works:
        begin(lane, owner, work)
    assert {works[0].begun.get(timeout=SECONDS_MAX), works[1].begun.get(timeout=SECONDS_MAX)} == {"0", "1"}
    assert lane.standing()[:3] == (2, 1, 2)
    works[1].go.release()
    assert owner.done.get(timeout=SECONDS_MAX) is works[1]
    assert works[2].begun.get(timeout=SECONDS_MAX) == "2"
    for work in works:
        work.go.release()


def test_what_others_wait_for_goes_first_and_a_chain_goes_on_before_what_came_later() -> None:
    lane, owner, order = lane_of(calls_at_once=1), Owner(), Queue[str]()
    chain, later, question, reference = (Held(name) for name in ("chain", "later", "question", "reference"))
    chain.calls = 2
    for work in (chain, later, question, reference):
        work.begun = order
    begin(lane, owner, chain)
    assert order.get(timeout=SECONDS_MAX) == "chain"
    begin(lane, owner, reference, Priority.REFERENCE)
    begin(lane, owner, later)
    begin(lane, owner, question, Priority.QUESTION)
    for work in (chain, chain, later, question, reference):
        work.go.release()
    assert [order.get(timeout=SECONDS_MAX) for _ in range(4)] == ["question", "chain", "later", "reference"]
    ended = [owner.done.get(timeout=SECONDS_MAX) for _ in range(4)]
    assert ended == [question, chain, later, reference]


def test_what_has_not_begun_comes_back_when_the_target_is_down_and_one_call_tries_it_again() -> None:
    now = [0.0]
    lane, owner = lane_of(lambda: now[0], calls_at_once=1, failures_max=1, rest_ms_first=1_000), Owner()
    fails, waits = Held("fails", ends=(Trouble.DOWN,)), Sending(OneByOne(), [], lambda: 0)  # type: ignore[arg-type, var-annotated]
    begin(lane, owner, fails)
    fails.begun.get(timeout=SECONDS_MAX)
    begin(lane, owner, waits)
    fails.go.release()
    assert [owner.done.get(timeout=SECONDS_MAX) for _ in range(2)] == [fails, waits]
    assert (waits.begun, lane.room(owner), lane.standing().circuit) == (0, 0, Circuit.OPEN)
    now[0] = 1.0
    assert (lane.room(owner), lane.standing().circuit) == (1, Circuit.HALF_OPEN)
    tries = Held("tries")
    tries.go.release()
    begin(lane, owner, tries)
    assert owner.done.get(timeout=SECONDS_MAX) is tries
    assert lane.standing().circuit is Circuit.CLOSED


def test_partitions_have_equal_room_and_workers_their_part_of_the_limit() -> None:
    lane, owners = lane_of(partitions=4, calls_at_once=16), [Owner(), Owner()]
    assert lane.room(owners[0]) == 8  # of four partitions one is here: four calls at once, and as many again
    assert lane.room(owners[1]) == 4  # two are here now
    assert [lane.room(owner) for owner in owners] == [4, 4]
    work = Held("one", calls=3)
    begin(lane, owners[0], work)
    work.begun.get(timeout=SECONDS_MAX)
    waiting = Held("two", calls=3)
    for _ in range(3):
        waiting.go.release()
    work.go.release()
    work.go.release()
    work.go.release()
    assert owners[0].done.get(timeout=SECONDS_MAX) is work
    assert lane.room(owners[1]) == 4


def test_a_call_that_may_not_be_made_any_more_is_none_and_says_nothing_of_the_target() -> None:
    now = [0.0]
    lane, owner = lane_of(lambda: now[0], calls_at_once=1, failures_max=1, rest_ms_first=1_000), Owner()
    fails = Held("fails", ends=(Trouble.DOWN,))
    fails.go.release()
    begin(lane, owner, fails)
    assert owner.done.get(timeout=SECONDS_MAX) is fails
    now[0] = 1.0
    late = Sending(OneByOne(), ["posting"], lambda: 0, may=lambda: False)  # type: ignore[arg-type, type-var]
    begin(lane, owner, late)
    assert owner.done.get(timeout=SECONDS_MAX) is late
    assert (late.begun, late.calls) == (0, 1)
    assert lane.standing() == (0, 0, 1, Circuit.HALF_OPEN)


def test_who_leaves_is_counted_no_more_and_what_it_has_waiting_comes_back() -> None:
    lane, stays, leaves = lane_of(partitions=4, calls_at_once=16), Owner(), Owner()
    for owner in (stays, leaves):
        lane.room(owner)
    for number in range(30):  # with each that goes well more of its part is taken
        begin(lane, stays, work := Held(str(number)))
        work.go.release()
        assert stays.done.get(timeout=SECONDS_MAX) is work
    assert lane.standing().limit == 8
    lane.leave(leaves)
    assert lane.standing().limit == 4
    for number in range(4):
        begin(lane, stays, held := Held(str(number)))
        held.begun.get(timeout=SECONDS_MAX)
    waits = Held("waits")
    begin(lane, leaves, waits)
    lane.leave(leaves)
    assert leaves.done.get(timeout=SECONDS_MAX) is waits
    assert lane.standing()[:2] == (4, 0)


def test_nothing_of_a_work_is_kept_once_it_is_done() -> None:
    lane, owner = lane_of(calls_at_once=1), Owner()
    work = Held("work")
    work.go.release()
    begin(lane, owner, work)
    assert owner.done.get(timeout=SECONDS_MAX) is work
    seen = weakref.ref(work)
    del work
    for _ in range(SECONDS_MAX * 100):
        if seen() is None:
            return
        threading.Event().wait(0.01)  # the thread that called is on its way to its next work
    raise AssertionError("a lane without anything to do keeps its last work")


def test_a_target_that_says_when_to_come_again_is_brought_nothing_until_then() -> None:
    now = [0.0]
    lane, owner = lane_of(lambda: now[0], calls_at_once=1), Owner()
    busy, waits = Busy("busy", 60_000), Sending(OneByOne(), [], lambda: 0)  # type: ignore[arg-type, var-annotated]
    begin(lane, owner, busy)
    busy.begun.get(timeout=SECONDS_MAX)
    begin(lane, owner, waits)
    busy.go.release()
    assert [owner.done.get(timeout=SECONDS_MAX) for _ in range(2)] == [busy, waits]
    assert (lane.room(owner), lane.standing()) == (0, (0, 0, 1, Circuit.CLOSED))
    now[0] = 60.0
    assert lane.room(owner) > 0


def test_what_waits_for_a_moment_only_stays_where_it_is() -> None:
    now = [0.0]
    lane, owner = lane_of(lambda: now[0], calls_at_once=1), Owner()
    busy, waits = Busy("busy", 1_000), Held("waits")
    begin(lane, owner, busy)
    busy.begun.get(timeout=SECONDS_MAX)
    begin(lane, owner, waits)
    busy.go.release()
    assert owner.done.get(timeout=SECONDS_MAX) is busy
    assert (lane.room(owner), lane.standing()[:2]) == (0, (0, 1))
