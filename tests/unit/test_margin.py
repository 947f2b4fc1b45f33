"""Margin: earned and forecast revenue by billing type, and how value, fees and caps are shared."""

from typing import Any

import pytest

from streams.domain.ledger import Outlook, ProjectState, Totals
from streams.domain.money import divide
from streams.domain.terms import Terms
from streams.rules.margin import Sibling, drawn, earned, figures_of, forecast, pool_of, shares
from tests.support.rows import BILLING_TYPES, D, amendment, terms, view

NOT_PLANNED = Outlook(None, D(0), D(0), D(0))


def _sibling(
    identity: str = "P1",
    totals: dict[str, str] | None = None,
    remaining: str | None = None,
    extra: tuple[str, str, str] = ("0", "0", "0"),
    **fields: Any,
) -> Sibling:
    """A project; `extra` is what its assignments add: cost, revenue, and revenue in contract currency."""
    numbers: dict[str, Any] = {name: D(number) for name, number in (totals or {}).items()}
    counted = Totals(**numbers)
    outlook = Outlook(None if remaining is None else D(remaining), *(D(number) for number in extra))
    return Sibling(identity, ProjectState(view(id=identity, **fields), counted), outlook)


def _earned(siblings: list[Sibling], told: Terms, fees: tuple[str, str] = ("0", "0")) -> list[str]:
    pool = pool_of(siblings, told, D(fees[0]), D(fees[1]))
    return [str(earned(sibling, told, pool, "EUR")) for sibling in siblings]


def _forecast(siblings: list[Sibling], told: Terms, fees: tuple[str, str] = ("0", "0")) -> list[str]:
    pool = pool_of(siblings, told, D(fees[0]), D(fees[1]))
    return [str(forecast(s, told, pool, earned(s, told, pool, "EUR"), "EUR")) for s in siblings]


FIXED = terms(amendment("M1", "12-01", value_delta=D(200)), billing_type="fixed_fee", value=D(1000))
RETAINER = terms(billing_type="retainer", periodic_fee=D(100))
CAPPED = terms(billing_type="capped_time_and_materials", cap=D(1000))
PLAIN = terms()


def test_time_and_materials_earns_what_is_billable() -> None:
    project = _sibling(totals={"drawn": "800", "delivered": "500"}, extra=("60", "300", "300"))
    assert _earned([project], PLAIN) == ["1300"]
    assert _forecast([project], PLAIN) == ["1600"]


SPLITS: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "by milestones": ([{"totals": {"weight": "300"}}, {"totals": {"weight": "100"}}], ["900.00", "300.00"]),
    "milestones go before budgets": (
        [{"totals": {"weight": "300"}, "budget_hours": D(1)}, {"budget_hours": D(99)}],
        ["1200.00", "0.00"],
    ),
    "by budget hours": ([{"budget_hours": D(30)}, {"budget_hours": D(10)}], ["900.00", "300.00"]),
    "one without budget gets nothing": ([{"budget_hours": D(30)}, {}], ["1200.00", "0.00"]),
    "equally": ([{}, {}, {}], ["400.00", "400.00", "400.00"]),
    "rounded once at the end": ([{"budget_hours": D(1)}, {"budget_hours": D(2)}], ["400.00", "800.00"]),
    "whatever their stage": ([{"stage": "cancelled"}, {"stage": "closed"}], ["600.00", "600.00"]),
}


@pytest.mark.parametrize(("projects", "shared"), SPLITS.values(), ids=SPLITS)
def test_a_fixed_fee_is_split(projects: list[dict[str, Any]], shared: list[str]) -> None:
    siblings = [_sibling(f"P{number}", **fields) for number, fields in enumerate(projects, 1)]
    assert _forecast(siblings, FIXED) == shared


