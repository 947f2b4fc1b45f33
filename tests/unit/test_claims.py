"""Claims for alerts, each kind at its threshold; what claims of several say together."""

from decimal import Decimal
from typing import Any

import pytest

from state import MemoryStore, State
from streams.domain.calendar import HOUR_MS
from streams.domain.fact import NO_CAUSE, Cause, Claim, ProjectView
from streams.domain.ledger import EXPENSE, MILESTONE, Item, Reconciled, Worth
from streams.domain.policy import Policy
from streams.domain.terms import Terms
from streams.policy import load_policy
from streams.rules import claims
from streams.rules.claims import AGAINST, FOR, NONE, Party
from streams.step import Record, Task
from streams.steps.drift import drift_step
from streams.topics import ALERTS, DRIFT_CLAIMS
from tests.support.rows import D, amendment, at, erp_project, terms, view, work

POLICY = load_policy()
PARTY = Party("C1", "P1", "C1", "A1", "EMEA")
CAPPED = terms(billing_type="capped_time_and_materials", cap=D(1000))


def _said(told: Claim) -> tuple[str, Decimal, Decimal, str]:
    return told.stance, told.measure, told.threshold, told.severity


def _policy(kind: str, **overrides: Any) -> Policy:
    alert = POLICY.alert(kind).model_copy(update=overrides)
    return POLICY.model_copy(update={"alerts": POLICY.alerts.model_copy(update={kind: alert})})


# -- milestone_unbilled

DONE = work(quantity="1000", ready_at=at("02-10 10:00"), accepted_at=at("02-20 10:00"))
MILESTONES: dict[str, tuple[Item, Terms | None, str, int]] = {
    "a day after completion": (
        Item(MILESTONE, "M1", DONE, worth=Worth("milestone", D(1000))), terms(), FOR, at("02-11 10:00"),
    ),
    "a day after acceptance": (
        Item(MILESTONE, "M1", DONE, worth=Worth("milestone", D(1000))), terms(requires_acceptance=True), FOR,
        at("02-21 10:00"),
    ),
    "held by a gate all the same": (
        Item(MILESTONE, "M1", DONE, worth=Worth("milestone", D(1000)), hold=("project_hold",)), terms(), FOR,
        at("02-11 10:00"),
    ),
    "without value": (Item(MILESTONE, "M1", DONE, worth=Worth("milestone", None, ("outside_term",))), terms(), NONE, 0),
    "not billable": (Item(MILESTONE, "M1", DONE), terms(), NONE, 0),
    "without a contract": (Item(MILESTONE, "M1", DONE, worth=Worth("", None, ("no_contract",))), None, NONE, 0),
    "gone": (Item(MILESTONE, "M1"), terms(), NONE, 0),
}  # fmt: skip


@pytest.mark.parametrize(("item", "told", "stance", "due_at"), MILESTONES.values(), ids=MILESTONES)
def test_milestone_unbilled(item: Item, told: Terms | None, stance: str, due_at: int) -> None:
    found = claims.milestone_unbilled(item, told, PARTY, POLICY, NO_CAUSE)
    assert (found.alert_kind, found.entity_id, found.stance, found.due_at) == (
        "milestone_unbilled",
        "M1",
        stance,
        due_at,
    )
    assert found.measure == (D(1000) if stance == FOR else D(0))


# -- expense_late


@pytest.mark.parametrize(
    ("row", "stance", "due_at"),
    [
        (work(quantity="12.50", ready_at=at("02-05 08:00")), FOR, at("02-06 08:00")),
        (work(quantity="12.50", billable=False, ready_at=at("02-05 08:00")), FOR, at("02-06 08:00")),
        (work(quantity="12.50"), NONE, 0),  # nobody says when it was approved
        (None, NONE, 0),
    ],
)
def test_expense_late(row: Any, stance: str, due_at: int) -> None:
    found = claims.expense_late(Item(EXPENSE, "X1", row), PARTY, POLICY, NO_CAUSE)
    assert (found.stance, found.due_at) == (stance, due_at)
    assert found.measure == (D("12.50") if stance == FOR else D(0))


# -- reconciliation_gap


@pytest.mark.parametrize(
    ("triggered", "invoiced", "stance", "gap"),
    [("800", "800", NONE, "0"), ("800", "700", FOR, "100"), ("800", "900", FOR, "-100"), ("0", "0.01", FOR, "-0.01")],
)
def test_reconciliation_gap(triggered: str, invoiced: str, stance: str, gap: str) -> None:
    sums = Reconciled(D(triggered), D(invoiced), at("02-10 10:00"))
    found = claims.reconciliation_gap("2026-02", sums, False, terms(), PARTY, POLICY, NO_CAUSE)
    assert (found.entity_id, found.stance, found.measure) == ("P1:2026-02", stance, D(gap))
    assert found.due_at == (at("02-11 10:00") if stance == FOR else 0)


