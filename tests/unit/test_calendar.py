"""Dates, months, ISO weeks and instants at their edges."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from streams.domain.calendar import (
    DAY_MS,
    date_of,
    first_day,
    instant,
    iso_week,
    last_day,
    moment,
    monday_of,
    months_between,
    next_day,
    next_period,
    period_of,
    start_of,
    working_days,
)
from tests.support.rows import day


@pytest.mark.parametrize(
    ("first", "last", "days"),
    [
        ("2026-02-02", "2026-02-06", 5),  # Monday to Friday
        ("2026-02-02", "2026-02-08", 5),
        ("2026-02-07", "2026-02-08", 0),  # a weekend
        ("2026-02-06", "2026-02-09", 2),  # Friday and Monday
        ("2026-02-04", "2026-02-04", 1),
        ("2026-02-08", "2026-02-08", 0),
        ("2026-02-05", "2026-02-04", 0),  # ends before it begins
        ("2025-12-29", "2026-01-02", 5),  # over the year's end; holidays count
        ("2024-02-26", "2024-03-01", 5),  # with a leap day
        ("2026-01-01", "2026-12-31", 261),
        ("0001-01-01", "0001-01-07", 5),  # the first day there is, a Monday
    ],
)
def test_working_days(first: str, last: str, days: int) -> None:
    assert working_days(day(first), day(last)) == days


def test_working_days_agree_with_counting() -> None:
    start = date(2023, 12, 20)
    for offset in range(14):
        for length in range(40):
            first = start + timedelta(days=offset)
            last = first + timedelta(days=length)
            counted = sum((first + timedelta(days=n)).weekday() < 5 for n in range(length + 1))
            assert working_days(first, last) == counted


@pytest.mark.parametrize(
    ("on", "week", "monday"),
    [
        ("2025-12-28", "2025-W52", "2025-12-22"),
        ("2025-12-29", "2026-W01", "2025-12-29"),
        ("2026-01-04", "2026-W01", "2025-12-29"),
        ("2026-12-31", "2026-W53", "2026-12-28"),
        ("2027-01-01", "2026-W53", "2026-12-28"),
        ("2027-01-04", "2027-W01", "2027-01-04"),
        ("2024-12-30", "2025-W01", "2024-12-30"),
    ],
)
def test_iso_weeks_at_year_boundaries(on: str, week: str, monday: str) -> None:
    assert (iso_week(day(on)), monday_of(day(on))) == (week, day(monday))


@pytest.mark.parametrize(
    ("period", "following", "first", "last"),
    [
        ("2026-01", "2026-02", "2026-01-01", "2026-01-31"),
        ("2026-12", "2027-01", "2026-12-01", "2026-12-31"),
        ("2024-02", "2024-03", "2024-02-01", "2024-02-29"),
        ("2026-02", "2026-03", "2026-02-01", "2026-02-28"),
    ],
)
def test_months(period: str, following: str, first: str, last: str) -> None:
    assert next_period(period) == following
    assert (first_day(period), last_day(period)) == (day(first), day(last))
    assert period_of(day(first)) == period_of(day(last)) == period


def test_the_last_month_there_is_has_a_last_day() -> None:
    assert last_day("9999-12") == date.max


@pytest.mark.parametrize(
    ("first", "last", "months"),
    [
        ("2026-01-15", "2026-03-31", 3),
        ("2026-01-31", "2026-02-01", 2),
        ("2026-01-01", "2026-01-31", 1),
        ("2025-12-31", "2026-01-01", 2),
        ("2026-03-01", "2026-01-31", 0),
        ("2026-03-20", "2026-03-10", 0),  # ends before it begins, in one month
    ],
)
def test_months_touched(first: str, last: str, months: int) -> None:
    assert months_between(day(first), day(last)) == months


def test_the_day_after() -> None:
    assert next_day(date(2026, 2, 28)) == date(2026, 3, 1)
    assert next_day(date.max) == date.max


@pytest.mark.parametrize(
    ("milliseconds", "on"),
    [(0, "1970-01-01"), (DAY_MS - 1, "1970-01-01"), (DAY_MS, "1970-01-02"), (-1, "1969-12-31")],
)
def test_dates_of_instants_are_utc(milliseconds: int, on: str) -> None:
    assert date_of(milliseconds) == day(on)


def test_a_day_begins_at_midnight_utc() -> None:
    assert moment(start_of(date(2026, 3, 29))) == datetime(2026, 3, 29, tzinfo=UTC)
    assert date_of(start_of(date(2026, 3, 29)) - 1) == date(2026, 3, 28)


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 3, 1, 12, 30, 15, 123_000, tzinfo=UTC),
        datetime(2026, 3, 1, 1, 0, tzinfo=timezone(timedelta(hours=2))),
        datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    ],
)
def test_instants_and_moments_are_each_other(at: datetime) -> None:
    assert moment(instant(at)) == at


@pytest.mark.parametrize(
    ("at", "milliseconds"),
    [
        (datetime(1970, 1, 1, 0, 0, 0, 1_600, tzinfo=UTC), 1),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), -1),
        (datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC), start_of(date(2026, 3, 1)) - 1),
    ],
)
def test_what_is_finer_than_a_millisecond_is_cut_off(at: datetime, milliseconds: int) -> None:
    assert instant(at) == milliseconds
