"""What steps tell each other: facts for a contract's ledger, for people, for margins and for alerts.

Facts travel in order from one source key to one target key, exactly once; a fact replaces the one of the same kind, id
and scope before it. `row` None says that it is gone.
"""

from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple

from streams.domain.canonical import CostRate, ErpProject, Project


class Cause(NamedTuple):
    """The change that led to a record: where it stands in its feed's topic, and when it happened in its source.

    `epoch` counts restorations of the source and goes before `position`. Changes made by the clock have no topic.
    """

    topic: str | None
    partition: int | None
    offset: int | None
    position: int | None
    epoch: int
    occurred_at: int


NO_CAUSE: Final = Cause(None, None, None, None, 0, 0)
"""The cause of what no change has led to."""


def by_the_clock(now: int) -> Cause:
    """Return the cause of what the clock, or a start under another policy, has led to."""
    return NO_CAUSE._replace(occurred_at=now)


class Fact(NamedTuple):
    """A row that a contract's ledger reckons with. `scope` is the project it came under, where there is one.

    `version` is (epoch, position) of the row's own newest version, which `cause` need not be: a project that moves
    takes its rows along.
    its rows along.
    """

    kind: str
    scope: str
    id: str
    row: Any
    cause: Cause
    version: tuple[int, int]


class ProjectView(NamedTuple):
    """A project with what the ERP says of it. `generation` rises each time the project changes its contract."""

    project: Project
    erp: ErpProject | None
    generation: int


class Person(NamedTuple):
    """Who a resource is and what an hour costs, as known now; `version` rises when the resource becomes another.

    `employee_id` is None while the resource is unknown, `cost_rates` while the worker is.
    """

    resource_id: str
    employee_id: str | None
    cost_rates: tuple[CostRate, ...] | None
    version: int
    cause: Cause


class PersonQuery(NamedTuple):
    """A ledger asks to be told who a resource is, now and at every later change."""

    resource_id: str
    ledger_key: str


class Employment(NamedTuple):
    """A ledger asks to be told of a worker, on behalf of a resource; `wanted` False takes the wish back."""

    resource_id: str
    employee_id: str
    ledger_key: str
    version: int
    wanted: bool


class Allocation(NamedTuple):
    """A confirmed assignment; `hours_per_week` None says that it is gone.

    It comes under its resource's id and is turned over to the id of the worker that the resource is.
    """

    assignment_id: str
    project_id: str
    resource_id: str
    start_on: date
    end_on: date
    hours_per_week: Decimal | None
    cause: Cause
    turned: bool = False


class MarginPart(NamedTuple):
    """What a ledger says of one project's margin; `figures` None says that the project has left it."""

    project_id: str
    generation: int
    figures: "Figures | None"
    cause: Cause


class Figures(NamedTuple):
    """The figures of a margin update, in project currency; fractions are exact quotients, rounded when published."""

    contract_number: str | None
    client_id: str | None
    region: str
    currency: str
    approved_hours: Decimal
    billable_hours: Decimal
    labor_cost: Decimal
    expense_cost: Decimal
    revenue: Decimal
    billed: Decimal
    held: Decimal
    margin: Decimal
    margin_pct: Decimal | None
    percent_complete: Decimal
    remaining_hours: Decimal
    forecast_cost: Decimal
    forecast_revenue: Decimal
    forecast_margin_pct: Decimal | None
    baseline_margin_pct: Decimal | None
    uncosted_hours: Decimal
    uncosted_amount: Decimal


class Claim(NamedTuple):
    """What one claimant says of one alert: for it with a measure, against it, or nothing any more.

    `stance` is `for`, `against` or `none`. Times are milliseconds; `due_at` is when the condition becomes an alert.
    """

    alert_kind: str
    entity_id: str
    claimant: str
    stance: str
    due_at: int
    measure: Decimal
    threshold: Decimal
    severity: str
    project_id: str | None
    contract_number: str | None
    client_id: str | None
    evidence: tuple[tuple[str, str], ...]
    cause: Cause