COMPLETE: dict[str, tuple[dict[str, Any], str]] = {
    "a quarter": ({"totals": {"approved_hours": "50"}, "remaining": "150"}, "300.00"),
    "nothing yet": ({"remaining": "150"}, "0.00"),
    "all": ({"totals": {"approved_hours": "50"}, "remaining": "0"}, "1200.00"),
    "closed": ({"stage": "closed", "remaining": "0"}, "1200.00"),
    "by milestones": ({"totals": {"weight": "400", "done": "100"}}, "300.00"),
    "a third, rounded": ({"totals": {"approved_hours": "1"}, "remaining": "2"}, "400.00"),
    "with expenses": ({"totals": {"approved_hours": "50", "expensed": "10.50"}, "remaining": "150"}, "310.50"),
    "milestones earn nothing beside the share": (
        {"totals": {"approved_hours": "50", "delivered": "999"}, "remaining": "150"},
        "300.00",
    ),
}


@pytest.mark.parametrize(("fields", "revenue"), COMPLETE.values(), ids=COMPLETE)
def test_a_fixed_fee_is_earned_by_percent_complete(fields: dict[str, Any], revenue: str) -> None:
    assert _earned([_sibling(**fields)], FIXED) == [revenue]


def test_a_fixed_fee_forecasts_its_whole_share_and_expenses() -> None:
    assert _forecast([_sibling(totals={"expensed": "10"}, extra=("5", "500", "500"))], FIXED) == ["1210.00"]


def test_a_retainer_earns_its_share_of_fees_overage_and_expenses() -> None:
    projects = [
        _sibling("P1", totals={"overage": "30", "expensed": "7", "drawn": "99"}, budget_hours=D(2)),
        _sibling("P2", budget_hours=D(1)),
    ]
    assert _earned(projects, RETAINER, ("300", "1200")) == ["237.00", "100.00"]
    assert _forecast(projects, RETAINER, ("300", "1200")) == ["837.00", "400.00"]


@pytest.mark.parametrize(("worked", "revenue"), [("0", "0"), ("400", "0.00")])
def test_a_cap_under_nothing_earns_nothing(worked: str, revenue: str) -> None:
    told = terms(amendment("M1", "01-01", cap_delta=D(-1500)), billing_type="capped_time_and_materials", cap=D(1000))
    assert _earned([_sibling("P1", totals={"drawn": worked, "drawn_home": worked})], told) == [revenue]


CAPS: dict[str, tuple[list[dict[str, Any]], list[str], list[str]]] = {
    # projects, earned, forecast
    "under the cap": (
        [{"totals": {"drawn": "400", "drawn_home": "400"}, "remaining": "2", "extra": ("0", "200", "200")}],
        ["400"],
        ["600"],
    ),
    "the forecast is cut": (
        [{"totals": {"drawn": "400", "drawn_home": "400"}, "remaining": "9", "extra": ("0", "900", "900")}],
        ["400"],
        ["1000.00"],
    ),
    "full": (
        [{"totals": {"drawn": "1000", "drawn_home": "1000"}, "remaining": "9", "extra": ("0", "900", "900")}],
        ["1000"],
        ["1000.00"],
    ),
    "a lowered cap is split by what each drew": (
        [{"totals": {"drawn": "900", "drawn_home": "900"}}, {"totals": {"drawn": "300", "drawn_home": "300"}}],
        ["750.00", "250.00"],
        ["750.00", "250.00"],
    ),
    "a project without plans in the room of one that has": (
        [
            {"totals": {"drawn": "900", "drawn_home": "900"}, "remaining": "30", "extra": ("0", "3000", "3000")},
            {"remaining": "10"},
        ],
        ["900", "0"],
        ["975.00", "25.00"],
    ),
    "milestones stand outside": (
        [{"totals": {"drawn": "1500", "drawn_home": "1500", "delivered": "50"}}],
        ["1050.00"],
        ["1050.00"],
    ),
    "the rest goes by remaining hours": (
        [
            {"totals": {"drawn": "600", "drawn_home": "600"}, "remaining": "30", "extra": ("0", "3000", "3000")},
            {"remaining": "10", "extra": ("0", "500", "500")},
        ],
        ["600", "0"],
        ["900.00", "100.00"],
    ),
}


