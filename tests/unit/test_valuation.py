"""What an item should be worth: one table for each kind of source."""

from decimal import Decimal
from typing import Any

import pytest

from streams.domain.ledger import EXPENSE, MILESTONE, RETAINER_PERIOD, TIME_ENTRY, Worth
from streams.rules.valuation import worth_of
from tests.support.rows import BILLING_TYPES, D, amendment, day, doubling, no_fx, rates, terms, work

NOTHING = Worth()
T_AND_M = "time_and_materials"


def _held(kind: str, *reasons: str) -> Worth:
    return Worth(kind, None, reasons)


def _billed(kind: str, amount: str, quantity: str | None = None, rate: str | None = None) -> Worth:
    return Worth(kind, D(amount), (), None if quantity is None else D(quantity), None if rate is None else D(rate))


TIME: dict[str, tuple[dict[str, Any], dict[str, Any], Worth]] = {
    "hours by rate": ({}, {}, _billed("time", "800.00", "8", "100")),
    "capped": ({}, {"billing_type": "capped_time_and_materials"}, _billed("time", "800.00", "8", "100")),
    "rounded once": (
        {"quantity": D("0.3333")},
        {"rates": rates(("Engineer", "100.05", "01-01"))},
        _billed("time", "33.35", "0.3333", "100.05"),
    ),
    "half up": (
        {"quantity": D("0.5")},
        {"rates": rates(("*", "0.03", "01-01"))},
        _billed("time", "0.02", "0.5", "0.03"),
    ),
    "whole yen": (
        {"quantity": D("0.5")},
        {"currency": "JPY", "rates": rates(("*", "1001", "01-01"))},
        _billed("time", "501", "0.5", "1001"),
    ),
    "not billable": ({"billable": False}, {}, NOTHING),
    "no hours": ({"quantity": D(0)}, {}, NOTHING),
    "a rate of zero": ({}, {"rates": rates(("*", "0", "01-01"))}, NOTHING),
    "less than half a cent": ({"quantity": D("0.0001")}, {"rates": rates(("*", "1", "01-01"))}, NOTHING),
    "no rate": ({"role": "Analyst"}, {}, _held("time", "no_rate")),
    "before the term": (
        {"day": day("2025-12-31")},
        {"rates": rates(("*", "9", "2025-01-01"))},
        _held("time", "outside_term"),
    ),
    "after the term, and no rate": (
        {"day": day("2027-01-01"), "role": "Analyst"},
        {},
        _held("time", "outside_term", "no_rate"),
    ),
    "worth nothing outside the term": (
        {"day": day("2027-01-01")},
        {"rates": rates(("*", "0", "01-01"))},
        NOTHING,
    ),
    "on a fixed fee": ({}, {"billing_type": "fixed_fee"}, NOTHING),
}


@pytest.mark.parametrize(("fields", "agreed", "worth"), TIME.values(), ids=TIME)
def test_time(fields: dict[str, Any], agreed: dict[str, Any], worth: Worth) -> None:
    assert worth_of(TIME_ENTRY, work(**fields), terms(**agreed), None, no_fx) == worth


OVERAGE: dict[str, tuple[str | None, dict[str, Any], dict[str, Any], Worth]] = {
    "hours beyond": ("2.5", {}, {}, _billed("overage", "225.00", "2.5", "90")),
    "none beyond": ("0", {}, {}, NOTHING),
    "no overage rate": ("2.5", {}, {"overage_rate": None}, _held("overage", "no_rate")),
    "no overage rate, outside": (
        "2.5",
        {"day": day("2027-01-01")},
        {"overage_rate": None},
        _held("overage", "outside_term", "no_rate"),
    ),
    "outside the term": ("2.5", {"day": day("2027-01-01")}, {}, _held("overage", "outside_term")),
    "not billable": ("2.5", {"billable": False}, {}, NOTHING),
}


