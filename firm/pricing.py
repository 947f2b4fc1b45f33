"""What it costs and what it brings: rates, values, caps, fees, budgets, milestones and amendments of every contract."""

from __future__ import annotations

from typing import Any

from firm.chance import Chance
from firm.coins import from_cents, in_hundreds, value_of
from firm.contracts import BILLED_BY_TIME, CAPPED, FIXED_FEE, RETAINER, TIME_AND_MATERIALS, Amendment, Contract, Rate
from firm.delivery import Milestone, Project
from firm.moments import DAY_MS, HOUR_MS, MINUTE_MS, day_number, day_of, month_starts, months_later, next_workday
from firm.people import ROLE_COST_CENTS, ROLES
from firm.size import FirmSize
from firm.stories import PROJECT_MOVED, new_home

_BILL_PERCENT_OF_COST = 178
_BILLED_SHARE_PERCENT = 91  # of the hours of a project; the rest is travel, training and rework
_MILESTONE_NAMES = ("Kick-off", "Blueprint", "Prototype", "Build complete", "Acceptance test", "Go-live", "Hypercare")


def price(size: FirmSize, contracts: list[Contract]) -> None:
    """Terms, budgets, milestones and amendments of every contract, in that order: each needs the ones before."""
    chance = Chance(size.seed, "pricing")
    counts = {"milestones": 0}
    for contract in contracts:
        _rates(contract, chance)
        _budgets(contract, chance)
        _terms(contract, size, chance)
        _papers(contract, chance)
        if contract.billing == FIXED_FEE:
            _milestones(contract, chance, counts)
        elif contract.billing in BILLED_BY_TIME and chance.percent(12):
            _bonus(contract, counts)
        _amend(contract, size, chance)
    for contract in contracts:
        home = new_home(contract, contracts) if PROJECT_MOVED in contract.stories else None
        if home is not None:
            _welcome(home, contract)


def _welcome(home: Contract, contract: Contract) -> None:
    """The contract that a project moves to prices its roles too."""
    priced = {rate.role for rate in home.rates}
    home.rates += tuple(rate for rate in contract.rates if rate.role not in priced)


