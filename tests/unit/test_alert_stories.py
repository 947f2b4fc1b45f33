"""Alerts over the whole topology: what each is held against does not hang on the order in which rows arrive."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.policy import SHIPPED, load_policy
from streams.replay import run
from streams.simulator import Simulator
from streams.topics import ALERTS, ANALYTICS, AUDIT, EXCEPTIONS, MARGINS
from streams.topology import Rulebook, topology
from tests.support.feed import Feed, Json, firm
from tests.support.streams import Collected, file_run, instant_of, reader, record_of, rulebook

APPROVED = "2026-02-05T08:00:00Z"


def _alerts(records: list[dict[str, Any]], *fields: str) -> list[tuple[Any, ...]]:
    return [tuple(r["value"][name] for name in fields) for r in records if r["topic"] == ALERTS]


def _opened(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return _alerts(records, "alert_id", "state", "opened_at")


# -- thresholds of clients and regions


def _with_overrides(folder: Path) -> Rulebook:
    content = yaml.safe_load(SHIPPED.read_text())
    content["alerts"]["expense_late"]["regions"] = {"APAC": {"after_hours": 48}}
    content["alerts"]["expense_late"]["clients"] = {"A2": {"after_hours": 72}}
    content["alerts"]["milestone_unbilled"]["clients"] = {"A2": {"after_hours": 72}}
    content["alerts"]["reconciliation_gap"]["limits"]["after_hours"] = 10_000
    (folder / "policy.yaml").write_text(yaml.safe_dump(content))
    shipped = rulebook()
    return Rulebook(shipped.mappings, shipped.ownership, load_policy(folder / "policy.yaml"))


def _region_known_late() -> Feed:
    feed = firm().at(APPROVED)
    feed.expense("X1", approved_at=APPROVED)
    feed.project(region="APAC")
    return feed


def _account_changed_late() -> Feed:
    feed = firm().at(APPROVED)
    feed.expense("X1", approved_at=APPROVED)
    feed.milestone("M1", amount="500", status="Done", completed_at=APPROVED)
    feed.contract(AccountId="A2")
    return feed


def _client_known_late() -> Feed:
    feed = Feed(APPROVED)
    feed.project(contract_number=None)
    feed.expense("X1", approved_at=APPROVED)
    feed.put("psa.public.clients", id="CL1", crm_account_id="A2")
    return feed


def _client_changed_late() -> Feed:
    feed = firm().at(APPROVED)
    feed.put("psa.public.clients", id="CL2", crm_account_id="A2")
    feed.project(contract_number=None)
    feed.expense("X1", approved_at=APPROVED)
    feed.project(client_id="CL2")
    return feed


@pytest.mark.parametrize(
    ("feed", "wanted"),
    [
        (_region_known_late(), [("expense_late:X1", "open", "2026-02-07T08:00:00Z", "A1")]),
        (
            _account_changed_late(),
            [
                ("expense_late:X1", "open", "2026-02-08T08:00:00Z", "A2"),
                ("milestone_unbilled:M1", "open", "2026-02-08T08:00:00Z", "A2"),
            ],
        ),
        (_client_known_late(), [("expense_late:X1", "open", "2026-02-08T08:00:00Z", "A2")]),
        (_client_changed_late(), [("expense_late:X1", "open", "2026-02-08T08:00:00Z", "A2")]),
    ],
)
def test_a_deadline_is_that_of_the_client_and_region_known_last(
    tmp_path: Path, feed: Feed, wanted: list[tuple[str, ...]]
) -> None:
    told = Collected()
    simulator = Simulator(topology(_with_overrides(tmp_path), reader()), told)
    records = (record_of(content, offset) for offset, content in enumerate(feed.records))
    run(records, simulator, reader(), instant_of("2026-02-20T00:00:00Z"))
    assert _alerts(told.records, "alert_id", "state", "opened_at", "client_id") == wanted


# -- partners that come late


def test_a_plan_for_an_unknown_project_waits_for_it() -> None:
    feed = Feed("2026-02-02T09:00:00Z").masters()
    feed.assignment("S1", hours_per_week="50", end_date="2026-02-08")
    assert _opened(file_run(feed.records)) == []
    feed.at("2026-02-04T09:00:00Z").project()
    assert _opened(file_run(feed.records)) == [("overallocation:E1:2026-W06", "open", "2026-02-04T09:01:00Z")]


def test_a_plan_that_is_gone_when_its_project_comes_counts_nothing() -> None:
    feed = Feed("2026-02-02T09:00:00Z").masters()
    feed.assignment("S1", hours_per_week="50", end_date="2026-02-08")
    feed.assignment("S2", hours_per_week="50", end_date="2026-02-08")
    feed.delete("psa.public.assignments", "S1")
    feed.assignment("S2", status="Tentative")
    feed.project()
    assert _opened(file_run(feed.records)) == []


def test_a_plan_counts_once_when_its_project_changes_contract() -> None:
    feed = firm().at("2026-02-02T09:00:00Z")
    feed.assignment("S1", hours_per_week="30", end_date="2026-02-08")
    feed.project(contract_number="C2")
    feed.project(contract_number=None)
    assert _opened(file_run(feed.records)) == []


# -- rows of the ERP that move between projects, in either order


def _moved(feed: Feed, topic: str, **fields: Any) -> tuple[Json, Json]:
    """A row taken back under project P1 and made again under P2, at one position as Debezium writes it."""
    made = feed.put(topic, **fields)
    row = made["value"]["after"]
    gone = feed.add(topic, "d", row, None)
    position = gone["value"]["source"]["position"]
    again = feed.add(topic, "c", None, {**row, "ProjectId": "P2"}, position)
    feed.records = feed.records[:-2]
    return gone, again


@pytest.mark.parametrize("made_first", [False, True])
def test_a_cost_posting_that_moves_still_speaks_against_a_late_expense(made_first: bool) -> None:
    feed = firm().at(APPROVED)
    feed.project(id="P2")
    feed.expense("X1", billable=False, approved_at=APPROVED)
    gone, again = _moved(feed, "erp.CostPosting", Id="CP1", SourceId="X1")
    feed.records += [again, gone] if made_first else [gone, again]
    # Taken back first, it says nothing for a moment, but the expense is not late yet.
    assert _opened(file_run(feed.records, "2026-02-20T00:00:00Z")) == []


@pytest.mark.parametrize("made_first", [False, True])
def test_an_invoice_that_moves_still_names_its_milestones(made_first: bool) -> None:
    feed = firm().at(APPROVED)
    feed.project(id="P2")
    feed.milestone("M1", amount="500", status="Done", completed_at=APPROVED)
    feed.milestone("M2", amount="300", status="Done", completed_at=APPROVED)
    ids = [r["value"]["trigger_id"] for r in file_run(feed.records) if r["topic"] == "billing.triggers"]
    lines = [
        {"LineId": "1", "TriggerId": ids[0], "MilestoneId": None, "Amount": "500"},
        {"LineId": "2", "TriggerId": ids[1], "MilestoneId": "M2", "Amount": "300"},
    ]
    gone, again = _moved(feed, "erp.Invoice", Id="I1", Status="Released", Lines=lines)
    feed.records += [again, gone] if made_first else [gone, again]
    assert _opened(file_run(feed.records, "2026-02-20T00:00:00Z")) == []


# -- periods that two ledgers share


def test_a_gap_is_as_young_as_the_newest_trigger_of_any_contract_of_its_project() -> None:
    feed = firm().at("2026-02-03T08:00:00Z")
    late = feed.contract(ContractNumber="C2")
    feed.at("2026-02-04T08:00:00Z").entry("T1")
    feed.at("2026-02-04T20:00:00Z").project(contract_number="C2")
    feed.records.remove(late)
    feed.records.append(late)  # bills 800 on C2 by a change of the 3rd; what C1 takes back is of the 4th
    derived = file_run(feed.records, "2026-02-07T00:00:00Z")
    assert _alerts(derived, "state", "opened_at", "measure", "evidence") == [
        (
            "open",
            "2026-02-05T20:01:00Z",
            "800.000000",
            {"triggered": "800.00", "invoiced": "0", "currency": "EUR"},
        ),
    ]


# -- caps


def test_a_cap_that_amendments_take_below_nothing_bills_nothing() -> None:
    feed = firm(BillingType="T&M NTE", Cap="1000")
    feed.project(id="P2")
    feed.amendment("AM1", CapDelta="-1500")
    feed.entry("T1", hours="8")
    derived = file_run(feed.records)
    assert [r["key"] for r in derived if r["topic"] == "billing.triggers"] == []
    held = [r["value"] for r in derived if r["topic"] == EXCEPTIONS and r["value"]["kind"] == "billing_hold"]
    assert [(e["reasons"], e["evidence"]["held"]) for e in held] == [(["over_cap"], "800.00")]
    last = [r["value"] for r in derived if r["topic"] == MARGINS and r["key"] == "P1"][-1]
    assert [Decimal(last[name]) for name in ("revenue", "held", "labor_cost")] == [0, 800, 480]


# -- what an alert leaves behind


def _burning() -> list[dict[str, Any]]:
    feed = firm(BillingType="T&M NTE", Cap="1000")
    feed.at("2026-02-04T09:00:00Z").entry("T1", hours="8")
    for hours in ("9", "8", "9", "10"):
        feed.entry("T1", hours=hours)
    feed.contract(Cap="5000")
    return file_run(feed.records)


def test_every_change_of_an_alert_is_a_fact_of_its_own_at_its_own_time() -> None:
    facts = [r["value"] for r in _burning() if r["topic"] == ANALYTICS and r["value"].get("alert_kind") == "cap_burn"]
    assert [(f["state"], f["measure"], f["occurred_at"][11:16]) for f in facts] == [
        ("open", "0.800000", "09:01"),
        ("updated", "0.900000", "09:02"),
        ("updated", "0.800000", "09:03"),
        ("updated", "0.900000", "09:04"),
        ("updated", "1.000000", "09:05"),
        ("resolved", "1.000000", "09:06"),
    ]
    assert len({fact["fact_id"] for fact in facts}) == len(facts)


def test_the_audit_trail_of_an_alert_says_before_and_after() -> None:
    trail = [r["value"] for r in _burning() if r["topic"] == AUDIT and r["value"]["entity_id"] == "cap_burn:C1"]
    assert [(a["action"], a["before"] and _brief(a["before"]), _brief(a["after"])) for a in trail] == [
        ("alert_open", None, ("open", "warning", Decimal("0.80"))),
        ("alert_updated", ("open", "warning", Decimal("0.80")), ("open", "warning", Decimal("0.90"))),
        ("alert_updated", ("open", "warning", Decimal("0.90")), ("open", "warning", Decimal("0.80"))),
        ("alert_updated", ("open", "warning", Decimal("0.80")), ("open", "warning", Decimal("0.90"))),
        ("alert_updated", ("open", "warning", Decimal("0.90")), ("open", "critical", Decimal("1.00"))),
        ("alert_resolved", ("open", "critical", Decimal("1.00")), ("resolved", "critical", Decimal("1.00"))),
    ]


def _brief(shown: dict[str, str]) -> tuple[str, str, Decimal]:
    return shown["state"], shown["severity"], Decimal(shown["measure"])


def test_the_audit_trail_of_a_reversal_names_what_it_takes_back() -> None:
    feed = firm()
    feed.entry("T1")
    feed.entry("T1", hours="6")
    derived = file_run(feed.records)
    first, reversal, _ = [r["value"] for r in derived if r["topic"] == "billing.triggers"]
    (audit,) = [r["value"] for r in derived if r["topic"] == AUDIT and r["value"]["action"] == "trigger_reversed"]
    assert audit["before"] == {"trigger_id": first["trigger_id"], "amount": "800.00"}
    assert audit["after"] == {"trigger_id": reversal["trigger_id"], "amount": "-800.00"}


def test_audit_ids_differ_where_rows_share_a_position_and_the_clock_stands() -> None:
    feed = firm()
    feed.at("2026-03-01T00:00:00Z").put("crm.Account", Id="A2")  # all that follows is older than the clock
    feed.at("2026-02-05T00:00:00Z").expense("X1", currency="USD")
    rate = {"FromCurrency": "USD", "ToCurrency": "EUR", "Date": "2026-02-01", "Rate": "0.9"}
    feed.add("erp.FxRate", "c", None, rate, 1)
    feed.add("erp.FxRate", "d", rate, None, 2)
    feed.add("erp.FxRate", "c", None, {**rate, "Date": "2026-02-02"}, 1)
    trail = [r["value"] for r in file_run(feed.records) if r["topic"] == AUDIT]
    actions = [a["action"] for a in trail if a["entity_id"] == "X1"]
    assert actions.count("billing_hold_resolved") == 2
    assert len({a["audit_id"] for a in trail}) == len(trail)


# -- what a refused row belongs to

REFUSED = [
    ("crm.Contract", {"ContractNumber": "C1", "Status": "Signed"}, ("C1", None)),
    ("crm.ContractAmendment", {"Id": "AM1", "Status": "Signed"}, ("C1", None)),
    ("psa.public.projects", {"id": "P1", "stage": "Maybe"}, (None, "P1")),
    ("psa.public.expenses", {"id": "X1", "status": "Paid"}, (None, "P1")),
    ("erp.Project", {"ProjectId": "P1", "Status": "Open"}, (None, "P1")),
    ("erp.Invoice", {"Id": "I1", "Status": "Sent"}, (None, "P1")),
    ("crm.Account", {"Id": "A1", "Name": None}, (None, None)),
]


@pytest.mark.parametrize(("topic", "fields", "belongs"), REFUSED)
def test_a_refused_row_names_its_contract_or_project(
    topic: str, fields: dict[str, Any], belongs: tuple[str | None, str | None]
) -> None:
    feed = firm()
    feed.put(topic, **fields)
    derived = file_run(feed.records)
    (exception,) = [r["value"] for r in derived if r["topic"] == EXCEPTIONS]
    assert (exception["contract_number"], exception["project_id"]) == belongs
    (audit,) = [r for r in derived if r["topic"] == AUDIT]
    assert audit["key"] == next((name for name in belongs if name), exception["entity_id"])
