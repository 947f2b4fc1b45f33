"""Margin updates of file runs: what a correction, a move or another currency leaves, and how often it is told."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.support.feed import Feed, Json, firm
from tests.support.streams import file_run

_PSA = "psa.public."


def _updates(derived: list[Json], project: str = "P1") -> list[Json]:
    return [r["value"] for r in derived if r["topic"] == "margin.updates" and r["key"] == project]


def _open(derived: list[Json], kind: str) -> dict[str, list[str]]:
    last = {r["key"]: r["value"] for r in derived if r["topic"] == "exceptions" and r["value"]["kind"] == kind}
    return {key: value["reasons"] for key, value in last.items() if value["state"] == "open"}


def _worker(feed: Feed, *rates: tuple[str, str]) -> None:
    listed = [{"Rate": rate, "Currency": "EUR", "EffectiveFrom": since} for rate, since in rates]
    feed.put("hr.Worker", EmployeeId="E1", CostRates=listed)


def _planned() -> Feed:
    feed = firm()
    feed.assignment("S1")
    feed.entry("T1")
    return feed


def _nothing(_: Feed) -> None:
    """The firm stays as it is."""


def _moved_within_the_plan(feed: Feed) -> None:
    feed.entry("T1", work_date="2026-02-10")  # a Tuesday: 3 days of its week are left, then two weeks


def _moved_back(feed: Feed) -> None:
    feed.entry("T1", work_date="2026-02-10")
    feed.entry("T1", work_date="2026-02-03")


def _latest_deleted(feed: Feed) -> None:
    feed.entry("T2", work_date="2026-02-20", hours="0")
    feed.delete(_PSA + "time_entries", "T2")


def _work_without_hours(feed: Feed) -> None:
    feed.entry("T2", work_date="2026-02-20", hours="0")


LAST_WORKED: dict[str, tuple[Callable[[Feed], None], str, str, str]] = {
    # what happens after 8 hours on 3 February, then: remaining hours, forecast cost, forecast revenue
    "nothing": (_nothing, "144", "9120", "15200"),
    "moved later, all sums the same": (_moved_within_the_plan, "104", "6720", "11200"),
    "moved there and back": (_moved_back, "144", "9120", "15200"),
    "the latest is deleted": (_latest_deleted, "144", "9120", "15200"),
    "no hours, but approved": (_work_without_hours, "40", "2880", "4800"),
}


@pytest.mark.parametrize(("happens", "hours", "cost", "revenue"), LAST_WORKED.values(), ids=LAST_WORKED)
def test_what_remains_begins_after_the_last_work(
    happens: Callable[[Feed], None], hours: str, cost: str, revenue: str
) -> None:
    feed = _planned()
    happens(feed)
    last = _updates(file_run(feed.records))[-1]
    told = (last["remaining_hours"], last["forecast_cost"], last["forecast_revenue"])
    assert tuple(map(Decimal, told)) == (Decimal(hours), Decimal(cost), Decimal(revenue))


def _name_and_region(feed: Feed) -> None:
    feed.project(region="APAC", name="Another name")


def _milestone_moves(feed: Feed) -> None:
    feed.milestone("M1", project_id="P2")


def _entry_moves(feed: Feed) -> None:
    feed.entry("T1", project_id="P2")


def _fixed_fee() -> Feed:
    """A fee of 9000 over three projects, of which P2 and P3 have milestones of 300 and P1 one of 100."""
    feed = firm(BillingType="Fixed Fee", Value="9000")
    for project in ("P2", "P3"):
        feed.project(id=project)
    feed.milestone("M0", amount="100")
    feed.milestone("M1", amount="300", project_id="P3")
    feed.milestone("M2", amount="300", project_id="P2")
    return feed


def _capped() -> Feed:
    feed = firm(BillingType="T&M NTE", Cap="10000")
    feed.project(id="P2")
    feed.entry("T1")
    return feed


TOLD: dict[str, tuple[Callable[[], Feed], Callable[[Feed], None], dict[str, list[Any]]]] = {
    # the firm, one more record, and what it tells: forecast revenue of each update
    "a region and a name are in no field": (_planned, _name_and_region, {"P1": []}),
    "a changed key is one record": (_capped, _entry_moves, {"P1": ["0"], "P2": ["800"]}),
    "of what is shared as well": (_fixed_fee, _milestone_moves, {"P1": [], "P2": ["7714.29"], "P3": ["0"]}),
}


@pytest.mark.parametrize(("begins", "happens", "told"), TOLD.values(), ids=TOLD)
def test_a_record_tells_each_margin_it_changes_once(
    begins: Callable[[], Feed], happens: Callable[[Feed], None], told: dict[str, list[str]]
) -> None:
    feed = begins()
    before = file_run(feed.records)
    happens(feed)
    after = file_run(feed.records)
    for project, revenues in told.items():
        known, now = _updates(before, project), _updates(after, project)
        assert now[: len(known)] == known
        assert [Decimal(update["forecast_revenue"]) for update in now[len(known) :]] == [*map(Decimal, revenues)]
        assert [update["sequence"] for update in now] == [*range(1, len(now) + 1)]


def test_equal_dates_of_cost_rates_listed_the_other_way_round_cost_what_was_listed_last() -> None:
    feed = firm()
    feed.entry("T1")
    _worker(feed, ("60", "2026-01-01"), ("70", "2026-01-01"))
    assert _updates(file_run(feed.records))[-1]["labor_cost"] == "560.00"
    _worker(feed, ("70", "2026-01-01"), ("60", "2026-01-01"))
    assert _updates(file_run(feed.records))[-1]["labor_cost"] == "480.00"


def test_what_a_cap_leaves_of_an_item_is_turned_into_project_currency_before_it_is_rounded() -> None:
    feed = firm(BillingType="T&M NTE", Cap="4.99", Rates=[{"Role": "*", "Rate": "10", "EffectiveFrom": "2026-01-01"}])
    feed.project(currency="USD")
    feed.put("erp.FxRate", FromCurrency="EUR", ToCurrency="USD", Date="2026-02-02", Rate="0.5")
    feed.entry("T1", hours="1")
    last = _updates(file_run(feed.records))[-1]
    assert (last["revenue"], last["billed"], last["held"]) == ("2.50", "2.50", "2.51")


@pytest.mark.parametrize(("fee", "currency", "forecast"), [("100.005", "EUR", "300.03"), ("1000.5", "JPY", "3003")])
def test_a_retainer_forecasts_the_fees_that_it_will_bill(fee: str, currency: str, forecast: str) -> None:
    feed = firm(BillingType="Retainer", PeriodicFee=fee, CurrencyIsoCode=currency, EndDate="2026-03-31")
    feed.project(currency=currency)
    last = _updates(file_run(feed.records, until="2026-04-01T00:00:00Z"))[-1]
    assert (last["revenue"], last["forecast_revenue"]) == (forecast, forecast)


ENDLESS: dict[str, tuple[str, list[str]]] = {
    "the month before": ("2026-02-28T23:59:59Z", ["0", "0"]),
    "its first month has begun": ("2026-03-01T00:00:00Z", ["0", "1000"]),
    "its first fee is due": ("2026-03-15T00:00:00Z", ["1000", "1000"]),
    "its second": ("2026-04-01T00:00:00Z", ["2000", "2000"]),
}


@pytest.mark.parametrize(("until", "told"), ENDLESS.values(), ids=ENDLESS)
def test_a_retainer_without_end_forecasts_to_the_month_of_the_clock(until: str, told: list[str]) -> None:
    feed = firm(BillingType="Retainer", PeriodicFee="1000", StartDate="2026-03-15", EndDate=None)
    last = _updates(file_run(feed.records, until))[-1]
    assert [Decimal(last[name]) for name in ("revenue", "forecast_revenue")] == [*map(Decimal, told)]


def test_a_cap_lowered_under_nothing_leaves_nothing_to_earn() -> None:
    feed = firm(BillingType="T&M NTE", Cap="1000")
    feed.amendment("AM1", CapDelta="-2000")
    assert _updates(file_run(feed.records))[-1]["revenue"] == "0"
    feed.entry("T1")
    last = _updates(file_run(feed.records))[-1]
    assert [Decimal(last[name]) for name in ("revenue", "held", "billed")] == [0, 800, 0]


def _to_another_contract(feed: Feed) -> None:
    feed.contract(ContractNumber="C2")
    feed.project(contract_number="C2")


CURRENCIES: dict[str, tuple[Callable[[Feed], Any], dict[str, list[str]]]] = {
    "in another currency": (_nothing, {"validation_failed:C1:project:P1": ["currency_differs"]}),
    "then in the same": (lambda feed: feed.project(currency="EUR"), {}),
    "then by the hour": (lambda feed: feed.contract(BillingType="T&M"), {}),
    "then on another contract": (_to_another_contract, {}),
    "then on none": (lambda feed: feed.project(contract_number=None), {}),
}


@pytest.mark.parametrize(("happens", "failed"), CURRENCIES.values(), ids=CURRENCIES)
def test_a_fixed_fee_is_not_split_over_currencies(happens: Callable[[Feed], Any], failed: dict[str, list[str]]) -> None:
    feed = firm(BillingType="Fixed Fee", Value="9000")
    feed.project(currency="USD")
    happens(feed)
    assert _open(file_run(feed.records), "validation_failed") == failed
