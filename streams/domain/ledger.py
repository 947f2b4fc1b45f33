"""The ledger of a contract: per item, what it is worth now and what has been emitted for it."""

from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from streams.domain.canonical import Amendment, Contract, RevenueSchedule
from streams.domain.fact import Cause, Figures, ProjectView
from streams.domain.money import ZERO
from streams.domain.routes import Decision

TIME_ENTRY: Final = "time_entry"
EXPENSE: Final = "expense"
MILESTONE: Final = "milestone"
RETAINER_PERIOD: Final = "retainer_period"

NO_CONTRACT_PREFIX: Final = "\x1e"
"""Ledger keys of projects and deals without a contract begin with it: each has a ledger of its own, under its id.

A control character, which no contract number holds: else a contract could be named like such a ledger and bill in it.
"""


def shown_key(key: str) -> str:
    """Return a ledger's key as people see it."""
    return f"~{key[len(NO_CONTRACT_PREFIX) :]}" if key.startswith(NO_CONTRACT_PREFIX) else key


class Work(NamedTuple):
    """What is to be billed and costed: one source row in force, flat.

    `ready_at` is when it was completed or approved, 0 if that is not known, `accepted_at` when it was accepted.

    `quantity` is hours of a time entry, the amount of an expense in `currency`, the fixed amount of a milestone or the
    fee of a retainer month (None: by `percent`). `ready` says that its status allows billing on a contract that asks
    for no acceptance, `accepted` that it does on any; `billable` is the row's own flag. `rank` orders what a cap
    releases.
    """

    project_id: str
    cause: Cause
    version: tuple[int, int]
    day: date
    quantity: Decimal | None
    role: str = ""
    resource_id: str = ""
    currency: str = ""
    percent: Decimal | None = None
    billable: bool = True
    ready: bool = True
    accepted: bool = True
    counts: bool = True
    rank: int = 0
    ready_at: int = 0
    accepted_at: int = 0


class Outstanding(NamedTuple):
    """A trigger that is not reversed: all that its reversal must say again, so that a credit mirrors its invoice.

    `posted_to` are the ERPs that it was decided to go to; None: nobody decided, as in a file run.
    """

    trigger_id: str
    kind: str
    amount: Decimal
    currency: str
    project_id: str | None
    day: date
    quantity: Decimal | None
    rate: Decimal | None
    client_id: str | None
    legal_entity: str
    customer_id: str
    tax_code: str
    billing_code: str
    employee_id: str | None
    po_number: str | None
    posted_to: tuple[str, ...] | None = None


class Worth(NamedTuple):
    """What an item should be worth now.

    `kind` is the trigger kind; None: nothing to bill. `amount` is rounded to the contract's currency; None with
    `reasons` saying what is missing. `quantity` and `rate` explain it.
    """

    kind: str | None = None
    amount: Decimal | None = None
    reasons: tuple[str, ...] = ()
    quantity: Decimal | None = None
    rate: Decimal | None = None


class Totals(NamedTuple):
    """Sums over items that name a project, in project currency unless said otherwise.

    `drawn` is the value of time and expenses without what is over the cap, `drawn_home` the same in contract currency;
    `delivered` the value of milestones (`delivered_home` likewise), `expensed` of expenses alone, `overage` of retainer
    overage. `milestones` counts those not cancelled, `weight` is their amount and `done` that of the completed ones, in
    contract currency.
    """

    approved_hours: Decimal = ZERO
    billable_hours: Decimal = ZERO
    labor_cost: Decimal = ZERO
    expense_cost: Decimal = ZERO
    uncosted_hours: Decimal = ZERO
    uncosted_amount: Decimal = ZERO
    drawn: Decimal = ZERO
    drawn_home: Decimal = ZERO
    delivered: Decimal = ZERO
    delivered_home: Decimal = ZERO
    expensed: Decimal = ZERO
    overage: Decimal = ZERO
    billed: Decimal = ZERO
    held: Decimal = ZERO
    milestones: int = 0
    weight: Decimal = ZERO
    done: Decimal = ZERO


NOTHING: Final = Totals()


class Item(NamedTuple):
    """One source item of a contract: the row in force, its worth, and what was emitted for it.

    `rivals` are rows of the same id under other projects, older than `work`, which the feed has not taken back yet.
    `share` is what the item adds to the totals of project `share_of`. `hold` are the reasons of its open exception,
    `held_since` when that opened. `queued_at` is its place in the queue for the cap. `decided` is where what was billed
    of it last went, kept once that is taken back; `left_since` tells since when nobody bills it.
    """

    kind: str
    id: str
    work: Work | None = None
    rivals: tuple[Work, ...] = ()
    worth: Worth = Worth()
    next_revision: int = 0
    outstanding: tuple[Outstanding, ...] = ()
    hold: tuple[str, ...] = ()
    held: Decimal = ZERO
    held_since: int = 0
    uncosted_since: int = 0
    share: Totals = NOTHING
    share_of: str = ""
    queued_at: str = ""
    decided: Decision | None = None
    left_since: int = 0


class Outlook(NamedTuple):
    """What is left to do on a project, kept until something it depends on changes.

    `remaining_hours` None: no assignment is confirmed. `extra_cost` and `extra_revenue` are what the remaining
    assignments add, in project currency; `extra_home` the revenue in contract currency.
    """

    remaining_hours: Decimal | None
    extra_cost: Decimal
    extra_revenue: Decimal
    extra_home: Decimal


class ProjectState(NamedTuple):
    """What a contract's ledger knows of one of its projects, and what it last said of its margin.

    `mismatch_since` tells since when its currency keeps it from sharing a fee or value; 0: it does not.
    """

    view: ProjectView | None = None
    totals: Totals = NOTHING
    last_worked_on: date | None = None
    outlook: Outlook | None = None
    figures: Figures | None = None
    generation: int = 0
    mismatch_since: int = 0


class ContractState(NamedTuple):
    """What a ledger knows of its contract. Amendments are the approved ones.

    `drawn` is the net billed under the cap, `fees_due` the sum of a retainer's fees due. `overdrawn_since` tells since
    when the cap lies under what is billed; 0: it does not.
    """

    contract: Contract | None = None
    amendments: tuple[Amendment, ...] = ()
    drawn: Decimal = ZERO
    fees_due: Decimal = ZERO
    overdrawn_since: int = 0
    schedules: tuple[RevenueSchedule, ...] = ()
    cause: Cause | None = None


class Reconciled(NamedTuple):
    """Triggers and invoice lines of one project and posting period, in contract currency."""

    triggered: Decimal = ZERO
    invoiced: Decimal = ZERO
    newest_at: int = 0


class TriggerPlace(NamedTuple):
    """Where a trigger belongs, for the invoice lines that name it."""

    kind: str
    item_id: str
    project_id: str | None
    posting_period: str


class NamedLine(NamedTuple):
    """What an invoice line says of a trigger: its amount if the invoice counts as posted, and whether as released.

    `id` is unique in its invoice, and with the invoice's place before it in a ledger.
    """

    id: str
    amount: Decimal
    released: bool
