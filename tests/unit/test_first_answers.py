"""What names a resource waits for the first answer to who that is, whatever happens to it meanwhile."""

from collections.abc import Callable

import pytest

from streams.simulator import Seat, Simulator
from streams.topics import TRIGGERS
from streams.topology import topology
from tests.support.feed import Feed, firm
from tests.support.streams import Collected, instant_of, read_parts, reader, rulebook

ENTRIES, EXPENSES, RESOURCES = "psa.public.time_entries", "psa.public.expenses", "psa.public.resources"
Billed = list[tuple[str, str | None]]
"""Items with the employee whose work each is."""


class Service:
    """The topology at work on a feed, whose people answer only when they may."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._read = 0
        self._told = Collected()
        self._simulator = Simulator(topology(rulebook(), reader()), self._told)
        self._simulator.now = instant_of("2026-02-10T00:00:00Z")

    def go_on(self, people_answer: bool) -> Billed:
        """Take in what the feed has got since, and return what was billed up to now."""
        for part in read_parts(self._feed.records[self._read :], self._read):
            self._simulator.feed_to("intake", part)
        self._read = len(self._feed.records)
        while seats := [seat for seat in self._simulator.busy() if people_answer or seat.step.name != "people"]:
            self._run(seats[0])
        return [(t["source_id"], t["employee_id"]) for t in self._told.of(TRIGGERS) if t["reverses"] is None]

    def _run(self, seat: Seat) -> None:
        seat.task.fire(self._simulator.now)
        self._simulator.take(seat, len(seat.queue))
        self._simulator.commit(seat)


def _nothing(_feed: Feed) -> None:
    pass


def _moved_to_another(feed: Feed) -> None:
    feed.put(RESOURCES, id="R2", employee_id="E2")
    feed.entry("T1", resource_id="R2")


def _deleted(feed: Feed) -> None:
    feed.delete(ENTRIES, "T1")
    feed.delete(EXPENSES, "X1")


def _moved_in_time(feed: Feed) -> None:
    feed.entry("T1", work_date="2026-02-04")


def _nobody(feed: Feed) -> None:
    feed.entry("T1", resource_id="R9")
    feed.expense("X1", resource_id="R9")


@pytest.mark.parametrize(
    ("meanwhile", "billed"),
    [
        (_nothing, [("T1", "E1"), ("X1", "E1")]),
        (_moved_to_another, [("T1", "E2"), ("X1", "E1")]),
        (_deleted, []),
        (_moved_in_time, [("T1", "E1"), ("X1", "E1")]),
        (_nobody, [("T1", None), ("X1", None)]),
    ],
)
def test_what_waits_for_the_first_answer_is_billed_once_it_comes(
    meanwhile: Callable[[Feed], None], billed: Billed
) -> None:
    feed = firm()
    service = Service(feed)
    feed.entry("T1")
    feed.expense("X1")
    assert service.go_on(people_answer=False) == []
    meanwhile(feed)
    assert service.go_on(people_answer=False) == []
    assert sorted(service.go_on(people_answer=True)) == billed


def test_a_later_answer_bills_nothing_again_and_what_comes_after_it_does_not_wait() -> None:
    feed = firm()
    service = Service(feed)
    feed.entry("T1", resource_id="R9")
    assert service.go_on(people_answer=True) == [("T1", None)]
    feed.put(RESOURCES, id="R9", employee_id="E1")
    assert service.go_on(people_answer=True) == [("T1", None)]
    feed.entry("T2", resource_id="R9")
    assert service.go_on(people_answer=False) == [("T1", None), ("T2", "E1")]
