"""How large the firm is and how long its history: the only settings the generated records depend on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from firm.moments import day_number, is_workday, months_later

MONTHS_MAX = 120
START_YEARS = (1971, 2100)  # records carry milliseconds since 1970; schedules and terms reach beyond the history
TIME_ENTRIES_MAX = 100_000_000
LEAD_IN_DAYS = 7  # master records are set up in the first week, before anybody books time
PEOPLE_MIN = 24  # enough for every business question to have an instance
ENTRIES_PER_PERSON_DAY = 1.5


@dataclass(frozen=True, slots=True)
class FirmSize:
    """What is asked for. Two equal sizes give the same records, byte for byte.

    `time_entries`: number of distinct time entries; people, clients, contracts and projects follow from it.
    `days`: length of the history in calendar days; if None, `months` calendar months count.
    `dirty`: share of time entries that arrive broken once (unmapped status, negative hours), 0 to 1.
    Raises ValueError with the setting's name for a value out of range.
    """

    time_entries: int
    seed: int = 1
    start: date = date(2025, 1, 1)
    months: int = 12
    days: int | None = None
    dirty: float = 0.001

    def __post_init__(self) -> None:
        if not 1 <= self.time_entries <= TIME_ENTRIES_MAX:
            raise ValueError(f"time entries: {self.time_entries} is not within 1 and {TIME_ENTRIES_MAX}")
        if not START_YEARS[0] <= self.start.year <= START_YEARS[1]:
            raise ValueError(f"start: {self.start} is not within the years {START_YEARS[0]} and {START_YEARS[1]}")
        if not 1 <= self.months <= MONTHS_MAX:
            raise ValueError(f"months: {self.months} is not within 1 and {MONTHS_MAX}")
        if self.days is not None and not LEAD_IN_DAYS + 21 <= self.days <= MONTHS_MAX * 31:
            raise ValueError(f"days: {self.days} is not within {LEAD_IN_DAYS + 21} and {MONTHS_MAX * 31}")
        if not 0 <= self.dirty <= 1:
            raise ValueError(f"dirty: {self.dirty} is not within 0 and 1")

    @property
    def first_day(self) -> int:
        """Day number of the first record."""
        return day_number(self.start)

    @property
    def end_day(self) -> int:
        """Day number after the last day of the history."""
        if self.days is not None:
            return self.first_day + self.days
        return day_number(months_later(self.start, self.months))

    @property
    def work_from(self) -> int:
        """Day number of the first day on which time is booked."""
        return self.first_day + LEAD_IN_DAYS

    @property
    def people(self) -> int:
        """Number of people who together book `time_entries` in that time."""
        return max(PEOPLE_MIN, round(self.time_entries / (self._workdays * ENTRIES_PER_PERSON_DAY)))

    @property
    def _workdays(self) -> int:
        return sum(1 for day in range(self.work_from, self.end_day) if is_workday(day))
