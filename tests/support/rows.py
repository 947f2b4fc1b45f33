"""Canonical rows and what rules are given, with everything set that a test does not name."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from streams.domain.calendar import instant
from streams.domain.canonical import (
    Amendment,
    Assignment,
    Contract,
    CostRate,
    ErpProject,
    Project,
    RoleRate,
)
from streams.domain.fact import NO_CAUSE, ProjectView
from streams.domain.ledger import Work
from streams.domain.terms import Terms

D = Decimal
BILLING_TYPES = ("time_and_materials", "capped_time_and_materials", "fixed_fee", "retainer")


def day(text: str) -> date:
    """Return a date of 2026 given as MM-DD, or any given whole."""
    return date.fromisoformat(text if len(text) == 10 else f"2026-{text}")


def at(text: str) -> int:
    """Return the instant of a UTC time given as `MM-DD HH:MM` of 2026."""
    return instant(datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC))


def rates(*listed: tuple[str, str, str]) -> tuple[RoleRate, ...]:
    """Return bill rates from (role, rate, effective from)."""
    return tuple(RoleRate(role, D(rate), day(since)) for role, rate, since in listed)


def cost_rates(*listed: tuple[str, str], currency: str = "EUR") -> tuple[CostRate, ...]:
    """Return cost rates from (rate, effective from)."""
    return tuple(CostRate(D(rate), currency, day(since)) for rate, since in listed)


def contract(**fields: Any) -> Contract:
    """Return contract C1: time and materials in EUR over 2026, 100 an hour for an Engineer."""
    plain = Contract(
        number="C1", account_id="A1", opportunity_id=None, stage="active", billing_type="time_and_materials",
        currency="EUR", value=None, cap=None, periodic_fee=None, included_hours=None, overage_rate=None,
        expense_policy="pass_through", expense_markup=None, requires_acceptance=False, po_number=None,
        po_required=False, legal_entity="LE1", start_on=day("01-01"), end_on=day("12-31"),
        rates=rates(("Engineer", "100", "01-01")), changed_at=0,
    )  # fmt: skip
    return plain._replace(**fields)


def amendment(identity: str, effective_from: str, **fields: Any) -> Amendment:
    """Return an approved amendment of C1 that changes nothing but what is named."""
    plain = Amendment(identity, "C1", "approved", day(effective_from), None, None, None, (), 0)
    return plain._replace(**fields)


def terms(*amendments: Amendment, **fields: Any) -> Terms:
    """Return the terms of C1 with amendments."""
    return Terms(contract(**fields), amendments)


def project(**fields: Any) -> Project:
    """Return project P1 of C1, in EUR and in EMEA."""
    plain = Project(
        id="P1", name="A project", client_id="CL1", contract_number="C1", stage="active", billing_hold=False,
        region="EMEA", legal_entity=None, cost_center=None, currency="EUR", start_on=day("01-01"), end_on=None,
        budget_hours=None, budget_cost=None, baseline_margin_pct=None, changed_at=0,
    )  # fmt: skip
    return plain._replace(**fields)


def erp_project(**fields: Any) -> ErpProject:
    """Return what the ERP says of P1."""
    return ErpProject("P1", "N-1", "LE1", "CC1", "active", 0, 0)._replace(**fields)


def view(erp: ErpProject | None = None, **fields: Any) -> ProjectView:
    """Return P1 with what the ERP says of it."""
    return ProjectView(project(**fields), erp, 0)


def assignment(identity: str = "G1", start: str = "02-02", end: str = "02-27", **fields: Any) -> Assignment:
    """Return a confirmed assignment of R1 to P1, 40 hours a week."""
    plain = Assignment(identity, "P1", "R1", "Engineer", day(start), day(end), D(40), "confirmed", 0)
    return plain._replace(**fields)


def work(on: str = "02-03", quantity: str | None = "8", **fields: Any) -> Work:
    """Return the work of an Engineer on P1: 8 billable hours on 3 February."""
    plain = Work(
        project_id="P1", cause=NO_CAUSE, version=(0, 1), day=day(on),
        quantity=None if quantity is None else D(quantity), role="Engineer", resource_id="R1", currency="EUR",
    )  # fmt: skip
    return plain._replace(**fields)


def no_fx(amount: Decimal, source: str, target: str, on: date) -> Decimal | None:
    """Convert where no exchange rate is known."""
    return amount if source == target else None


def doubling(amount: Decimal, source: str, target: str, on: date) -> Decimal | None:
    """Convert where every foreign currency is worth twice as much."""
    return amount if source == target else amount * 2
