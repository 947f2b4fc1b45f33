"""What an item should be worth under its contract's terms, before any gate."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Final

from streams.domain.ledger import EXPENSE, MILESTONE, TIME_ENTRY, Work, Worth
from streams.domain.money import ONE, ZERO, multiply, round_money
from streams.domain.terms import CAPPED, RETAINER, TIME_AND_MATERIALS, Terms

Convert = Callable[[Decimal, str, str, date], Decimal | None]
"""(amount, from, to, day) to the amount in the other currency, unrounded; None where no rate is known."""

NO_CONTRACT: Final = Worth("", None, ("no_contract",))
_NOT_BILLABLE: Final = Worth()


def worth_of(kind: str, work: Work, terms: Terms | None, overage: Decimal | None, convert: Convert) -> Worth:
    """Return what an item is worth now.

    `overage` is the part of a time entry's hours beyond a retainer's included hours; None for any other contract.
    """
    if terms is None:
        return NO_CONTRACT if _claims(kind, work) else _NOT_BILLABLE
    if kind == TIME_ENTRY:
        return _time(work, terms, overage)
    if kind == EXPENSE:
        return _expense(work, terms, convert)
    if kind == MILESTONE:
        return _milestone(work, terms)
    return _fee(work, terms)


def _claims(kind: str, work: Work) -> bool:
    """Tell whether an item of an unknown contract asks to be billed at all; zero holds nothing."""
    if kind == MILESTONE:
        return work.ready and bool(work.percent if work.quantity is None else work.quantity)
    return work.billable and bool(work.quantity)


def _dated(
    kind: str, amount: Decimal, work: Work, terms: Terms, quantity: Decimal | None = None, rate: Decimal | None = None
) -> Worth:
    amount = round_money(amount, terms.contract.currency)
    if terms.covers(work.day):
        return Worth(kind, amount, (), quantity, rate) if amount > 0 else _NOT_BILLABLE
    return Worth(kind, None, ("outside_term",)) if amount > 0 else _NOT_BILLABLE


def _missing(kind: str, reason: str, work: Work, terms: Terms) -> Worth:
    return Worth(kind, None, (reason,) if terms.covers(work.day) else ("outside_term", reason))


def _time(work: Work, terms: Terms, overage: Decimal | None) -> Worth:
    billing_type = terms.contract.billing_type
    if not work.billable or not work.quantity:
        return _NOT_BILLABLE
    if billing_type == RETAINER:
        if not overage:
            return _NOT_BILLABLE
        rate = terms.contract.overage_rate
        if rate is None:
            return _missing("overage", "no_rate", work, terms)
        return _dated("overage", multiply(overage, rate), work, terms, overage, rate)
    if billing_type not in (TIME_AND_MATERIALS, CAPPED):
        return _NOT_BILLABLE
    rate = terms.rate_of(work.role, work.day)
    if rate is None:
        return _missing("time", "no_rate", work, terms)
    return _dated("time", multiply(work.quantity, rate), work, terms, work.quantity, rate)


def _expense(work: Work, terms: Terms, convert: Convert) -> Worth:
    contract = terms.contract
    if not work.billable or not work.quantity or contract.expense_policy == "non_billable":
        return _NOT_BILLABLE
    amount = convert(work.quantity, work.currency, contract.currency, work.day)
    if amount is None:
        return _missing("expense", "no_fx_rate", work, terms)
    markup = ONE
    if contract.expense_policy == "markup":
        markup += contract.expense_markup or ZERO
    return _dated("expense", multiply(amount, markup), work, terms)


def _milestone(work: Work, terms: Terms) -> Worth:
    contract = terms.contract
    due = work.accepted if contract.requires_acceptance else work.ready
    if not due or contract.billing_type == RETAINER:
        return _NOT_BILLABLE
    if work.quantity is not None:
        return _dated("milestone", work.quantity, work, terms)
    if work.percent is None:
        return _NOT_BILLABLE
    value = terms.value_at(work.day)
    return _dated("milestone", multiply(work.percent, value), work, terms)


def _fee(work: Work, terms: Terms) -> Worth:
    if terms.contract.billing_type != RETAINER or not work.quantity:
        return _NOT_BILLABLE
    return _dated("retainer", work.quantity, work, terms)
