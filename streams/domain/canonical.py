"""Canonical rows: what every system's rows become, whatever they were called at home.

Field names and values are the firm's vocabulary (stages `planned, active, on_hold, closed, cancelled` and so on); the
mapping files say which source field and value each comes from. Dates are dates, instants milliseconds since 1970 UTC,
hours, rates, fractions and money Decimal. A fraction is of one: 25 % is 0.25.
"""

from datetime import date
from decimal import Decimal
from typing import NamedTuple


class Account(NamedTuple):
    """A client as the CRM knows it: the system of record for clients."""

    id: str
    name: str
    status: str
    billing_country: str | None
    changed_at: int


class Client(NamedTuple):
    """The PSA's copy of a client, tied to the CRM account."""

    id: str
    name: str
    account_id: str
    status: str
    changed_at: int


class Opportunity(NamedTuple):
    """A deal; won is `is_won`, never a stage's name."""

    id: str
    account_id: str
    name: str
    stage_name: str
    is_closed: bool
    is_won: bool
    amount: Decimal | None
    closes_on: date
    contract_number: str | None
    changed_at: int


class RoleRate(NamedTuple):
    """A bill rate per hour of a role (`*`: any role), from a date on, in the contract's currency."""

    role: str
    rate: Decimal
    effective_from: date


class CostRate(NamedTuple):
    """What an hour of a worker costs from a date on."""

    rate: Decimal
    currency: str
    effective_from: date


class Contract(NamedTuple):
    """What was agreed with a client, before amendments."""

    number: str
    account_id: str
    opportunity_id: str | None
    stage: str
    billing_type: str
    currency: str
    value: Decimal | None
    cap: Decimal | None
    periodic_fee: Decimal | None
    included_hours: Decimal | None
    overage_rate: Decimal | None
    expense_policy: str
    expense_markup: Decimal | None
    requires_acceptance: bool
    po_number: str | None
    po_required: bool
    legal_entity: str | None
    start_on: date
    end_on: date | None
    rates: tuple[RoleRate, ...]
    changed_at: int


class Amendment(NamedTuple):
    """A change of a contract; it counts once approved, from its effective date."""

    id: str
    contract_number: str
    status: str
    effective_from: date
    value_delta: Decimal | None
    cap_delta: Decimal | None
    new_end_on: date | None
    rates: tuple[RoleRate, ...]
    changed_at: int


class Project(NamedTuple):
    """A project as the PSA runs it."""

    id: str
    name: str
    client_id: str
    contract_number: str | None
    stage: str
    billing_hold: bool
    region: str
    legal_entity: str | None
    cost_center: str | None
    currency: str
    start_on: date
    end_on: date | None
    budget_hours: Decimal | None
    budget_cost: Decimal | None
    baseline_margin_pct: Decimal | None
    changed_at: int


class ErpProject(NamedTuple):
    """A project as the ERP keeps it: system of record for its legal entity and cost center."""

    project_id: str
    erp_number: str
    legal_entity: str
    cost_center: str
    stage: str
    contract_version: int
    changed_at: int


class Milestone(NamedTuple):
    """A delivery that is paid for: by a fixed amount, or by a fraction of the contract's value."""

    id: str
    project_id: str
    name: str
    amount: Decimal | None
    percent: Decimal | None
    due_on: date | None
    status: str
    completed_at: int | None
    accepted_at: int | None
    changed_at: int


class Assignment(NamedTuple):
    """A resource planned on a project for a span of days."""

    id: str
    project_id: str
    resource_id: str
    role: str
    start_on: date
    end_on: date
    hours_per_week: Decimal
    status: str
    changed_at: int


class TimeEntry(NamedTuple):
    """Hours of one resource on one day."""

    id: str
    project_id: str
    resource_id: str
    role: str
    worked_on: date
    hours: Decimal
    billable: bool
    status: str
    approved_at: int | None
    changed_at: int


class Expense(NamedTuple):
    """An outlay of a resource for a project, in any currency."""

    id: str
    project_id: str
    resource_id: str
    category: str
    spent_on: date
    amount: Decimal
    currency: str
    billable: bool
    status: str
    approved_at: int | None
    changed_at: int


class Resource(NamedTuple):
    """The PSA's name for a worker."""

    id: str
    employee_id: str
    name: str
    changed_at: int


class Worker(NamedTuple):
    """A worker as HR knows them: cost, capacity, region."""

    employee_id: str
    name: str
    status: str
    region: str
    cost_center: str
    weekly_capacity_hours: Decimal
    cost_rates: tuple[CostRate, ...]
    changed_at: int


class LegalEntity(NamedTuple):
    """A company of the firm, with its tax code and the ERP that keeps its books."""

    id: str
    name: str
    currency: str
    country: str
    tax_code: str
    erp_system: str


class Customer(NamedTuple):
    """A client as one legal entity's ERP invoices it."""

    id: str
    account_id: str
    legal_entity: str
    status: str


class InvoiceLine(NamedTuple):
    """A line of an invoice, naming the trigger or the milestone it bills."""

    line_id: str
    trigger_id: str | None
    milestone_id: str | None
    amount: Decimal


class Invoice(NamedTuple):
    """An ERP invoice."""

    id: str
    project_id: str
    contract_number: str
    status: str
    currency: str
    lines: tuple[InvoiceLine, ...]
    posted_at: int | None
    released_at: int | None


class CostPosting(NamedTuple):
    """A cost that the ERP has booked for a time entry or an expense."""

    id: str
    project_id: str
    source_kind: str
    source_id: str
    amount: Decimal
    currency: str
    posted_at: int


class ScheduleLine(NamedTuple):
    """Revenue of one month: planned and recognized, in the contract's currency."""

    period: str
    planned: Decimal
    recognized: Decimal


class RevenueSchedule(NamedTuple):
    """When the ERP recognizes a contract's revenue."""

    id: str
    contract_number: str
    lines: tuple[ScheduleLine, ...]


class FxRate(NamedTuple):
    """How many units of `to_currency` one unit of `from_currency` was worth on a day."""

    from_currency: str
    to_currency: str
    day: date
    rate: Decimal


class Period(NamedTuple):
    """An accounting month of a legal entity: open or closed."""

    legal_entity: str
    period: str
    status: str


Row = (
    Account | Client | Opportunity | Contract | Amendment | Project | ErpProject | Milestone | Assignment | TimeEntry
    | Expense | Resource | Worker | LegalEntity | Customer | Invoice | CostPosting | RevenueSchedule | FxRate | Period
)  # fmt: skip
