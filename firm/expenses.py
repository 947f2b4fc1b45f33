"""The life of an expense: drafted, submitted, approved, booked as cost; in whatever currency it was paid."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from firm.agenda import Agenda
from firm.books import Books, Item
from firm.chance import Chance
from firm.coins import from_cents, text_of
from firm.delivery import Assignment, Project
from firm.invoicing import Invoicing
from firm.moments import DAY_MS, HOUR_MS, MINUTE_MS, day_text, moment_text
from firm.size import FirmSize
from firm.timesheets import approval_ms
from firm.wire import Row, Wire

TOPIC = "psa.public.expenses"
ONE_IN_ENTRIES = 25
_UNQUOTED = "CHF"  # a currency the ERP has no rates for
_UNQUOTED_ONE_IN = 80
_FORGOTTEN_LATELY = 2  # approved in the last three weeks and not booked when the history ends
_CATEGORIES = [("travel", 40), ("lodging", 25), ("meals", 20), ("software", 10), ("equipment", 5)]
_CENTS = {
    "travel": (1_500, 60_000),
    "lodging": (8_000, 90_000),
    "meals": (800, 12_000),
    "software": (2_000, 40_000),
    "equipment": (5_000, 150_000),
}


@dataclass(slots=True, eq=False)
class Expense:
    """An expense that may still change."""

    project: Project
    day: int
    row: Row
    item: Item | None = None


class Expenses:
    """Books expenses and carries each through its life."""

    def __init__(self, size: FirmSize, wire: Wire, agenda: Agenda, books: Books, invoicing: Invoicing) -> None:
        self._size = size
        self._wire = wire
        self._agenda = agenda
        self._books = books
        self._invoicing = invoicing
        self._chance = Chance(size.seed, "expenses")
        self._end_day = size.end_day
        self._surely_left = _FORGOTTEN_LATELY + 1
        self._forgotten = 0
        self._count = 0
        self._unquoted_due = False

    def maybe_book(self, assignment: Assignment, day: int) -> None:
        """One in so many days of work comes with an expense."""
        surely = day >= self._end_day - 18 and self._surely_left > 0
        self._surely_left -= surely
        if surely or self._chance.below(ONE_IN_ENTRIES) == 0:
            at_ms = day * DAY_MS + 6 * HOUR_MS + self._chance.below(3 * 1440) * MINUTE_MS
            self._agenda.put(at_ms, self._create, assignment, day)

    def _create(self, at_ms: int, assignment: Assignment, day: int) -> None:
        self._count += 1
        chance = self._chance
        project = assignment.project
        category = chance.weighted(_CATEGORIES)
        billable = not chance.percent(15)
        self._unquoted_due = self._unquoted_due or self._count % _UNQUOTED_ONE_IN == 5
        if self._unquoted_due and billable and project.contract.expense_policy != "NonBillable":
            self._unquoted_due, currency = False, _UNQUOTED
        else:
            currency = self._currency(assignment)
        least, most = _CENTS[category]
        amount = max(1, from_cents(least + (most - least) * chance.below(100) * chance.below(100) // 10_000, currency))
        row: Row = {
            "id": f"X{self._count:07d}",
            "project_id": project.id,
            "resource_id": assignment.person.resource_id,
            "category": category,
            "expense_date": day_text(day),
            "amount": text_of(amount, currency),
            "currency": currency,
            "billable": billable,
            "status": "Draft",
            "approved_at": None,
            "updated_at": moment_text(at_ms),
        }
        self._wire.create(at_ms, TOPIC, project.id, row)
        expense = Expense(project, day, row)
        self._agenda.put(at_ms + chance.between(30, 3000) * MINUTE_MS, self._submit, expense)

    def _currency(self, assignment: Assignment) -> str:
        return self._chance.weighted(
            [(assignment.project.contract.currency, 50), (assignment.person.currency, 35), ("EUR", 10), ("USD", 5)]
        )

    def _submit(self, at_ms: int, expense: Expense) -> None:
        self._write(at_ms, expense, {"status": "Submitted"})
        self._agenda.put(approval_ms(expense.project, at_ms, self._chance), self._approve, expense)

    def _approve(self, at_ms: int, expense: Expense) -> None:
        if self._chance.percent(4):
            self._write(at_ms, expense, {"status": "Rejected"})
            return
        self._write(at_ms, expense, {"status": "Approved", "approved_at": moment_text(at_ms)})
        self._bill(at_ms, expense)
        self._plan_cost(at_ms, expense)
        fate = self._chance.below(1000)
        later = at_ms + self._chance.between(10, 300) * HOUR_MS
        if fate < 20:
            self._agenda.put(later, self._correct, expense)
        elif fate < 30:
            self._agenda.put(later, self._delete, expense)

    def _plan_cost(self, at_ms: int, expense: Expense) -> None:
        """Most are in the ERP the same day, some only days later, a few never."""
        fate = self._chance.below(100)
        recent = self._end_day - 20 < at_ms // DAY_MS < self._end_day - 2
        if fate >= 99 or (recent and self._forgotten < _FORGOTTEN_LATELY):
            self._forgotten += recent
            return
        hours = self._chance.between(2, 20) if fate < 91 else self._chance.between(30, 240)
        self._agenda.put(at_ms + hours * HOUR_MS, self._book_cost, expense)

    def _book_cost(self, at_ms: int, expense: Expense) -> None:
        row = expense.row
        self._invoicing.cost_posting(at_ms, expense.project, "expense", row["id"], row["amount"], row["currency"])

    def _correct(self, at_ms: int, expense: Expense) -> None:
        """The receipt says another amount."""
        if expense.item is not None:
            self._books.undo(expense.item)
        halved = Decimal(expense.row["amount"]) / 2
        digits = Decimal(expense.row["amount"]).as_tuple().exponent
        amount = halved.quantize(Decimal(1).scaleb(int(digits)))
        self._write(at_ms, expense, {"amount": str(amount)})
        self._bill(at_ms, expense)

    def _delete(self, at_ms: int, expense: Expense) -> None:
        if expense.item is not None:
            self._books.undo(expense.item)
        self._wire.delete(at_ms, TOPIC, expense.project.id, expense.row)

    def _bill(self, at_ms: int, expense: Expense) -> None:
        if not expense.row["billable"]:
            return
        row = expense.row
        if expense.item is None:
            expense.item = Item(expense.project, "expense", row["id"], expense.day, at_ms)
        expense.item.amount, expense.item.currency = Decimal(row["amount"]), row["currency"]
        self._books.bill(expense.item)

    def _write(self, at_ms: int, expense: Expense, fields: Row) -> None:
        after = {**expense.row, **fields, "updated_at": moment_text(at_ms)}
        self._wire.update(at_ms, TOPIC, expense.project.id, expense.row, after)
        expense.row = after