@pytest.mark.parametrize(("newest_at", "due_at"), [("02-10 10:00", "02-11 10:00"), (None, None)])
def test_a_ledger_that_shares_a_period_tells_how_new_its_triggers_are(
    newest_at: str | None, due_at: str | None
) -> None:
    sums = Reconciled(D(0), D(0), at(newest_at) if newest_at else 0)
    found = claims.reconciliation_gap("2026-02", sums, True, terms(), PARTY, POLICY, NO_CAUSE)
    assert (found.stance, found.measure, found.due_at) == ((FOR, D(0), at(due_at)) if due_at else (NONE, D(0), 0))


# -- cap_burn


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        ("799.99", (NONE, D(0), D(0), "")),
        ("800", (FOR, D("0.8"), D("0.8"), "warning")),
        ("999.99", (FOR, D("0.99999"), D("0.8"), "warning")),
        ("1000", (FOR, D(1), D(1), "critical")),
        ("1200", (FOR, D("1.2"), D(1), "critical")),
        ("0", (NONE, D(0), D(0), "")),
    ],
)
def test_cap_burn(drawn: str, said: tuple[str, Decimal, Decimal, str]) -> None:
    assert _said(claims.cap_burn(D(drawn), CAPPED, PARTY, POLICY, NO_CAUSE)) == said


@pytest.mark.parametrize("told", [None, terms(), terms(billing_type="capped_time_and_materials", cap=D(0))])
def test_without_a_cap_nothing_burns(told: Terms | None) -> None:
    assert claims.cap_burn(D(800), told, PARTY, POLICY, NO_CAUSE).stance == NONE


# -- amendment_unpropagated


@pytest.mark.parametrize(
    ("place", "versions", "stance", "taken_over"),
    [
        (1, [0], FOR, 0),
        (1, [1], NONE, 0),
        (2, [1], FOR, 1),
        (2, [3], NONE, 0),
        (2, [2, 0, 1], FOR, 0),  # any project behind is behind
        (1, [], NONE, 0),  # the ERP knows no project yet
    ],
)
def test_amendment_unpropagated(place: int, versions: list[int], stance: str, taken_over: int) -> None:
    row = amendment("M1", "03-01", changed_at=at("03-02 09:00"))
    found = claims.amendment_unpropagated(row, place, versions, PARTY, POLICY, NO_CAUSE)
    assert (found.entity_id, found.stance) == ("M1", stance)
    if stance == FOR:
        assert (found.due_at, found.measure, found.threshold) == (at("03-02 13:00"), D(place), D(taken_over))


# -- status_mismatch

STAGES: dict[str, tuple[ProjectView | None, dict[str, Any] | None, str, int, int]] = {
    "all three agree": (view(erp_project()), {}, NONE, 0, 0),
    "the PSA alone": (view(), None, NONE, 0, 0),
    "two agree": (view(), {}, NONE, 0, 0),
    "PSA and CRM differ": (view(stage="closed"), {}, FOR, 2, 0),
    "PSA and ERP differ, no contract": (view(erp_project(stage="planned")), None, FOR, 2, 0),
    "all three differ": (view(erp_project(stage="planned"), stage="closed"), {}, FOR, 3, 0),
    "the last of the changes counts": (
        view(erp_project(stage="planned", changed_at=at("03-03 00:00")), changed_at=at("03-01 00:00")),
        {"changed_at": at("03-02 00:00")}, FOR, 2, at("03-03 00:00"),
    ),
    "no project": (None, {}, NONE, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "agreed", "stance", "stages", "last"), STAGES.values(), ids=STAGES)
def test_status_mismatch(
    seen: ProjectView | None, agreed: dict[str, Any] | None, stance: str, stages: int, last: int
) -> None:
    told = None if agreed is None else terms(**agreed)
    found = claims.status_mismatch(seen, told, PARTY, POLICY, NO_CAUSE)
    assert (found.entity_id, found.stance, found.measure) == ("P1", stance, D(stages))
    assert found.due_at == (last + 2 * HOUR_MS if stance == FOR else 0)


# -- revenue_drift


@pytest.mark.parametrize(
    ("recognized", "earned", "measure"),
    [
        ("10000", "10000", None),
        ("9000", "10000", None),  # 1,000 is not more than 1,000
        ("8999.99", "10000", "1000.01"),
        ("11000.01", "10000", "1000.01"),
        ("95000", "100000", None),  # 5 % is not more than 5 %
        ("94999.99", "100000", "5000.01"),
        ("1000.01", "0", "1000.01"),
        (None, "10000", None),  # no schedule
    ],
)
def test_revenue_drift(recognized: str | None, earned: str, measure: str | None) -> None:
    figures = None if recognized is None else D(recognized)
    found = claims.revenue_drift(figures, D(earned), terms(), PARTY, POLICY, NO_CAUSE)
    assert (found.stance, found.measure) == ((NONE, D(0)) if measure is None else (FOR, D(measure)))


