"""The life of a time entry: drafted in the evening, submitted on Friday, approved the week after; or otherwise.

Of a hundred entries some twelve are edited as drafts, three rejected and written again, two or three corrected after
approval, one deleted, one moved to another project, one written again without a change that bears on money.
"""

from __future__ import annotations

from dataclasses import dataclass

from firm.agenda import Agenda
from firm.books import Books, Item
from firm.chance import Chance
from firm.coins import quarters_text, text_of, value_of
from firm.contracts import BILLED_BY_TIME
from firm.delivery import Assignment, Project
from firm.invoicing import Invoicing
from firm.moments import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, day_text, moment_text, weekday
from firm.size import FirmSize
from firm.wire import Row, Wire

TOPIC = "psa.public.time_entries"
UNMAPPED_STATUSES = ("Aproved", "Pending PM", "OK")
_FRIDAY = 4


@dataclass(slots=True, eq=False)
class Entry:
    """A time entry that may still change."""

    project: Project
    assignment: Assignment
    day: int
    quarters: int
    row: Row
    item: Item | None = None


def approval_ms(project: Project, after_ms: int, chance: Chance) -> int:
    """The next time the project's lead approves: once a week, in one go."""
    day = after_ms // DAY_MS
    slot = day + (project.approves_on - weekday(day)) % 7
    at_ms = slot * DAY_MS + project.approves_at_ms
    if at_ms <= after_ms:
        at_ms += 7 * DAY_MS
    return at_ms + chance.below(1800) * SECOND_MS


