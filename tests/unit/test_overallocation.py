"""Overallocation: hours of an ISO week, over regions and projects."""

from datetime import timedelta

import pytest

from streams.domain.fact import NO_CAUSE, Allocation
from streams.rules.overallocation import allocated_hours, entity_of, weeks_worked
from tests.support.rows import D, day


def _allocation(start: str, end: str, hours: str | None = "40") -> Allocation:
    weekly = None if hours is None else D(hours)
    return Allocation("G1", "P1", "R1", day(start), day(end), weekly, NO_CAUSE, turned=True)


WEEK = "2026-03-23"  # a Monday, week 13
HOURS: dict[str, tuple[list[Allocation], str]] = {
    "the whole week": ([_allocation("03-01", "04-30")], "40"),
    "exactly the week": ([_allocation("03-23", "03-27")], "40"),
    "from Wednesday": ([_allocation("03-25", "04-30", "30")], "18"),
    "until Tuesday": ([_allocation("03-01", "03-24", "30")], "12"),
    "its weekend alone": ([_allocation("03-28", "03-29")], "0"),
    "the week before": ([_allocation("03-16", "03-22")], "0"),
    "the week after": ([_allocation("03-30", "04-03")], "0"),
    "two add up": ([_allocation("03-01", "04-30", "24"), _allocation("03-27", "04-30", "20")], "28"),
    "one that is gone": ([_allocation("03-01", "04-30", None)], "0"),
    "an odd number of hours": ([_allocation("03-23", "03-23", "7.5")], "1.5"),
    "none": ([], "0"),
}


@pytest.mark.parametrize(("allocations", "hours"), HOURS.values(), ids=HOURS)
def test_allocated_hours_of_a_week(allocations: list[Allocation], hours: str) -> None:
    assert allocated_hours(allocations, day(WEEK)) == D(hours)


def test_weeks_looked_at_begin_with_the_clocks_and_end_26_later() -> None:
    weeks = weeks_worked([_allocation("2020-01-01", "9999-12-31")], day("03-25"), 26)
    assert (weeks[0], weeks[-1], len(weeks)) == (day(WEEK), day(WEEK) + timedelta(weeks=26), 27)


@pytest.mark.parametrize(
    ("start", "end", "mondays"),
    [
        ("03-01", "03-22", []),  # over before the clock's week
        ("03-01", "03-23", ["03-23"]),
        ("04-01", "04-08", ["03-30", "04-06"]),
        ("10-01", "12-31", []),  # more than 26 weeks ahead
    ],
)
def test_weeks_that_have_an_allocation(start: str, end: str, mondays: list[str]) -> None:
    assert weeks_worked([_allocation(start, end)], day("03-25"), 26) == [day(monday) for monday in mondays]


def test_an_entity_is_a_worker_in_an_iso_week() -> None:
    assert entity_of("E1", day("2025-12-29")) == "E1:2026-W01"
    assert entity_of("E1", day("2026-12-28")) == "E1:2026-W53"
