"""A start with another policy: everything is held against it again, and nothing else is told."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.policy import SHIPPED, load_policy
from streams.topics import ALERTS, EXCEPTIONS
from streams.topology import Rulebook
from tests.support.feed import Feed, firm
from tests.support.streams import Stores, reader, record_of, restarted, rulebook


def _with_policy(folder: Path, kind: str, **changes: Any) -> Rulebook:
    content = yaml.safe_load(SHIPPED.read_text())
    limits = content["alerts"][kind]["limits"] | changes.pop("limits", {})
    content["alerts"][kind] |= {**changes, "limits": limits}
    (folder / "policy.yaml").write_text(yaml.safe_dump(content))
    shipped = rulebook()
    return Rulebook(shipped.mappings, shipped.ownership, load_policy(folder / "policy.yaml"))


def _left_by(feed: Feed) -> Stores:
    stores = Stores()
    simulator, _ = restarted(stores, rulebook())
    for offset, content in enumerate(feed.records):
        simulator.feed_to(
            "intake", record_of(content, offset)._replace(value=reader().read(record_of(content, offset)))
        )
        simulator.settle()
    simulator.advance(simulator.now)
    simulator.flush()
    return stores


def _told(stores: Stores, rules: Rulebook) -> list[dict[str, Any]]:
    simulator, told = restarted(stores, rules)
    simulator.advance(simulator.now)
    return [record for record in told.records if record["topic"] in (ALERTS, EXCEPTIONS)]


def _story() -> Feed:
    feed = firm(BillingType="T&M NTE", Cap="1000", CurrencyIsoCode="EUR")
    feed.assignment("S1", hours_per_week="30")
    feed.put("erp.RevenueSchedule", Id="RS1", Lines=[{"Period": "2026-02", "Planned": "0", "Recognized": "1500"}])
    feed.entry("T1", hours="6")
    feed.expense("X1", billable=False, approved_at="2026-02-04T10:00:00Z")
    return feed


# The policy, and the alerts that it opens, updates or resolves on a firm that drew 600 of a cap of 1,000, recognized
# 1,500, planned 30 hours a week of 40, and has an expense approved two hours ago.
CHANGES: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    ("cap_burn", {"limits": {"warning": 0.5}}, [("cap_burn:C1", "open")]),
    ("cap_burn", {"limits": {"warning": 0.7}}, []),
    ("revenue_drift", {"limits": {"amount": 500}}, [("revenue_drift:C1", "open")]),
    ("overallocation", {"limits": {"fraction": 0.5, "weeks_ahead": 1}},
     [("overallocation:E1:2026-W06", "open"), ("overallocation:E1:2026-W07", "open")]),
    ("expense_late", {"limits": {"after_hours": 1}}, [("expense_late:X1", "open")]),
    ("expense_late", {"regions": {"EMEA": {"after_hours": 1}}}, [("expense_late:X1", "open")]),
    ("expense_late", {"clients": {"A1": {"after_hours": 1}}}, [("expense_late:X1", "open")]),
    ("expense_late", {"regions": {"APAC": {"after_hours": 1}}}, []),
    ("reconciliation_gap", {"limits": {"after_hours": 10_000}}, [("reconciliation_gap:P1:2026-02", "resolved")]),
    ("reconciliation_gap", {"owner": "controlling"}, [("reconciliation_gap:P1:2026-02", "updated")]),
    ("margin_erosion", {"limits": {"floor": 0.5}}, [("margin_erosion:P1", "updated")]),
    ("margin_erosion", {"limits": {"floor": -9}}, [("margin_erosion:P1", "resolved")]),
    ("margin_erosion", {"severity": "critical"}, [("margin_erosion:P1", "updated")]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "changes", "wanted"), CHANGES)
def test_a_start_with_another_policy(
    tmp_path: Path, kind: str, changes: dict[str, Any], wanted: list[tuple[str, str]]
) -> None:
    stores = _left_by(_story())
    told = _told(stores, _with_policy(tmp_path, kind, **changes))
    assert [(record["key"], record["value"]["state"]) for record in told] == wanted
    if "owner" in changes:
        assert told[0]["value"]["owner"] == changes["owner"]


def test_a_start_with_the_same_policy_tells_nothing(tmp_path: Path) -> None:
    stores = _left_by(_story())
    assert _told(stores, _with_policy(tmp_path, "cap_burn")) == []


def test_a_policy_that_was_judged_once_is_not_judged_again(tmp_path: Path) -> None:
    stores = _left_by(_story())
    rules = _with_policy(tmp_path, "cap_burn", limits={"warning": 0.5})
    simulator, told = restarted(stores, rules)
    simulator.advance(simulator.now)
    simulator.flush()
    assert [alert["measure"] for alert in told.of(ALERTS)] == ["0.600000"]
    assert Decimal(told.of(ALERTS)[0]["threshold"]) == Decimal("0.5")
    assert _told(stores, rules) == []


def test_a_crash_before_it_is_judged_leaves_it_to_the_next_start(tmp_path: Path) -> None:
    stores = _left_by(_story())
    rules = _with_policy(tmp_path, "cap_burn", limits={"warning": 0.5})
    simulator, _ = restarted(stores, rules)
    simulator.advance(simulator.now)  # and nothing is flushed
    assert [record["key"] for record in _told(stores, rules)] == ["cap_burn:C1"]
