"""What is delivered: projects with their budgets, the people assigned to them, and the milestones they reach."""

from __future__ import annotations

from dataclasses import dataclass, field

from firm.coins import fraction_text, quarters_text, text_of
from firm.company import Company
from firm.contracts import Contract
from firm.masters import Master
from firm.moments import day_text, weekdays_between
from firm.people import Person
from firm.wire import Row


@dataclass(slots=True, eq=False)
class Assignment:
    """A person on a project from `first` to `last` day, for `hours` a week."""

    id: str
    project: Project
    person: Person
    role: str
    first: int
    last: int
    hours: int
    day_quarters: int = 0  # booked on a day on which the person works on it
    due: int = 0  # thousandths of a time entry still due to it
    master: Master | None = None

    def planned_quarters(self) -> int:
        """Quarter hours planned for the whole assignment."""
        return self.hours * 4 * weekdays_between(self.first, self.last) // 5

    def remaining_quarters(self, after: int) -> int:
        """Quarter hours planned after a day."""
        return self.hours * 4 * weekdays_between(max(self.first, after + 1), self.last) // 5

    def row(self, status: str) -> Row:
        """Row of `psa.public.assignments`, without its stamp."""
        return {
            "id": self.id,
            "project_id": self.project.id,
            "resource_id": self.person.resource_id,
            "role": self.role,
            "start_date": day_text(self.first),
            "end_date": day_text(self.last),
            "hours_per_week": str(self.hours),
            "status": status,
        }


@dataclass(slots=True, eq=False)
class Milestone:
    """A delivery that is paid for: `amount` in minor units of the contract's currency, or `percent` of its value."""

    id: str
    project: Project
    name: str
    due: int
    amount: int | None = None
    percent: int | None = None
    dropped: bool = False
    done_ms: int = 0
    signed_ms: int | None = None
    invoice_after_ms: int | None = None  # from the day it may be billed to its invoice; None: nobody invoices it
    master: Master | None = None

    def row(self) -> Row:
        """Row of `psa.public.milestones` as planned, without its stamp."""
        currency = self.project.contract.currency
        return {
            "id": self.id,
            "project_id": self.project.id,
            "name": self.name,
            "amount": None if self.amount is None else text_of(self.amount, currency),
            "percent": None if self.percent is None else f"0.{self.percent:02d}",
            "due_date": day_text(self.due),
            "status": "Not Started",
            "completed_at": None,
            "accepted_at": None,
        }


@dataclass(slots=True, eq=False)
class Project:
    """A project as planned, and what has become of it so far."""

    id: str
    name: str
    contract: Contract
    company: Company
    cost_center: str
    starts: int
    ends: int
    assignments: list[Assignment] = field(default_factory=list)
    milestones: list[Milestone] = field(default_factory=list)
    budget_quarters: int = 0
    budget_cost: int = 0
    planned_revenue: int = 0
    stories: set[str] = field(default_factory=set)
    neighbor: Project | None = None  # where its time is sometimes booked, or should have been
    approves_on: int = 0  # weekday on which its lead approves
    approves_at_ms: int = 0  # time of that day, UTC
    # What has become of it
    psa: Master | None = None
    erp: Master | None = None
    names_contract: bool = True
    held: bool = False
    approved_quarters: int = 0
    last_worked: int = 0

    def planned_quarters(self) -> int:
        """Quarter hours planned on its assignments."""
        return sum(one.planned_quarters() for one in self.assignments)

    def row(self) -> Row:
        """Row of `psa.public.projects` as proposed, without its stamp."""
        currency = self.contract.currency
        return {
            "id": self.id,
            "name": self.name,
            "client_id": self.contract.client.client_id,
            "contract_number": self.contract.number if self.names_contract else None,
            "stage": "Proposed",
            "billing_hold": False,
            "region": self.company.region,
            "legal_entity": self.company.code,
            "cost_center": self.cost_center,
            "currency": currency,
            "start_date": day_text(self.starts),
            "end_date": day_text(self.ends),
            "budget_hours": quarters_text(self.budget_quarters),
            "budget_cost": text_of(self.budget_cost, currency),
            "baseline_margin_pct": fraction_text(self.planned_revenue - self.budget_cost, self.planned_revenue),
        }

    def erp_row(self, status: str) -> Row:
        """Row of `erp.Project`, without its stamp."""
        return {
            "ProjectId": self.id,
            "ErpProjectNumber": f"ERP-{self.id}",
            "LegalEntity": self.company.code,
            "CostCenter": self.cost_center,
            "Status": status,
            "ContractVersion": 0,
        }