@pytest.mark.parametrize(("overage", "fields", "agreed", "worth"), OVERAGE.values(), ids=OVERAGE)
def test_overage(overage: str, fields: dict[str, Any], agreed: dict[str, Any], worth: Worth) -> None:
    told = terms(**{"billing_type": "retainer", "overage_rate": D(90), **agreed})
    assert worth_of(TIME_ENTRY, work(**fields), told, D(overage), no_fx) == worth


DOLLARS = {"currency": "USD", "quantity": D("33.33")}
EXPENSES: dict[str, tuple[dict[str, Any], dict[str, Any], Worth]] = {
    "passed through": ({"quantity": D("10.5")}, {}, _billed("expense", "10.50")),
    "marked up": (
        {"quantity": D("33.33")},
        {"expense_policy": "markup", "expense_markup": D("0.1")},
        _billed("expense", "36.66"),
    ),
    "marked up by nothing": ({"quantity": D("5")}, {"expense_policy": "markup"}, _billed("expense", "5.00")),
    "a markup counts only where the policy says so": (
        {"quantity": D("5")},
        {"expense_markup": D("0.1")},
        _billed("expense", "5.00"),
    ),
    "in another currency": (DOLLARS, {}, _billed("expense", "66.66")),
    "rounded once, after markup": (
        {**DOLLARS, "quantity": D("0.0247")},
        {"expense_policy": "markup", "expense_markup": D("0.02")},
        _billed("expense", "0.05"),
    ),
    "no billable policy": ({"quantity": D("5")}, {"expense_policy": "non_billable"}, NOTHING),
    "not billable": ({"billable": False}, {}, NOTHING),
    "zero": ({"quantity": D(0)}, {}, NOTHING),
    "outside the term": ({"day": day("2027-01-01")}, {}, _held("expense", "outside_term")),
    **{
        f"on {billing_type}": ({"quantity": D("5")}, {"billing_type": billing_type}, _billed("expense", "5.00"))
        for billing_type in BILLING_TYPES
    },
}


@pytest.mark.parametrize(("fields", "agreed", "worth"), EXPENSES.values(), ids=EXPENSES)
def test_expenses(fields: dict[str, Any], agreed: dict[str, Any], worth: Worth) -> None:
    assert worth_of(EXPENSE, work(**fields), terms(**agreed), None, doubling) == worth


@pytest.mark.parametrize(
    ("on", "reasons"), [("02-03", ("no_fx_rate",)), ("2027-01-01", ("outside_term", "no_fx_rate"))]
)
def test_an_expense_without_exchange_rate_is_held(on: str, reasons: tuple[str, ...]) -> None:
    assert worth_of(EXPENSE, work(on, currency="USD"), terms(), None, no_fx) == _held("expense", *reasons)


@pytest.mark.parametrize(
    "agreed", [{"expense_policy": "non_billable"}, {"expense_policy": "non_billable", "end_on": day("01-31")}]
)
def test_what_is_not_billable_waits_for_no_exchange_rate(agreed: dict[str, Any]) -> None:
    assert worth_of(EXPENSE, work(currency="USD"), terms(**agreed), None, no_fx) == NOTHING


