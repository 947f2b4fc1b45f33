"""Margin of the batch: cost, revenue, progress and forecast of every project (section 4)."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction

from tests.oracle.amounts import ONE, ZERO, number, ratio, rounded, working_days
from tests.oracle.billing import HOURLY, Item, fee_days, milestone_amount
from tests.oracle.shapes import MEANINGS, Row
from tests.oracle.terms import Firm, Terms, approved, day

FIVE = Fraction(5)


@dataclass
class Progress:
    """Hours of a project: done, to do, and who does the rest."""

    approved: Fraction
    billable: Fraction
    complete: Fraction
    remaining: Fraction
    # (assignment, its remaining hours, the day its rates are read)
    planned: list[tuple[Row, Fraction, date]]


@dataclass
class Margin:
    """One project's figures, exact; ``revenue_exact`` is False where they may depend on the order of events."""

    project: Row
    terms: Terms | None
    client: str | None
    progress: Progress
    labor_cost: Fraction = ZERO
    expense_cost: Fraction = ZERO
    uncosted_hours: Fraction = ZERO
    uncosted_amount: Fraction = ZERO
    uncosted: list[str] = field(default_factory=list)
    revenue: Fraction = ZERO
    billed: Fraction = ZERO
    held: Fraction = ZERO
    forecast_cost: Fraction = ZERO
    forecast_revenue: Fraction = ZERO
    revenue_exact: bool = True
    billed_exact: bool = True

    @property
    def cost(self) -> Fraction:
        return self.labor_cost + self.expense_cost

    @property
    def margin_pct(self) -> Fraction | None:
        return ratio(self.revenue - self.cost, self.revenue)

    @property
    def forecast_pct(self) -> Fraction | None:
        return ratio(self.forecast_revenue - self.forecast_cost, self.forecast_revenue)


def margins(firm: Firm, items: dict[str, Item]) -> dict[str, Margin]:
    """Figures of every known project."""
    found = {name: _costed(firm, project) for name, project in sorted(firm.projects.items())}
    for margin in found.values():
        _earned(firm, margin, items)
        _forecast_cost(firm, margin)
    for name, terms in firm.contracts.items():
        members = [found[project["id"]] for project in firm.projects_of[name]]
        _forecast_revenue(firm, terms, members, items)
    return found


def progress_of(firm: Firm, project: Row, terms: Terms | None) -> Progress:
    """Approved and remaining hours and percent complete."""
    entries = approved(firm.entries[project["id"]])
    done = sum((number(entry["hours"]) for entry in entries), ZERO)
    billable = sum((number(entry["hours"]) for entry in entries if entry["billable"]), ZERO)
    if MEANINGS["stage_psa"][project["stage"]] == "closed":
        return Progress(done, billable, ONE, ZERO, [])
    last = max((day(entry["work_date"]) for entry in entries), default=None)
    planned = []
    confirmed = [a for a in firm.assignments[project["id"]] if a["status"] == "Confirmed"]
    for assignment in confirmed:
        start = day(assignment["start_date"])
        since = start if last is None else max(start, last + timedelta(days=1))
        days = working_days(since, day(assignment["end_date"]))
        planned.append((assignment, number(assignment["hours_per_week"]) * days / FIVE, since))
    if confirmed:
        remaining = sum((hours for _, hours, _ in planned), ZERO)
    elif project.get("budget_hours") is not None:
        remaining = max(ZERO, number(project["budget_hours"]) - done)
    else:
        return Progress(done, billable, _milestones_complete(firm, project, terms), ZERO, [])
    complete = min(ONE, ratio(done, done + remaining) or ZERO)
    return Progress(done, billable, complete, remaining, planned)


def _milestones_complete(firm: Firm, project: Row, terms: Terms | None) -> Fraction:
    total = terms.value if terms else ZERO
    weights = [(m, milestone_amount(m, total)) for m in firm.milestones[project["id"]] if m["status"] != "Dropped"]
    done = sum((weight for m, weight in weights if m["status"] in ("Done", "Signed Off")), ZERO)
    return ratio(done, sum((weight for _, weight in weights), ZERO)) or ZERO


def _costed(firm: Firm, project: Row) -> Margin:
    terms = firm.terms_of(project)
    margin = Margin(project, terms, firm.client_of(project), progress_of(firm, project, terms))
    currency = project["currency"]
    for entry in approved(firm.entries[project["id"]]):
        when = day(entry["work_date"])
        rate = firm.cost_rate(entry["resource_id"], when)
        fx = firm.fx(rate[1], currency, when) if rate else None
        if rate is None or fx is None:
            margin.uncosted_hours += number(entry["hours"])
            margin.uncosted.append(f"time_entry:{entry['id']}")
        else:
            margin.labor_cost += rounded(number(entry["hours"]) * rate[0] * fx, currency)
    for expense in approved(firm.expenses[project["id"]]):
        fx = firm.fx(expense["currency"], currency, day(expense["expense_date"]))
        if fx is None:
            margin.uncosted_amount += number(expense["amount"])
            margin.uncosted.append(f"expense:{expense['id']}")
        else:
            margin.expense_cost += rounded(number(expense["amount"]) * fx, currency)
    return margin