@pytest.mark.parametrize(("projects", "revenue", "at_completion"), CAPS.values(), ids=CAPS)
def test_a_cap_is_shared(projects: list[dict[str, Any]], revenue: list[str], at_completion: list[str]) -> None:
    siblings = [_sibling(f"P{number}", **fields) for number, fields in enumerate(projects, 1)]
    assert _earned(siblings, CAPPED) == revenue
    assert _forecast(siblings, CAPPED) == at_completion


def test_a_cap_in_another_currency_is_compared_at_home() -> None:
    project = _sibling(totals={"drawn": "2400", "drawn_home": "1200"}, currency="USD")
    pool = pool_of([project], CAPPED, D(0), D(0))
    assert drawn(project.state.totals, CAPPED, pool, "USD") == D(2000)


def test_room_of_a_cap_is_turned_into_project_currency_as_the_plans_are() -> None:
    planned = _sibling(remaining="30", extra=("0", "6000", "3000"), currency="USD")
    unplanned = _sibling("P2", remaining="10", currency="USD")
    pool = pool_of([planned, unplanned], CAPPED, D(0), D(0))
    assert [str(forecast(s, CAPPED, pool, D(0), "USD")) for s in (planned, unplanned)] == ["1500.00", "0.00"]


@pytest.mark.parametrize(
    ("told", "shared"),
    [
        (None, False),
        (PLAIN, False),
        (FIXED, True),
        (RETAINER, True),
        (CAPPED, True),
        (terms(billing_type="capped_time_and_materials"), False),
    ],
)
def test_what_projects_share(told: Terms | None, shared: bool) -> None:
    assert shares(told) is shared


@pytest.mark.parametrize("billing_type", [None, *BILLING_TYPES])
def test_a_project_without_anything_has_zeros_and_no_percentages(billing_type: str | None) -> None:
    told = None if billing_type is None else terms(billing_type=billing_type)
    project = _sibling()
    figures = figures_of(project, told, pool_of([project], told, D(0), D(0)), "A1", "C1")
    assert (figures.revenue, figures.margin, figures.forecast_revenue, figures.percent_complete) == (D(0),) * 4
    assert (figures.margin_pct, figures.forecast_margin_pct) == (None, None)


def test_figures_of_a_project() -> None:
    project = _sibling(
        totals={
            "approved_hours": "10", "billable_hours": "8", "labor_cost": "600", "expense_cost": "50", "drawn": "900",
            "billed": "800", "held": "100", "uncosted_hours": "1", "uncosted_amount": "5",
        },
        remaining="30", extra=("1800", "3000", "3000"), baseline_margin_pct=D("0.3"),
    )  # fmt: skip
    figures = figures_of(project, PLAIN, pool_of([project], PLAIN, D(0), D(0)), "A1", "C1")
    assert (figures.revenue, figures.margin, figures.margin_pct) == (D(900), D(250), divide(D(250), D(900)))
    assert (figures.forecast_cost, figures.forecast_revenue) == (D(2450), D(3900))
    assert figures.forecast_margin_pct is not None
    assert round(figures.forecast_margin_pct, 6) == D("0.371795")
    assert (figures.percent_complete, figures.remaining_hours) == (D("0.25"), D(30))
    assert (figures.billed, figures.held, figures.uncosted_hours, figures.uncosted_amount) == (
        D(800),
        D(100),
        D(1),
        D(5),
    )
    assert (figures.baseline_margin_pct, figures.client_id, figures.region) == (D("0.3"), "A1", "EMEA")


def test_a_loss_has_a_negative_margin() -> None:
    project = _sibling(totals={"labor_cost": "150", "drawn": "100"})
    figures = figures_of(project, PLAIN, pool_of([project], PLAIN, D(0), D(0)), "A1", "C1")
    assert (figures.margin, figures.margin_pct) == (D(-50), D("-0.5"))