# -- thresholds of a client's or a region's own


@pytest.mark.parametrize(
    ("overrides", "stance"),
    [
        ({}, NONE),
        ({"regions": {"EMEA": {"warning": D("0.5")}}}, FOR),
        ({"clients": {"A1": {"warning": D("0.5")}}}, FOR),
        ({"clients": {"A1": {"warning": D("0.9")}}, "regions": {"EMEA": {"warning": D("0.5")}}}, NONE),
        ({"clients": {"A2": {"warning": D("0.5")}}, "regions": {"AMER": {"warning": D("0.5")}}}, NONE),
    ],
)
def test_thresholds_may_be_a_clients_or_a_regions_own(overrides: dict[str, Any], stance: str) -> None:
    policy = _policy("cap_burn", **overrides)
    assert claims.cap_burn(D(600), CAPPED, PARTY, policy, NO_CAUSE).stance == stance


def test_delays_may_be_a_clients_own() -> None:
    policy = _policy("expense_late", clients={"A1": {"after_hours": D("0.5")}})
    item = Item(EXPENSE, "X1", work(ready_at=at("02-05 08:00")))
    assert claims.expense_late(item, PARTY, policy, NO_CAUSE).due_at == at("02-05 08:30")


# -- what several claims say together


def _claim(claimant: str, stance: str, measure: str = "1", position: int = 1, due_at: int = 0) -> Claim:
    party = Party(claimant, None, None, None, None)
    cause = Cause("t", 0, 0, position, 0, 0)
    return claims.claim("expense_late", "X1", stance, party, due_at, (D(measure), D(0)), cause, "warning")


def _gap(claimant: str, measure: str, due_at: int) -> Claim:
    stance = FOR if D(measure) else NONE
    return _claim(claimant, stance, measure, due_at=due_at)._replace(alert_kind="reconciliation_gap")


class Alerts:
    """The drift step at work on one partition; `states` are what it said, as (state, measure)."""

    def __init__(self) -> None:
        self._task = Task(drift_step(POLICY), 0, 1, State(MemoryStore()))
        self.states: list[tuple[str, Decimal]] = []

    def hear(self, *told: Claim, now: int = 0) -> list[tuple[str, Decimal]]:
        self._task.fire(now)
        self._task.receive([Record(DRIFT_CLAIMS, "k", one, now) for one in told], now)
        self._task.before_commit(now)
        said = [output.value for output in self._task.take_outputs() if output.topic == ALERTS]
        self.states += [(alert["state"], alert["measure"]) for alert in said]
        return self.states


def test_one_against_is_enough() -> None:
    alerts = Alerts()
    assert alerts.hear(_claim("b", AGAINST), _claim("a", FOR)) == []
    assert alerts.hear(_claim("b", NONE)) == [("open", D(1))]
    assert alerts.hear(_claim("c", AGAINST)) == [("open", D(1)), ("resolved", D(1))]


def test_whatever_comes_first_the_outcome_is_the_same() -> None:
    alerts = Alerts()
    assert alerts.hear(_claim("a", FOR), _claim("b", AGAINST)) == []


def test_of_several_for_it_the_newest_counts() -> None:
    told = (_claim("a", FOR, "1", position=3), _claim("b", FOR, "2", position=9), _claim("c", FOR, "5", position=2))
    assert Alerts().hear(*told) == [("open", D(2))]


def test_an_alert_waits_for_its_deadline_and_says_when_it_opened() -> None:
    alerts = Alerts()
    assert alerts.hear(_claim("a", FOR, due_at=100)) == []
    assert alerts.hear(now=99) == []
    assert alerts.hear(now=100) == [("open", D(1))]
    assert alerts.hear(now=200) == [("open", D(1))]


def test_a_claim_taken_back_before_its_deadline_is_never_told() -> None:
    alerts = Alerts()
    alerts.hear(_claim("a", FOR, due_at=100))
    alerts.hear(_claim("a", NONE), now=50)
    assert alerts.hear(now=200) == []


def test_an_alert_is_updated_only_where_it_says_something_new() -> None:
    alerts = Alerts()
    alerts.hear(_claim("a", FOR, "1"))
    alerts.hear(_claim("a", FOR, "1", position=7))
    assert alerts.hear(_claim("a", FOR, "2", position=8)) == [("open", D(1)), ("updated", D(2))]


def test_gaps_of_several_ledgers_add_up() -> None:
    alerts = Alerts()
    assert alerts.hear(_gap("C1", "700", 10), _gap("C2", "-300", 20), now=15) == []
    assert alerts.hear(now=20) == [("open", D(400))]
    assert alerts.hear(_gap("C2", "-700", 20), now=30) == [("open", D(400)), ("resolved", D(400))]
