"""What is left to do: remaining hours, what they cost and earn, and percent complete."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from streams.domain.canonical import Assignment
from streams.domain.ledger import Outlook, Totals
from streams.rules.outlook import outlook_of, percent_complete, remaining_hours
from tests.support.rows import D, assignment, cost_rates, day, doubling, no_fx, project, rates, terms

RATES = {"R1": cost_rates(("60", "01-01"), ("70", "02-16"))}


def _ignored(source: str, target: str, on: date) -> None:
    """Nobody asks which exchange rates were used."""


def _outlook(
    assignments: list[Assignment], last: str | None = None, agreed: dict[str, Any] | None = None, **fields: Any
) -> Outlook:
    last_worked_on = None if last is None else day(last)
    return outlook_of(project(**fields), last_worked_on, assignments, RATES, terms(**agreed or {}), no_fx, _ignored)


# 2 February 2026 is a Monday; to Friday 27 February there are 20 working days.
REMAINING: dict[str, tuple[list[Assignment], str | None, str]] = {
    "all of it": ([assignment()], None, "160"),
    "from the day after the last work": ([assignment()], "02-04", "136"),
    "work before it begins": ([assignment()], "01-15", "160"),
    "work on its last day": ([assignment()], "02-27", "0"),
    "work after its end": ([assignment()], "03-15", "0"),
    "a weekend in between": ([assignment()], "02-06", "120"),
    "part of a week": ([assignment(start="02-25", end="02-27", hours_per_week=D(30))], None, "18"),
    "a weekend alone": ([assignment(start="02-07", end="02-08")], None, "0"),
    "ends before it begins": ([assignment(start="02-27", end="02-02")], None, "0"),
    "two add up": ([assignment(), assignment("G2", hours_per_week=D("7.5"))], None, "190"),
}


@pytest.mark.parametrize(("assignments", "last", "hours"), REMAINING.values(), ids=REMAINING)
def test_remaining_hours_of_assignments(assignments: list[Assignment], last: str | None, hours: str) -> None:
    outlook = _outlook(assignments, last)
    assert outlook.remaining_hours == D(hours)
    assert remaining_hours(project(budget_hours=D(9999)), outlook, Totals()) == D(hours)


def test_what_is_left_is_costed_and_billed_at_the_rate_of_the_day_it_begins() -> None:
    agreed = {"rates": rates(("Engineer", "100", "01-01"), ("Engineer", "120", "02-10"))}
    early, late = _outlook([assignment()], "02-04", agreed), _outlook([assignment()], "02-15", agreed)
    assert (early.extra_cost, early.extra_revenue, early.extra_home) == (D(136 * 60), D(13600), D(13600))
    assert (late.extra_cost, late.extra_revenue) == (D(80 * 70), D(80 * 120))


NOTHING_ADDED: dict[str, tuple[list[Assignment], dict[str, Any]]] = {
    "nothing left": ([assignment(start="02-07", end="02-08")], {}),
    "no rates at all": ([assignment(resource_id="R9", role="Analyst")], {}),
}


@pytest.mark.parametrize(("assignments", "agreed"), NOTHING_ADDED.values(), ids=NOTHING_ADDED)
def test_what_has_no_rate_adds_nothing(assignments: list[Assignment], agreed: dict[str, Any]) -> None:
    outlook = _outlook(assignments, None, agreed)
    assert (outlook.extra_cost, outlook.extra_revenue, outlook.extra_home) == (D(0), D(0), D(0))


def test_without_a_bill_rate_it_still_costs() -> None:
    outlook = _outlook([assignment(role="Analyst")])
    assert (outlook.extra_cost, outlook.extra_revenue) == (D(160 * 60), D(0))


@pytest.mark.parametrize("billing_type", ["fixed_fee", "retainer"])
def test_only_hours_that_are_billed_earn_more(billing_type: str) -> None:
    outlook = _outlook([assignment()], None, {"billing_type": billing_type})
    assert (outlook.remaining_hours, outlook.extra_cost, outlook.extra_revenue) == (D(160), D(9600), D(0))


def test_other_currencies_are_converted_and_noted() -> None:
    noted: list[tuple[str, str, date]] = []

    def note(source: str, target: str, on: date) -> None:
        noted.append((source, target, on))

    outlook = outlook_of(
        project(currency="USD"), None, [assignment()], {"R1": cost_rates(("60", "01-01"))}, terms(), doubling, note
    )
    assert (outlook.extra_cost, outlook.extra_revenue, outlook.extra_home) == (D(19200), D(32000), D(16000))
    assert set(noted) == {("EUR", "USD", day("02-02"))}


def test_a_missing_exchange_rate_adds_nothing_there() -> None:
    outlook = outlook_of(
        project(currency="USD"), None, [assignment()], {"R1": cost_rates(("60", "01-01"), currency="USD")},
        terms(), no_fx, _ignored,
    )  # fmt: skip
    assert (outlook.extra_cost, outlook.extra_revenue, outlook.extra_home) == (D(9600), D(0), D(16000))


def test_each_assignment_is_rounded_before_it_is_summed() -> None:
    thin = [assignment(f"G{n}", "02-02", "02-02", hours_per_week=D("0.005")) for n in range(3)]
    # 0.001 hours at 60 cost 0.06 each; at 5 they would bill 0.005, which is 0.01 each.
    outlook = _outlook(thin, None, {"rates": rates(("*", "5", "01-01"))})
    assert (outlook.extra_cost, outlook.extra_revenue) == (D("0.18"), D("0.03"))


BUDGETS: list[tuple[str | None, str, str | None]] = [
    ("200", "50", "150"),
    ("200", "250", "0"),
    ("0", "0", "0"),
    (None, "50", None),
]


@pytest.mark.parametrize(("budget", "approved", "hours"), BUDGETS)
def test_without_assignments_the_budget_decides(budget: str | None, approved: str, hours: str | None) -> None:
    outlook = _outlook([])
    row = project(budget_hours=None if budget is None else D(budget))
    left = remaining_hours(row, outlook, Totals(approved_hours=D(approved)))
    assert left == (None if hours is None else D(hours))


COMPLETE: dict[str, tuple[dict[str, Any], Totals, str]] = {
    "hours of all hours": ({"budget_hours": D(200)}, Totals(approved_hours=D(50)), "0.25"),
    "over the budget": ({"budget_hours": D(200)}, Totals(approved_hours=D(250)), "1"),
    "no hours of no hours": ({"budget_hours": D(0)}, Totals(), "0"),
    "milestones": ({}, Totals(approved_hours=D(50), weight=D(400), done=D(100)), "0.25"),
    "budgets go before milestones": (
        {"budget_hours": D(100)},
        Totals(approved_hours=D(50), weight=D(4), done=D(4)),
        "0.5",
    ),
    "no milestones either": ({}, Totals(approved_hours=D(50)), "0"),
    "closed": ({"stage": "closed", "budget_hours": D(200)}, Totals(approved_hours=D(50)), "1"),
}


@pytest.mark.parametrize(("fields", "totals", "complete"), COMPLETE.values(), ids=COMPLETE)
def test_percent_complete(fields: dict[str, Any], totals: Totals, complete: str) -> None:
    assert percent_complete(project(**fields), _outlook([], **fields), totals) == Decimal(complete)


def test_assignments_go_before_the_budget() -> None:
    outlook = _outlook([assignment()])
    assert percent_complete(project(budget_hours=D(50)), outlook, Totals(approved_hours=D(40))) == D("0.2")


def test_a_closed_project_has_nothing_left() -> None:
    outlook = _outlook([assignment()], stage="closed")
    assert outlook == Outlook(D(0), D(0), D(0), D(0))
    assert remaining_hours(project(stage="closed", budget_hours=D(9)), outlook, Totals()) == D(0)