def _rates(contract: Contract, chance: Chance) -> None:
    level = chance.between(92, 115)
    if "sold too cheap" in contract.stories:
        level = level * 66 // 100
    roles = {assignment.role for project in contract.projects for assignment in project.assignments}
    unpriced = contract.stories & {"role unpriced", "role priced late"}
    rates: list[Rate] = []
    for turn, role in enumerate(one for one in ROLES if one in roles):
        if unpriced and turn == 0:
            continue
        minor = _rate(role, level, contract.currency)
        rates.append(Rate(role, minor, contract.starts - 30))
        later = day_number(months_later(day_of(contract.starts).replace(month=1, day=1), 12))
        if chance.percent(30) and contract.works_until > later:
            rates.append(Rate(role, minor * 103 // 100, later))
    if not unpriced and chance.percent(60):
        rates.append(Rate("*", _rate("Consultant", level, contract.currency), contract.starts - 30))
    contract.rates = tuple(rates)


def _rate(role: str, level_percent: int, currency: str) -> int:
    cents = ROLE_COST_CENTS[role] * _BILL_PERCENT_OF_COST * level_percent // 10_000
    return from_cents(cents // 50 * 50, currency)


def planned_value(project: Project) -> int:
    """What the planned hours of a project are worth at the contract's rates."""
    contract = project.contract
    fallback = _rate("Consultant", 100, contract.currency)
    return sum(
        value_of(one.planned_quarters(), contract.rate_on(one.role, one.first) or fallback)
        for one in project.assignments
    )


def _budgets(contract: Contract, chance: Chance) -> None:
    for project in contract.projects:
        planned = project.planned_quarters()
        project.budget_quarters = min(max(4, planned * chance.between(100, 108) // 100), 399_000)
        project.budget_cost = sum(
            value_of(one.planned_quarters(), one.person.cost_in(contract.currency, one.first))
            for one in project.assignments
        )


def _terms(contract: Contract, size: FirmSize, chance: Chance) -> None:
    currency = contract.currency
    worth = sum(planned_value(project) for project in contract.projects)
    if contract.billing == FIXED_FEE:
        share = chance.between(96, 110) * (62 if "fixed fee overrun" in contract.stories else 100)
        contract.value = in_hundreds(worth * share // 10_000, currency)
    elif contract.billing == CAPPED:
        contract.cap = in_hundreds(_cap(contract, worth, size, chance), currency)
    elif contract.billing == TIME_AND_MATERIALS and chance.percent(50):
        contract.value = in_hundreds(worth, currency)
    elif contract.billing == RETAINER:
        months = len(month_starts(contract.starts, contract.ends or contract.works_until))
        quarters = sum(project.planned_quarters() for project in contract.projects) // months
        contract.fee = in_hundreds(worth // months * chance.between(94, 102) // 100, currency)
        included_percent = chance.between(75, 95) if chance.percent(20) else chance.between(115, 140)
        contract.included_quarters = max(4, quarters * included_percent // 400 * 4)
        contract.overage = _rate("Consultant", 115, currency)
        if chance.percent(20):
            contract.ends = None
    for project in contract.projects:
        project.planned_revenue = _planned_revenue(contract, project, worth)


def _planned_revenue(contract: Contract, project: Project, worth: int) -> int:
    own = planned_value(project)
    if contract.billing == FIXED_FEE:
        return (contract.value or 0) * own // worth if worth else 0
    if contract.billing == RETAINER:
        months = len(month_starts(contract.starts, contract.ends or contract.works_until))
        hours = sum(one.budget_quarters for one in contract.projects)
        return (contract.fee or 0) * months * project.budget_quarters // hours
    return own * _BILLED_SHARE_PERCENT // 100


def _cap(contract: Contract, worth: int, size: FirmSize, chance: Chance) -> int:
    """A cap with room to spare, or one that what is planned within the history goes well beyond."""
    if not contract.stories & {"cap too low", "cap lowered", "cap raised"}:
        return worth * chance.between(95, 140) // 100
    worked = min(contract.works_until, size.end_day) - contract.starts
    return worth * worked * chance.between(40, 65) // (100 * (contract.works_until - contract.starts))


def _papers(contract: Contract, chance: Chance) -> None:
    if contract.expense_policy == "Markup":
        contract.markup_percent = chance.of((3, 5, 8, 10, 15))
    if contract.stories & {"purchase order expired", "purchase order late"}:
        contract.po_required = True
    if contract.po_required:
        contract.po_number = f"PO-{chance.between(10_000, 99_999)}"
    if contract.stories & {"legal entity missing", "legal entity late"}:
        contract.names_company = False
    if contract.stories & {"revenue ahead", "revenue behind"}:
        contract.schedule_percent = 130 if "revenue ahead" in contract.stories else 70
    elif contract.billing != CAPPED and chance.percent(40):
        contract.schedule_percent = 100
    if contract.stories & {"term overrun", "term extended late"}:
        contract.ends = contract.starts + (contract.works_until - contract.starts) // 2


def _milestones(contract: Contract, chance: Chance, counts: dict[str, int]) -> None:
    """The fixed fee, split among the projects by what they are worth and among the milestones of each."""
    by_percent = chance.percent(40)
    fee = contract.value or 0
    worth = sum(planned_value(project) for project in contract.projects) or 1
    left, left_percent = fee, 100
    for project in contract.projects:
        last = project is contract.projects[-1]
        amount = left if last else fee * planned_value(project) // worth
        percent = left_percent if last else 100 * planned_value(project) // worth
        left, left_percent = left - amount, left_percent - percent
        count = 1 if percent < 4 else chance.between(2, 4)
        days = contract.works_until - contract.starts
        for turn in range(count):
            counts["milestones"] += 1
            milestone = Milestone(
                id=f"M{counts['milestones']:06d}",
                project=project,
                name=_MILESTONE_NAMES[turn % len(_MILESTONE_NAMES)],
                due=next_workday(contract.starts + days * (turn + 1) // count - 2 - chance.below(6)),
                amount=None if by_percent else _part(amount, turn, count),
                percent=_part(percent, turn, count) if by_percent else None,
                dropped=chance.percent(3) and turn < count - 1,
            )
            if not contract.projects[0].milestones and "milestones not invoiced" in contract.stories:
                milestone.due, milestone.dropped = next_workday(contract.starts + 15), False
                contract.requires_acceptance = False
            _complete(milestone, contract, chance)
            project.milestones.append(milestone)


def _part(whole: int, turn: int, count: int) -> int:
    """The share of one of `count` in a whole that adds up again."""
    return whole * (turn + 1) // count - whole * turn // count


def _complete(milestone: Milestone, contract: Contract, chance: Chance) -> None:
    """When it is done, signed and invoiced: most within a day of being billable, some late, some never."""
    done = next_workday(milestone.due + chance.between(-3, 9))
    milestone.done_ms = done * DAY_MS + 10 * HOUR_MS + chance.below(300) * MINUTE_MS
    if contract.requires_acceptance or chance.percent(30):
        signed = next_workday(done + chance.between(1, 8))
        milestone.signed_ms = signed * DAY_MS + 9 * HOUR_MS + chance.below(420) * MINUTE_MS
    if "milestones not invoiced" not in contract.stories:
        hours = chance.weighted([(chance.between(1, 4), 82), (chance.between(30, 240), 15), (-1, 3)])
        milestone.invoice_after_ms = None if hours < 0 else hours * HOUR_MS


def _bonus(contract: Contract, counts: dict[str, int]) -> None:
    counts["milestones"] += 1
    project = contract.projects[0]
    due = next_workday(contract.starts + (contract.works_until - contract.starts) * 3 // 4)
    amount = in_hundreds(planned_value(project) * 4 // 100, contract.currency)
    milestone = Milestone(f"M{counts['milestones']:06d}", project, "Go-live bonus", due, amount=amount)
    milestone.done_ms = due * DAY_MS + 15 * HOUR_MS
    milestone.signed_ms = milestone.done_ms + DAY_MS
    milestone.invoice_after_ms = 2 * HOUR_MS
    project.milestones.append(milestone)


def _amend(contract: Contract, size: FirmSize, chance: Chance) -> None:
    """Amendments: those the contract's stories need, and now and then one more."""
    stories = contract.stories
    span = min(contract.works_until, size.end_day) - contract.starts
    middle = contract.starts + span * 6 // 10
    worth = sum(planned_value(project) for project in contract.projects)
    if "cap raised" in stories:
        _add(contract, middle, chance, cap_delta=worth * 6 // 10)
    if "cap lowered" in stories:
        _add(contract, middle + span // 4, chance, cap_delta=-(contract.cap or 0) // 4)
    if "term extended late" in stories:
        _add(contract, (contract.ends or 0) + 15, chance, back_days=10, new_end=contract.works_until + 14)
    if "role priced late" in stories:
        missing = _unpriced(contract)
        if missing:
            rate = Rate(missing, _rate(missing, 100, contract.currency), contract.starts - 30)
            _add(contract, contract.starts + 28, chance, back_days=60, rates=(rate,))
    if "amendment backdated" in stories:
        _add(contract, middle, chance, back_days=chance.between(15, 40), rates=_raised(contract, 104))
    if "value amended" in stories:
        more = in_hundreds(worth // 12, contract.currency)
        _add(contract, middle, chance, back_days=chance.between(5, 40), value_delta=more)
    if "amendment not taken over" in stories:
        _add(contract, middle, chance, rates=_raised(contract, 102)).taken_over_ms = None
    elif not stories and chance.percent(25) and span > 40:
        _add_usual(contract, middle, worth, chance)


def _add_usual(contract: Contract, middle: int, worth: int, chance: Chance) -> None:
    if contract.billing == CAPPED:
        _add(contract, middle, chance, cap_delta=in_hundreds(worth // 10, contract.currency))
    elif contract.billing == FIXED_FEE:
        _add(contract, middle, chance, value_delta=in_hundreds(worth // 20, contract.currency))
    elif contract.billing == TIME_AND_MATERIALS:
        _add(contract, middle, chance, rates=_raised(contract, 103))
    elif contract.ends is not None:
        _add(contract, middle, chance, new_end=contract.ends + 30)


def _raised(contract: Contract, percent: int) -> tuple[Rate, ...]:
    first = {rate.role: rate for rate in reversed(contract.rates)}
    return tuple(Rate(role, rate.minor * percent // 100, contract.starts) for role, rate in sorted(first.items()))


def _unpriced(contract: Contract) -> str | None:
    roles = {assignment.role for project in contract.projects for assignment in project.assignments}
    unpriced = (role for role in ROLES if role in roles and contract.rate_on(role, contract.works_until) is None)
    return next(unpriced, None)


def _add(contract: Contract, day: int, chance: Chance, back_days: int = 0, **terms: Any) -> Amendment:
    """An amendment drafted on a day, effective `back_days` before or else when decided; `terms` are what it changes."""
    decided = next_workday(next_workday(day) + chance.between(1, 5)) * DAY_MS + (9 + chance.below(7)) * HOUR_MS
    amendment = Amendment(
        number=len(contract.amendments) + 1,
        contract=contract,
        drafted_ms=next_workday(day) * DAY_MS + 10 * HOUR_MS + chance.below(300) * MINUTE_MS,
        decided_ms=decided,
        approved=bool(contract.stories) or chance.percent(88),
        effective=max(contract.starts, day - back_days if back_days else next_workday(decided // DAY_MS)),
        taken_over_ms=decided + chance.weighted([(HOUR_MS, 70), (2 * HOUR_MS, 20), (30 * HOUR_MS, 10)]),
        **terms,
    )
    contract.amendments.append(amendment)
    return amendment
