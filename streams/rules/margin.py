"""Margin: what a project has cost and earned, and how it will end, in project currency."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from streams.domain.fact import Figures
from streams.domain.ledger import Outlook, ProjectState, Totals
from streams.domain.made import made
from streams.domain.money import ONE, ZERO, divide, multiply, round_money
from streams.domain.terms import CAPPED, FIXED_FEE, RETAINER, Terms
from streams.rules.outlook import percent_complete, remaining_hours


class Sibling(NamedTuple):
    """A project of a contract with what its margin depends on."""

    project_id: str
    state: ProjectState
    outlook: Outlook


class Pool(NamedTuple):
    """What the projects of one contract share.

    `weights` say how value and fees are split; `drawn_home` is the value of time and expenses in contract currency,
    `extra_home` what remaining assignments would add, `remaining` the hours remaining on all projects.
    """

    weights: Mapping[str, Decimal]
    drawn_home: Decimal
    extra_home: Decimal
    remaining: Decimal
    fees_due: Decimal
    fees_all: Decimal


def shares(terms: Terms | None) -> bool:
    """Tell whether the projects of a contract share anything: a value, fees or a cap."""
    return terms is not None and (terms.cap is not None or terms.contract.billing_type in (FIXED_FEE, RETAINER))


def pool_of(siblings: list[Sibling], terms: Terms | None, fees_due: Decimal, fees_all: Decimal) -> Pool:
    """Return what the projects naming a contract share, whatever their stage; nothing where they share nothing."""
    if terms is None or not shares(terms):
        return _NO_POOL
    if terms.cap is None:
        return Pool(_weights(siblings), ZERO, ZERO, ZERO, fees_due, fees_all)
    return Pool(
        {},
        sum((s.state.totals.drawn_home for s in siblings), ZERO),
        sum((s.outlook.extra_home for s in siblings), ZERO),
        sum((_remaining(s) for s in siblings), ZERO),
        ZERO,
        ZERO,
    )


_NO_POOL: Final = Pool({}, ZERO, ZERO, ZERO, ZERO, ZERO)


def _weights(siblings: list[Sibling]) -> dict[str, Decimal]:
    """Return each project's share: by milestone amounts if any has one, else by budget hours if any, else equal."""
    by_milestones = {s.project_id: s.state.totals.weight for s in siblings}
    by_budget = {s.project_id: _budget(s) for s in siblings}
    for weights in (by_milestones, by_budget):
        whole = sum(weights.values(), ZERO)
        if whole:
            return {project: divide(weight, whole) for project, weight in weights.items()}
    return {s.project_id: divide(ONE, Decimal(len(siblings))) for s in siblings}


def _budget(sibling: Sibling) -> Decimal:
    view = sibling.state.view
    return (view.project.budget_hours or ZERO) if view is not None else ZERO


def earned(sibling: Sibling, terms: Terms | None, pool: Pool, currency: str) -> Decimal:
    """Return the revenue earned so far."""
    totals = sibling.state.totals
    if terms is None:
        return ZERO
    billing_type = terms.contract.billing_type
    if billing_type == FIXED_FEE:
        share = multiply(terms.total_value, pool.weights[sibling.project_id])
        return round_money(multiply(share, _complete(sibling)), currency) + totals.expensed
    if billing_type == RETAINER:
        fees = round_money(multiply(pool.fees_due, pool.weights[sibling.project_id]), currency)
        return fees + totals.overage + totals.expensed
    return drawn(totals, terms, pool, currency) + totals.delivered


def drawn(totals: Totals, terms: Terms, pool: Pool, currency: str) -> Decimal:
    """Return what time and expenses earn: at most the cap over the contract, split by what each project drew."""
    if terms.cap is None or pool.drawn_home <= terms.cap:
        return totals.drawn
    return round_money(divide(multiply(totals.drawn, terms.cap), pool.drawn_home), currency)


def _complete(sibling: Sibling) -> Decimal:
    assert sibling.state.view is not None  # siblings name the contract
    return percent_complete(sibling.state.view.project, sibling.outlook, sibling.state.totals)


def forecast(sibling: Sibling, terms: Terms | None, pool: Pool, revenue: Decimal, currency: str) -> Decimal:
    """Return the revenue at completion."""
    if terms is None:
        return ZERO
    totals, outlook = sibling.state.totals, sibling.outlook
    billing_type = terms.contract.billing_type
    if billing_type == FIXED_FEE:
        return round_money(multiply(terms.total_value, pool.weights[sibling.project_id]), currency) + totals.expensed
    if billing_type == RETAINER:
        fees = round_money(multiply(pool.fees_all, pool.weights[sibling.project_id]), currency)
        return fees + totals.overage + totals.expensed
    if billing_type == CAPPED and terms.cap is not None:
        room = max(terms.cap - min(pool.drawn_home, terms.cap), ZERO)
        if pool.extra_home > room:
            return revenue + _part_of_room(sibling, pool, room, terms.contract.currency, currency)
    return revenue + outlook.extra_revenue


def _remaining(sibling: Sibling) -> Decimal:
    view = sibling.state.view
    return (remaining_hours(view.project, sibling.outlook, sibling.state.totals) or ZERO) if view is not None else ZERO


def _part_of_room(sibling: Sibling, pool: Pool, room: Decimal, home: str, currency: str) -> Decimal:
    """Return a project's part of what a cap leaves, by remaining hours, turned into its currency as its plans are."""
    outlook = sibling.outlook
    part = divide(multiply(room, _remaining(sibling)), pool.remaining) if pool.remaining else ZERO
    if home != currency:
        part = divide(multiply(part, outlook.extra_revenue), outlook.extra_home) if outlook.extra_home else ZERO
    return round_money(part, currency)


def figures_of(
    sibling: Sibling, terms: Terms | None, pool: Pool, client_id: str | None, contract_number: str | None
) -> Figures:
    """Return the figures of a project's margin."""
    view = sibling.state.view
    assert view is not None  # siblings name the contract
    project, totals, outlook = view.project, sibling.state.totals, sibling.outlook
    currency = project.currency
    revenue = earned(sibling, terms, pool, currency)
    forecast_revenue = forecast(sibling, terms, pool, revenue, currency)
    cost = totals.labor_cost + totals.expense_cost
    forecast_cost = cost + outlook.extra_cost
    margin = revenue - cost
    percent, forecast_percent = _of(margin, revenue), _of(forecast_revenue - forecast_cost, forecast_revenue)
    remaining = remaining_hours(project, outlook, totals) or ZERO
    return made(Figures, (
        contract_number, client_id, project.region, currency, totals.approved_hours, totals.billable_hours,
        totals.labor_cost, totals.expense_cost, revenue, totals.billed, totals.held, margin, percent,
        _complete(sibling), remaining, forecast_cost, forecast_revenue, forecast_percent, project.baseline_margin_pct,
        totals.uncosted_hours, totals.uncosted_amount,
    ))  # fmt: skip


def _of(part: Decimal, whole: Decimal) -> Decimal | None:
    return divide(part, whole) if whole else None
