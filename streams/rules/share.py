"""What one item adds to its project's totals: hours, cost, earned value, billed and held, in project currency."""

from decimal import Decimal
from typing import Any

from streams.domain.canonical import CostRate
from streams.domain.ledger import EXPENSE, MILESTONE, NOTHING, TIME_ENTRY, Item, Totals
from streams.domain.made import made
from streams.domain.money import ONE, ZERO, multiply, round_money
from streams.domain.terms import Terms, cost_rate_at
from streams.rules.gates import OVER_CAP
from streams.rules.valuation import Convert


def added_up(totals: Totals, share: Totals, sign: int) -> Totals:
    """Return totals with a share added (sign 1) or taken out (sign -1)."""
    wholes: tuple[Any, ...] = totals
    parts: tuple[Any, ...] = share
    if sign < 0:
        return made(Totals, [whole - part if (part := parts[place]) else whole for place, whole in enumerate(wholes)])
    return made(Totals, [whole + part if (part := parts[place]) else whole for place, whole in enumerate(wholes)])


def cost_of(item: Item, currency: str, cost_rates: tuple[CostRate, ...] | None, convert: Convert) -> Decimal | None:
    """Return what a time entry or an expense costs in project currency, rounded; None while that is unknown."""
    work = item.work
    if work is None or work.quantity is None:
        return ZERO
    if item.kind == EXPENSE:
        cost = convert(work.quantity, work.currency, currency, work.day)
    else:
        rate = cost_rate_at(cost_rates, work.day)
        if rate is None:
            return None
        cost = convert(multiply(work.quantity, rate.rate), rate.currency, currency, work.day)
    return None if cost is None else round_money(cost, currency)


def share_of(item: Item, terms: Terms | None, currency: str, cost: Decimal | None, convert: Convert) -> Totals:
    """Return the totals that one settled item makes up. `currency` is the project's."""
    work = item.work
    if work is None:
        return NOTHING
    if item.kind == MILESTONE:
        return _milestone(item, terms, currency, convert)
    hours = work.quantity or ZERO
    home = terms.contract.currency if terms is not None else currency
    kept, billed, held = _amounts(item, home, currency, convert)
    time = item.kind == TIME_ENTRY
    overage = item.worth.kind == "overage"
    amount = item.worth.amount or ZERO
    return Totals(
        approved_hours=hours if time else ZERO,
        billable_hours=hours if time and work.billable else ZERO,
        labor_cost=(cost or ZERO) if time else ZERO,
        expense_cost=ZERO if time else (cost or ZERO),
        uncosted_hours=hours if time and cost is None else ZERO,
        uncosted_amount=hours if not time and cost is None else ZERO,
        drawn=ZERO if overage else kept,
        drawn_home=ZERO if overage else amount - (item.held if OVER_CAP in item.hold else ZERO),
        expensed=ZERO if time else kept,
        overage=kept if overage else ZERO,
        billed=billed,
        held=held,
    )


def _milestone(item: Item, terms: Terms | None, currency: str, convert: Convert) -> Totals:
    work = item.work
    assert work is not None  # the caller has looked
    if not work.counts:
        return NOTHING
    weight = work.quantity
    if weight is None:
        total = terms.total_value if terms is not None else ZERO
        weight = multiply(work.percent or ZERO, total)
    home = terms.contract.currency if terms is not None else currency
    value, billed, held = _amounts(item, home, currency, convert)
    return Totals(
        delivered=value,
        delivered_home=item.worth.amount or ZERO,
        billed=billed,
        held=held,
        milestones=1,
        weight=weight,
        done=weight if work.ready else ZERO,
    )


def _amounts(item: Item, home: str, currency: str, convert: Convert) -> tuple[Decimal, Decimal, Decimal]:
    """Return what counts as earned, billed and held, each turned into project currency and rounded.

    Of an item that a cap cuts, what is under the cap counts.
    """
    work = item.work
    assert work is not None  # the caller has looked
    billed = sum((o.amount for o in item.outstanding), ZERO)
    earned = (item.worth.amount or ZERO) - (item.held if OVER_CAP in item.hold else ZERO)
    if home == currency:
        return earned, billed, item.held
    if convert(ONE, home, currency, work.day) is None:
        return ZERO, ZERO, ZERO

    def turned(amount: Decimal) -> Decimal:
        return round_money(convert(amount, home, currency, work.day) or ZERO, currency)

    return turned(earned), turned(billed), turned(item.held)
