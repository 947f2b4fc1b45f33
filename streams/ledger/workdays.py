"""The days on which work was done: the last one of a project, and the billable hours of each day of a contract."""

from datetime import date
from decimal import Decimal

from streams.domain.calendar import iso_date
from streams.domain.fact import Cause
from streams.domain.ledger import Work
from streams.domain.money import ZERO
from streams.ledger.book import Book, ItemKey
from streams.ledger.reference import SEP


class WorkDays:
    """Counts the approved time entries of one partition's book by day."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def count(self, item_key: ItemKey, before: Work | None, after: Work | None, cause: Cause) -> None:
        """Take a time entry out of the day it was on, and into the one it is on now."""
        key, _, item_id = item_key
        if (before and (before.project_id, before.day)) != (after and (after.project_id, after.day)):
            if before is not None:
                self._count_work_day(key, before, -1, cause)
            if after is not None:
                self._count_work_day(key, after, 1, cause)
        if before is not None and before.billable:
            self._count_billable(key, before, -(before.quantity or ZERO))
            self._book.mark_month(key, before.day, item_id, cause)
        if after is not None and after.billable:
            self._count_billable(key, after, after.quantity or ZERO)
            self._book.mark_month(key, after.day, item_id, cause)

    def _count_work_day(self, key: str, work: Work, change: int, cause: Cause) -> None:
        book, day = self._book, work.day
        prefix = f"{key}{SEP}{work.project_id}{SEP}"
        place = prefix + iso_date(day)
        count = (book.work_days.get(place) or 0) + change
        if count:
            book.work_days.put(place, count)
        else:
            book.work_days.delete(place)
        project = book.project(key, work.project_id)
        newest = last = project.last_worked_on
        if change > 0 and (last is None or day > last):
            newest = day
        elif change < 0 and not count and day == last:
            found = next(book.work_days.between(prefix, place, reverse=True), None)
            newest = None if found is None else date.fromisoformat(found[0][len(prefix) :])
        if newest != last:
            # What is left to do begins on another day, even where the project's sums stay as they are.
            book.put_project(key, work.project_id, project._replace(last_worked_on=newest, outlook=None))
            book.mark_project(key, work.project_id, cause)

    def _count_billable(self, key: str, work: Work, change: Decimal) -> None:
        days = self._book.billable_days
        place = f"{key}{SEP}{iso_date(work.day)}"
        hours = (days.get(place) or ZERO) + change
        if hours:
            days.put(place, hours)
        else:
            days.delete(place)
