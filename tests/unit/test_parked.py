"""What is parked at intake: how many rows, and since when the first, as they come and go."""

from dataclasses import replace

import pytest

from schemas.mapping import Mappings
from streams.domain.calendar import HOUR_MS
from streams.intake.reading import Reader
from streams.intake.step import intake_step
from streams.simulator import Simulator
from tests.support.feed import Feed
from tests.support.streams import Stores, instant_of, reader, record_of, rulebook

NINE = instant_of("2026-02-04T09:00:00Z")
NOTHING = (0, 0)


class Intake:
    """Intake of one partition, with the clock in the test's hand; one hour passes between two calls."""

    def __init__(self) -> None:
        self._stores = Stores()
        self._taken = 0
        self.feed = Feed().at("2026-02-04T09:00:00Z")
        self.restart()

    def restart(self, mappings: Mappings | None = None) -> tuple[int, int]:
        """Begin again over the same tables; return what is told."""
        self._reader = reader() if mappings is None else Reader(mappings, lambda *_: {})
        known = mappings or rulebook().mappings
        step = intake_step(self._reader, known, rulebook().ownership, rulebook().policy)
        self._simulator = Simulator([step], lambda _: None, store=self._stores.begin())
        self._simulator.now = NINE + HOUR_MS
        return self.told()

    def take(self) -> tuple[int, int]:
        """Take in what the feed has got since; return what is told after the commit."""
        self._simulator.now += HOUR_MS
        for content in self.feed.records[self._taken :]:
            record = record_of(content, self._taken)
            self._simulator.feed_to("intake", record._replace(value=self._reader.read(record)))
            self._taken += 1
        (seat,) = self._simulator.seats
        self._simulator.take(seat, len(seat.queue))
        self._simulator.commit(seat)
        return self.told()

    def told(self) -> tuple[int, int]:
        """How many rows are parked, and since how many hours after nine the first."""
        (seat,) = self._simulator.seats
        gauges = seat.task.context.gauges
        since = gauges["parked_since"]
        return gauges["parked"], (since - NINE) // HOUR_MS if since else 0


@pytest.fixture
def intake() -> Intake:
    return Intake()


def test_nothing_is_parked_at_first_nor_by_what_is_in_order(intake: Intake) -> None:
    assert intake.told() == NOTHING
    intake.feed.project()
    intake.feed.entry("T1")
    assert intake.take() == NOTHING


def test_rows_wait_for_their_project_and_are_released_by_it(intake: Intake) -> None:
    intake.feed.entry("T1")
    assert intake.take() == (1, 2)
    intake.feed.entry("T2")
    intake.feed.expense("X1")
    intake.feed.entry("T3", project_id="P2")
    assert intake.take() == (4, 2)
    assert intake.restart() == (4, 2)
    intake.feed.project()
    assert intake.take() == (1, 3)
    intake.feed.project(id="P2")
    assert intake.take() == NOTHING
    assert intake.restart() == NOTHING


def test_a_waiting_row_keeps_its_place_through_corrections_until_it_bears_on_nothing(intake: Intake) -> None:
    intake.feed.entry("T1")
    assert intake.take() == (1, 2)
    intake.feed.entry("T1", hours="3")
    assert intake.take() == (1, 2)
    intake.feed.entry("T1", status="Draft")
    assert intake.take() == NOTHING
    intake.feed.entry("T1", status="Approved")
    assert intake.take() == (1, 5)
    intake.feed.delete("psa.public.time_entries", "T1")
    assert intake.take() == NOTHING


def test_a_draft_waits_for_nothing(intake: Intake) -> None:
    intake.feed.entry("T1", status="Draft")
    assert intake.take() == NOTHING


def test_a_refused_version_is_parked_until_a_good_one_comes(intake: Intake) -> None:
    intake.feed.project()
    intake.feed.entry("T1", hours="-1")
    assert intake.take() == (1, 2)
    intake.feed.entry("T1", hours="-2")
    assert intake.take() == (1, 2)
    intake.feed.entry("T1", hours="1", status="Nothing known")
    assert intake.take() == (1, 4)  # another exception: its first version was seen now
    assert intake.restart() == (1, 4)
    intake.feed.entry("T1", status="Approved")
    assert intake.take() == NOTHING


def test_a_row_may_be_parked_for_both_reasons(intake: Intake) -> None:
    intake.feed.entry("T1")
    assert intake.take() == (1, 2)
    intake.feed.entry("T1", hours="-1")
    assert intake.take() == (2, 2)
    intake.feed.project()
    assert intake.take() == (1, 3)
    intake.feed.entry("T1", hours="1")
    assert intake.take() == NOTHING


def test_a_duplicate_is_not_counted_again(intake: Intake) -> None:
    intake.feed.entry("T1")
    intake.feed.entry("T2", hours="-1")
    assert intake.take() == (2, 2)
    intake.feed.records.extend(intake.feed.records[:2])
    assert intake.take() == (2, 2)


def test_rows_without_a_mapping_are_parked_until_there_is_one(intake: Intake) -> None:
    shipped = rulebook().mappings
    fewer = {name: mapping for name, mapping in shipped.topics.items() if name != "psa.public.time_entries"}
    intake.restart(replace(shipped, topics=fewer, fingerprint="fewer"))
    intake.feed.project()
    intake.feed.entry("T1")
    intake.feed.entry("T2", hours="-1")
    assert intake.take() == (2, 2)
    assert intake.restart() == (2, 2)
    intake.feed.entry("T9")
    assert intake.take() == (1, 2)  # T2 is refused still, now by its mapping