READY = {"quantity": D(500), "ready": True, "accepted": False, "billable": True}
MILESTONES: dict[str, tuple[dict[str, Any], dict[str, Any], Worth]] = {
    "completed": (READY, {}, _billed("milestone", "500.00")),
    "not completed": ({**READY, "ready": False}, {}, NOTHING),
    "completed, acceptance required": (READY, {"requires_acceptance": True}, NOTHING),
    "accepted": ({**READY, "accepted": True}, {"requires_acceptance": True}, _billed("milestone", "500.00")),
    "by percent of the value that day": (
        {**READY, "quantity": None, "percent": D("0.25")},
        {},
        _billed("milestone", "250.00"),
    ),
    "by percent after an amendment": (
        {**READY, "quantity": None, "percent": D("0.25"), "day": day("03-01")},
        {},
        _billed("milestone", "375.00"),
    ),
    "the amount goes before the percent": ({**READY, "percent": D("0.25")}, {}, _billed("milestone", "500.00")),
    "an amount of zero goes before it, too": ({**READY, "quantity": D(0), "percent": D("0.25")}, {}, NOTHING),
    "neither": ({**READY, "quantity": None}, {}, NOTHING),
    "percent of a value under nothing": (
        {**READY, "quantity": None, "percent": D("0.25"), "day": day("02-01")},
        {"value": None, "amendments": (amendment("M0", "02-01", value_delta=D(-100)),)},
        NOTHING,
    ),
    "percent of no value": ({**READY, "quantity": None, "percent": D("0.25")}, {"value": None}, NOTHING),
    "outside the term": ({**READY, "day": day("2027-01-01")}, {}, _held("milestone", "outside_term")),
    "on a retainer": (READY, {"billing_type": "retainer"}, NOTHING),
    "on time and materials": (READY, {"billing_type": T_AND_M}, _billed("milestone", "500.00")),
}


@pytest.mark.parametrize(("fields", "agreed", "worth"), MILESTONES.values(), ids=MILESTONES)
def test_milestones(fields: dict[str, Any], agreed: dict[str, Any], worth: Worth) -> None:
    others = agreed.get("amendments", ())
    plain = {name: value for name, value in agreed.items() if name != "amendments"}
    told = terms(
        amendment("M1", "03-01", value_delta=D(500)),
        *others,
        **{"billing_type": "fixed_fee", "value": D(1000), **plain},
    )
    assert worth_of(MILESTONE, work(**fields), told, None, no_fx) == worth


FEES: dict[str, tuple[dict[str, Any], dict[str, Any], Worth]] = {
    "a fee": ({"quantity": D(5000)}, {}, _billed("retainer", "5000.00")),
    "no fee": ({"quantity": D(0)}, {}, NOTHING),
    "no retainer any more": ({"quantity": D(5000)}, {"billing_type": T_AND_M}, NOTHING),
}


@pytest.mark.parametrize(("fields", "agreed", "worth"), FEES.values(), ids=FEES)
def test_fees(fields: dict[str, Any], agreed: dict[str, Any], worth: Worth) -> None:
    told = terms(**{"billing_type": "retainer", **agreed})
    assert worth_of(RETAINER_PERIOD, work(**fields), told, None, no_fx) == worth


UNKNOWN: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "billable time": (TIME_ENTRY, {}, ("no_contract",)),
    "time that is not billable": (TIME_ENTRY, {"billable": False}, ()),
    "no time": (TIME_ENTRY, {"quantity": D(0)}, ()),
    "a billable expense": (EXPENSE, {}, ("no_contract",)),
    "a completed milestone": (MILESTONE, READY, ("no_contract",)),
    "a completed milestone by percent": (MILESTONE, {**READY, "quantity": None, "percent": D("0.1")}, ("no_contract",)),
    "a milestone of no amount, whatever its percent": (
        MILESTONE,
        {**READY, "quantity": D(0), "percent": D("0.1")},
        (),
    ),
    "a milestone under way": (MILESTONE, {**READY, "ready": False}, ()),
    "a milestone without value": (MILESTONE, {**READY, "quantity": None}, ()),
}


@pytest.mark.parametrize(("kind", "fields", "reasons"), UNKNOWN.values(), ids=UNKNOWN)
def test_without_a_contract_nothing_else_is_asked(kind: str, fields: dict[str, Any], reasons: tuple[str, ...]) -> None:
    worth = worth_of(kind, work(**fields), None, None, no_fx)
    assert (worth.amount, worth.reasons) == (None, reasons)


def test_amounts_are_decimals_of_the_contracts_currency() -> None:
    told = terms(currency="KWD", rates=rates(("*", "0.3333", "01-01")))
    worth = worth_of(TIME_ENTRY, work(quantity="1"), told, None, no_fx)
    assert isinstance(worth.amount, Decimal)
    assert str(worth.amount) == "0.333"