class Timesheets:
    """Books time and carries every entry through its life."""

    def __init__(self, size: FirmSize, wire: Wire, agenda: Agenda, books: Books, invoicing: Invoicing) -> None:
        self._size = size
        self._end_ms = size.end_day * DAY_MS
        self._wire = wire
        self._agenda = agenda
        self._books = books
        self._invoicing = invoicing
        self._chance = Chance(size.seed, "timesheets")
        self._count = 0
        entries = size.time_entries
        marks = (entries // 3, entries * 2 // 3, entries * 97 // 100, entries * 98 // 100)
        self._surely_dirty = dict(zip(marks, (True, False, True, False), strict=True))
        self._last_repaired = entries * 95 // 100

    def book(self, assignment: Assignment, day: int, quarters: int) -> None:
        """Plan one entry for work done on a day: most are booked the same evening, some days later."""
        company = assignment.person.company
        at_ms = day * DAY_MS + (17 - company.offset_hours) * HOUR_MS + self._chance.below(7200) * SECOND_MS
        if self._chance.percent(4):
            at_ms += self._chance.between(1, 10) * DAY_MS
        if at_ms >= self._end_ms:
            at_ms = day * DAY_MS + 23 * HOUR_MS + self._chance.below(3000) * SECOND_MS
        self._agenda.put(at_ms, self._create, assignment, day, quarters)

    def _create(self, at_ms: int, assignment: Assignment, day: int, quarters: int) -> None:
        self._count += 1
        chance = self._chance
        project = assignment.project
        submitted = chance.percent(18)
        billable = not chance.percent(7)
        row: Row = {
            "id": f"T{self._count:08d}",
            "project_id": project.id,
            "resource_id": assignment.person.resource_id,
            "role": assignment.role,
            "work_date": day_text(day),
            "hours": quarters_text(quarters),
            "billable": billable,
            "status": "Submitted" if submitted else "Draft",
            "approved_at": None,
            "updated_at": moment_text(at_ms),
        }
        entry = Entry(project, assignment, day, quarters, row)
        if self._is_dirty():
            self._create_dirty(at_ms, entry)
            return
        self._wire.create(at_ms, TOPIC, project.id, row)
        if submitted:
            self._agenda.put(approval_ms(project, at_ms, chance), self._approve, entry)
            return
        fate = chance.below(1000)
        if fate < 120:
            self._agenda.put(at_ms + chance.between(5, 600) * MINUTE_MS, self._edit, entry)
        elif fate < 126:
            self._agenda.put(at_ms + chance.between(5, 300) * MINUTE_MS, self._delete, entry)
            return
        self._agenda.put(self._submission_ms(entry, at_ms), self._submit, entry)

    def _is_dirty(self) -> bool:
        share = self._size.dirty
        return share > 0 and (self._chance.random() < share or self._count in self._surely_dirty)

    def _create_dirty(self, at_ms: int, entry: Entry) -> None:
        """The row arrives broken: a status nobody mapped, or negative hours. Most are put right within two days."""
        good = entry.row
        unmapped = self._surely_dirty.get(self._count, self._count % 2 == 0)
        broken = {"status": self._chance.of(UNMAPPED_STATUSES)} if unmapped else {"hours": "-" + good["hours"]}
        entry.row = {**good, **broken}
        self._wire.create(at_ms, TOPIC, entry.project.id, entry.row)
        if self._count < self._last_repaired and self._chance.percent(85):
            later = at_ms + self._chance.between(10, 45) * HOUR_MS
            self._agenda.put(later, self._repair, entry, {"status": "Submitted", "hours": good["hours"]})

    def _repair(self, at_ms: int, entry: Entry, fields: Row) -> None:
        self._write(at_ms, entry, fields)
        self._agenda.put(approval_ms(entry.project, at_ms, self._chance), self._approve, entry)

    def _submission_ms(self, entry: Entry, at_ms: int) -> int:
        friday = entry.day + _FRIDAY - weekday(entry.day)
        offset = entry.assignment.person.company.offset_hours
        planned = friday * DAY_MS + (19 - offset) * HOUR_MS + entry.assignment.person.number % 180 * MINUTE_MS
        return max(planned, at_ms + 11 * HOUR_MS) + self._chance.below(60) * SECOND_MS

    def _edit(self, at_ms: int, entry: Entry) -> None:
        self._write(at_ms, entry, self._other_hours(entry))

    def _submit(self, at_ms: int, entry: Entry) -> None:
        self._write(at_ms, entry, {"status": "Submitted"})
        self._agenda.put(approval_ms(entry.project, at_ms, self._chance), self._approve, entry)

    def _approve(self, at_ms: int, entry: Entry) -> None:
        if self._chance.below(1000) < 30:
            self._write(at_ms, entry, {"status": "Rejected"})
            self._agenda.put(at_ms + self._chance.between(2, 30) * HOUR_MS, self._write_again, entry)
            return
        self._write(at_ms, entry, {"status": "Approved", "approved_at": moment_text(at_ms)})
        project = entry.project
        project.approved_quarters += entry.quarters
        project.last_worked = max(project.last_worked, entry.day)
        self._bill(at_ms, entry)
        if project.company.books_labor:
            self._book_cost(at_ms, entry)
        self._plan_afterwards(at_ms, entry)

    def _plan_afterwards(self, at_ms: int, entry: Entry) -> None:
        fate = self._chance.below(1000)
        if fate >= 60:
            return
        later = at_ms + self._chance.between(3, 400) * HOUR_MS
        if fate < 25:
            self._agenda.put(later, self._correct, entry)
        elif fate < 31:
            self._agenda.put(later, self._delete, entry)
        elif fate < 43:
            self._agenda.put(later, self._move, entry)
        elif fate < 53:
            self._agenda.put(later, self._write, entry, {})
        else:
            self._agenda.put(later, self._reject_after_all, entry)

    def _write_again(self, at_ms: int, entry: Entry) -> None:
        fields = self._other_hours(entry) if self._chance.percent(60) else {}
        self._write(at_ms, entry, {**fields, "status": "Submitted"})
        self._agenda.put(approval_ms(entry.project, at_ms, self._chance), self._approve, entry)

    def _correct(self, at_ms: int, entry: Entry) -> None:
        """After approval: other hours, another billable flag or another date, approved as it stands."""
        self._unbook(entry)
        kind = self._chance.below(10)
        if kind < 7:
            fields = self._other_hours(entry)
        elif kind < 9:
            fields = {"billable": not entry.row["billable"]}
        else:
            entry.day -= 1
            fields = {"work_date": day_text(entry.day)}
        self._write(at_ms, entry, fields)
        entry.project.approved_quarters += entry.quarters
        self._bill(at_ms, entry)

    def _reject_after_all(self, at_ms: int, entry: Entry) -> None:
        self._unbook(entry)
        self._write(at_ms, entry, {"status": "Rejected", "approved_at": None})

    def _delete(self, at_ms: int, entry: Entry) -> None:
        self._unbook(entry)
        self._wire.delete(at_ms, TOPIC, entry.project.id, entry.row)

    def _move(self, at_ms: int, entry: Entry) -> None:
        """It was booked on the wrong project."""
        old, new = entry.project, entry.project.neighbor
        if new is None or new.psa is None:
            return
        self._unbook(entry)
        after = {**entry.row, "project_id": new.id, "updated_at": moment_text(at_ms)}
        self._wire.rekey(at_ms, TOPIC, (old.id, new.id), entry.row, after)
        entry.row, entry.project = after, new
        new.approved_quarters += entry.quarters
        new.last_worked = max(new.last_worked, entry.day)
        if entry.item is not None:
            entry.item.project = new
        self._bill(at_ms, entry)

    def _write(self, at_ms: int, entry: Entry, fields: Row) -> None:
        after = {**entry.row, **fields, "updated_at": moment_text(at_ms)}
        self._wire.update(at_ms, TOPIC, entry.project.id, entry.row, after)
        entry.row = after

    def _other_hours(self, entry: Entry) -> Row:
        change = self._chance.of((-4, -2, -1, 1, 2, 4))
        entry.quarters = entry.quarters + change if entry.quarters + change > 0 else entry.quarters + abs(change)
        return {"hours": quarters_text(entry.quarters)}

    def _bill(self, at_ms: int, entry: Entry) -> None:
        if not entry.row["billable"] or entry.project.contract.billing not in BILLED_BY_TIME:
            return
        row = entry.row
        if entry.item is None:
            entry.item = Item(entry.project, "time_entry", row["id"], entry.day, at_ms, row["role"])
        entry.item.day, entry.item.quarters = entry.day, entry.quarters
        self._books.bill(entry.item)

    def _unbook(self, entry: Entry) -> None:
        if entry.row["status"] == "Approved":
            entry.project.approved_quarters -= entry.quarters
        if entry.item is not None:
            self._books.undo(entry.item)

    def _book_cost(self, at_ms: int, entry: Entry) -> None:
        """Some ERPs book labor cost entry by entry."""
        person = entry.assignment.person
        amount = text_of(value_of(entry.quarters, person.cost_on(entry.day)), person.currency)
        later = at_ms + self._chance.between(60, 600) * MINUTE_MS
        details = (entry.project, "time_entry", entry.row["id"], amount, person.currency)
        self._agenda.put(later, self._invoicing.cost_posting, *details)