def share_of(firm: Firm, terms: Terms, project: Row) -> Fraction:
    """A project's part of its contract: by milestone amounts, else budget hours, else equal parts."""
    members = firm.projects_of[terms.number]

    def by_milestones(each: Row) -> Fraction:
        counted = (m for m in firm.milestones[each["id"]] if m["status"] != "Dropped")
        return sum((milestone_amount(m, terms.value) for m in counted), ZERO)

    for weight in (by_milestones, lambda each: number(each.get("budget_hours"))):
        total = sum((weight(each) for each in members), ZERO)
        if total:
            return weight(project) / total
    return Fraction(1, len(members))


def _converted(firm: Firm, amount: Fraction, item: Item, currency: str) -> Fraction:
    """An amount of an item in project currency, at the item's date; without a rate it adds nothing."""
    if item.currency is None or not amount:
        return ZERO
    fx = firm.fx(item.currency, currency, item.when)
    return ZERO if fx is None else rounded(amount * fx, currency)


def _earned(firm: Firm, margin: Margin, items: dict[str, Item]) -> None:
    terms, project = margin.terms, margin.project
    if terms is None:
        return
    currency = project["currency"]
    of_contract = [item for item in items.values() if item.contract == terms.number]
    own = [item for item in of_contract if item.project == project["id"] and item.value is not None]
    for item in own:
        margin.billed += _converted(firm, item.billed, item, currency)
        margin.held += _converted(firm, (item.value or ZERO) - item.billed, item, currency)
        if terms.billing in HOURLY or item.kind in ("overage", "expense"):
            margin.revenue += _converted(firm, item.earned, item, currency)
    if terms.billing == "retainer":
        fees = sum(
            (i.value or ZERO for i in items.values() if i.contract == terms.number and i.kind == "retainer"), ZERO
        )
        margin.revenue += rounded(fees * share_of(firm, terms, project), currency)
    if terms.billing == "fixed_fee":
        share = terms.value * share_of(firm, terms, project)
        margin.revenue += rounded(share * margin.progress.complete, currency)
    crowded = over_capped(terms, items)
    margin.revenue_exact = not crowded or len(firm.projects_of[terms.number]) == 1
    margin.billed_exact = margin.revenue_exact and not any(
        i.gated for i in items.values() if i.contract == terms.number
    )


def over_capped(terms: Terms, items: dict[str, Item]) -> bool:
    """True when a contract's items together are worth more than its cap."""
    drawn = (i.value or ZERO for i in items.values() if i.contract == terms.number and i.kind in ("time", "expense"))
    return terms.cap is not None and sum(drawn, ZERO) > terms.cap


def _forecast_cost(firm: Firm, margin: Margin) -> None:
    margin.forecast_cost = margin.cost
    currency = margin.project["currency"]
    for assignment, hours, since in margin.progress.planned:
        rate = firm.cost_rate(assignment["resource_id"], since)
        fx = firm.fx(rate[1], currency, since, days_max=None) if rate else None
        if rate is not None and fx is not None:
            margin.forecast_cost += rounded(hours * rate[0] * fx, currency)


def _forecast_revenue(firm: Firm, terms: Terms, members: list[Margin], items: dict[str, Item]) -> None:
    if terms.billing in HOURLY:
        drawn = (i.earned for i in items.values() if i.contract == terms.number and i.kind in ("time", "expense"))
        room = None if terms.cap is None else max(ZERO, terms.cap - sum(drawn, ZERO))
        to_do = sum((margin.progress.remaining for margin in members), ZERO)
        planned = {margin.project["id"]: _planned_revenue(firm, terms, margin) for margin in members}
        crowded = room is not None and sum(planned.values(), ZERO) > room
        for margin in members:
            rest = planned[margin.project["id"]]
            if room is not None and crowded:
                # the rest of the cap, which is less than the plans of all, goes by remaining hours
                rest = rounded(room * margin.progress.remaining / to_do, terms.currency)
            margin.forecast_revenue = margin.revenue + rest
        return
    for margin in members:
        currency = margin.project["currency"]
        share = share_of(firm, terms, margin.project)
        extra = [i for i in items.values() if i.project == margin.project["id"] and i.kind in ("expense", "overage")]
        margin.forecast_revenue = sum((_converted(firm, i.earned, i, currency) for i in extra), ZERO)
        if terms.billing == "fixed_fee":
            margin.forecast_revenue += rounded(terms.value * share, currency)
        else:
            fee = rounded(number(terms.row.get("PeriodicFee")), terms.currency)
            months = len(fee_days(terms, terms.end or _end_of_month(firm.clock.date())))
            margin.forecast_revenue += rounded(fee * months * share, currency)


def _end_of_month(when: date) -> date:
    return when.replace(day=monthrange(when.year, when.month)[1])


def _planned_revenue(firm: Firm, terms: Terms, margin: Margin) -> Fraction:
    total = ZERO
    currency = margin.project["currency"]
    for assignment, hours, since in margin.progress.planned:
        rate = terms.bill_rate(assignment["role"], since)
        fx = firm.fx(terms.currency, currency, since, days_max=None)
        if rate is not None and fx is not None:
            total += rounded(hours * rate * fx, currency)
    return total
