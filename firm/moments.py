"""Days and times as numbers, and their text: days since 1970-01-01, milliseconds since 1970-01-01T00:00:00Z."""

from __future__ import annotations

from datetime import date
from functools import cache

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
SECOND_MS = 1_000

_EPOCH = date(1970, 1, 1).toordinal()
_CLOCK = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(1440)]
_SECONDS = [f"{second:02d}Z" for second in range(60)]
_HOLIDAYS = {(1, 1), (5, 1), (12, 25), (12, 26)}


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - _EPOCH


@cache
def day_of(number: int) -> date:
    """The date of a day number."""
    return date.fromordinal(number + _EPOCH)


@cache
def day_text(number: int) -> str:
    """`YYYY-MM-DD` of a day number."""
    return day_of(number).isoformat()


@cache
def month_text(number: int) -> str:
    """`YYYY-MM` of a day number."""
    return day_text(number)[:7]


def moment_text(at_ms: int) -> str:
    """RFC 3339 UTC of a moment, to the second."""
    day, rest = divmod(at_ms, DAY_MS)
    second = rest // SECOND_MS
    return f"{day_text(day)}T{_CLOCK[second // 60]}:{_SECONDS[second % 60]}"


def weekday(number: int) -> int:
    """0 for Monday to 6 for Sunday."""
    return (number + 3) % 7


@cache
def is_workday(number: int) -> bool:
    """Monday to Friday, but not the holidays every region keeps."""
    day = day_of(number)
    return weekday(number) < 5 and (day.month, day.day) not in _HOLIDAYS


def next_workday(number: int) -> int:
    """The day itself or the first working day after it."""
    while not is_workday(number):
        number += 1
    return number


def weekdays_between(first: int, last: int) -> int:
    """Monday to Friday days from `first` to `last`, both included; 0 if `last` is before `first`."""
    return max(0, _weekdays_before(last + 1) - _weekdays_before(first))


def _weekdays_before(number: int) -> int:
    """Monday to Friday days before a day, counted from a Monday."""
    weeks, rest = divmod(number + 3, 7)
    return weeks * 5 + min(rest, 5)


def months_later(day: date, months: int) -> date:
    """The same day of the month `months` later, or the first of the month after if that month is shorter."""
    total = day.year * 12 + day.month - 1 + months
    year, month = divmod(total, 12)
    try:
        return date(year, month + 1, day.day)
    except ValueError:
        return months_later(date(day.year, day.month, 1), months + 1)


def first_of_month(number: int) -> int:
    """Day number of the first of the same month."""
    return number - day_of(number).day + 1


def month_starts(first: int, last: int) -> list[int]:
    """Day numbers of the first of every month that `first` to `last` touch."""
    starts = []
    month = day_of(first_of_month(first))
    while day_number(month) <= last:
        starts.append(day_number(month))
        month = months_later(month, 1)
    return starts
