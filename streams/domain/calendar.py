"""Dates and instants. Instants are milliseconds since 1970, UTC; dates of instants are UTC dates."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_DAY: Final = timedelta(days=1)


@lru_cache(maxsize=4096)
def _date_of_day(day: int) -> date:
    return date.fromordinal(_EPOCH_DAY + day)


def date_of(instant_ms: int) -> date:
    """Return the UTC date of an instant."""
    return _date_of_day(instant_ms // DAY_MS)


def start_of(day: date) -> int:
    """Return the instant at which a UTC date begins."""
    return (day.toordinal() - _EPOCH_DAY) * DAY_MS


def instant(moment: datetime) -> int:
    """Return the instant of an aware datetime, in whole milliseconds; what is finer is cut off, never rounded up.

    The last microsecond of a day belongs to that day, whose date decides on rates, values and periods.
    """
    since = moment - _EPOCH
    return since.days * DAY_MS + since.seconds * 1000 + since.microseconds // 1000


@lru_cache(maxsize=4096)
def moment(instant_ms: int) -> datetime:
    """Return an instant as an aware datetime."""
    return _EPOCH + timedelta(milliseconds=instant_ms)


@lru_cache(maxsize=4096)
def iso_date(day: date) -> str:
    """Return a date as YYYY-MM-DD, as keys of tables have it."""
    return day.isoformat()


@lru_cache(maxsize=4096)
def period_of(day: date) -> str:
    """Return the calendar month of a date as YYYY-MM."""
    return f"{day.year:04d}-{day.month:02d}"


def next_day(day: date) -> date:
    """Return the day after; the last day that a date can say has none but itself."""
    return day + _ONE_DAY if day < date.max else day


@lru_cache(maxsize=4096)
def next_period(period: str) -> str:
    """Return the month after, as YYYY-MM."""
    year, month = int(period[:4]), int(period[5:])
    return f"{year + month // 12:04d}-{month % 12 + 1:02d}"


@lru_cache(maxsize=4096)
def first_day(period: str) -> date:
    """Return the first day of a month given as YYYY-MM."""
    return date(int(period[:4]), int(period[5:]), 1)


@lru_cache(maxsize=4096)
def last_day(period: str) -> date:
    """Return the last day of a month given as YYYY-MM."""
    first = first_day(period)
    return first.replace(day=monthrange(first.year, first.month)[1])


def months_between(first: date, last: date) -> int:
    """Count the months touched by first..last; none if it ends before it begins, be it in the same month."""
    return (last.year - first.year) * 12 + last.month - first.month + 1 if first <= last else 0


def working_days(first: date, last: date) -> int:
    """Count Monday to Friday in first..last, both included."""
    if last < first:
        return 0
    # Day 1 of the calendar was a Monday: full weeks have five, then up to five of the rest.
    until, rest = divmod(last.toordinal(), 7)
    since, gone = divmod(first.toordinal() - 1, 7)
    return (until - since) * 5 + (rest if rest < 5 else 5) - (gone if gone < 5 else 5)


@lru_cache(maxsize=4096)
def iso_week(day: date) -> str:
    """Return the ISO week of a date as YYYY-Www."""
    year, week, _ = day.isocalendar()
    return f"{year:04d}-W{week:02d}"


def monday_of(day: date) -> date:
    """Return the Monday that begins the ISO week of a date."""
    return day - timedelta(days=day.weekday())
