"""Overallocation: what a worker is confirmed for in an ISO week, against their weekly capacity."""

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from streams.domain.calendar import iso_week, monday_of, working_days
from streams.domain.fact import Allocation
from streams.domain.money import ZERO, divide

_DAYS_A_WEEK: Final = Decimal(5)
_WEEK: Final = timedelta(weeks=1)
_SUNDAY: Final = timedelta(days=6)


def weeks_worked(allocations: Iterable[Allocation], day: date, ahead: int) -> list[date]:
    """Return the Mondays of weeks with an allocation, from the week of a day to so many weeks after it."""
    first = monday_of(day)
    last = first + timedelta(weeks=ahead)
    weeks = set()
    for allocation in allocations:
        monday = max(first, monday_of(allocation.start_on))
        while monday <= last and monday <= allocation.end_on:
            weeks.add(monday)
            monday += _WEEK
    return sorted(weeks)


def allocated_hours(allocations: Iterable[Allocation], monday: date) -> Decimal:
    """Return the hours confirmed in the week of a Monday: hours a week by the working days that fall in it."""
    sunday = monday + _SUNDAY
    hours = ZERO
    for allocation in allocations:
        if allocation.hours_per_week is None:
            continue
        days = working_days(max(allocation.start_on, monday), min(allocation.end_on, sunday))
        if days:
            hours += divide(allocation.hours_per_week * days, _DAYS_A_WEEK)
    return hours


def entity_of(employee_id: str, monday: date) -> str:
    """Return the id of what is looked at: a worker in a week."""
    return f"{employee_id}:{iso_week(monday)}"
