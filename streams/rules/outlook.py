"""The outlook of a project: hours still planned, and what they will cost and earn."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Final

from streams.domain.calendar import next_day, working_days
from streams.domain.canonical import Assignment, CostRate, Project
from streams.domain.ledger import Outlook, Totals
from streams.domain.money import ZERO, divide, multiply, round_money
from streams.domain.terms import CAPPED, TIME_AND_MATERIALS, Terms, cost_rate_at
from streams.rules.valuation import Convert

_DAYS_A_WEEK: Final = Decimal(5)

NoteFx = Callable[[str, str, date], None]
"""Told of every pair of currencies and day that the outlook reckons with."""


def outlook_of(
    project: Project,
    last_worked_on: date | None,
    assignments: Iterable[Assignment],
    cost_rates: Mapping[str, tuple[CostRate, ...] | None],
    terms: Terms | None,
    convert: Convert,
    note_fx: NoteFx,
) -> Outlook:
    """Return the outlook from the confirmed assignments; `convert` takes the newest rate by a day, of any age.

    An assignment without cost rate, bill rate or exchange rate adds nothing there.
    """
    confirmed = list(assignments)
    if not confirmed or project.stage == "closed":
        return Outlook(ZERO if project.stage == "closed" else None, ZERO, ZERO, ZERO)
    billed = terms is not None and terms.contract.billing_type in (TIME_AND_MATERIALS, CAPPED)
    hours, cost, revenue, home = ZERO, ZERO, ZERO, ZERO
    for assignment in confirmed:
        start = assignment.start_on
        if last_worked_on is not None:
            start = max(start, next_day(last_worked_on))
        left = divide(assignment.hours_per_week * working_days(start, assignment.end_on), _DAYS_A_WEEK)
        hours += left
        if not left:
            continue
        cost += _cost(left, cost_rates.get(assignment.resource_id), start, project.currency, convert, note_fx)
        if billed and terms is not None:
            earned, earned_home = _revenue(left, assignment.role, start, terms, project.currency, convert, note_fx)
            revenue += earned
            home += earned_home
    return Outlook(hours, cost, revenue, home)


def _cost(
    hours: Decimal, rates: tuple[CostRate, ...] | None, day: date, currency: str, convert: Convert, note_fx: NoteFx
) -> Decimal:
    rate = cost_rate_at(rates, day)
    if rate is None:
        return ZERO
    if rate.currency != currency:
        note_fx(rate.currency, currency, day)
    cost = convert(multiply(hours, rate.rate), rate.currency, currency, day)
    return ZERO if cost is None else round_money(cost, currency)


def _revenue(
    hours: Decimal, role: str, day: date, terms: Terms, currency: str, convert: Convert, note_fx: NoteFx
) -> tuple[Decimal, Decimal]:
    rate = terms.rate_of(role, day)
    if rate is None:
        return ZERO, ZERO
    home = terms.contract.currency
    if home != currency:
        note_fx(home, currency, day)
    amount = multiply(hours, rate)
    turned = convert(amount, home, currency, day)
    return (ZERO if turned is None else round_money(turned, currency)), round_money(amount, home)


def remaining_hours(project: Project, outlook: Outlook, totals: Totals) -> Decimal | None:
    """Return the hours still to be worked; None where milestones decide.

    Without a confirmed assignment they are the budget's rest, at least 0.
    """
    if outlook.remaining_hours is not None:
        return outlook.remaining_hours
    if project.budget_hours is None:
        return None
    return max(project.budget_hours - totals.approved_hours, ZERO)


def percent_complete(project: Project, outlook: Outlook, totals: Totals) -> Decimal:
    """Return the share of the work that is done, at most 1."""
    if project.stage == "closed":
        return Decimal(1)
    remaining = remaining_hours(project, outlook, totals)
    if remaining is None:
        return min(divide(totals.done, totals.weight), Decimal(1)) if totals.weight else ZERO
    whole = totals.approved_hours + remaining
    return divide(totals.approved_hours, whole) if whole else ZERO
