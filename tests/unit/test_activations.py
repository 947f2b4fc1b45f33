"""Activations over the whole topology: what is asked, how often, and what is told of it."""

from typing import Any

from streams.topics import ACTIVATION_COMMANDS, ACTIVATION_EVENTS, AUDIT, EXCEPTIONS
from tests.support.feed import Feed
from tests.support.streams import file_run


def _won(start: str = "2026-02-02T09:00:00Z") -> Feed:
    feed = Feed(start)
    feed.put("crm.Opportunity", Id="O1", IsClosed=True, IsWon=True)
    return feed


def _of(derived: list[dict[str, Any]], topic: str) -> list[dict[str, Any]]:
    return [record["value"] for record in derived if record["topic"] == topic]


def _asked(derived: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
    return [(c["step"], c["attempt"], c["issued_at"]) for c in _of(derived, ACTIVATION_COMMANDS)]


def _told(derived: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(e["step"], e["state"], e["attempt"]) for e in _of(derived, ACTIVATION_EVENTS)]


def _matters(derived: list[dict[str, Any]]) -> list[tuple[str, list[str], int]]:
    failed = [e for e in _of(derived, EXCEPTIONS) if e["kind"] == "activation_failed"]
    return [(e["state"], e["reasons"], e["attempts"]) for e in failed]


def test_a_late_step_is_asked_for_again_a_few_times_under_one_command_id() -> None:
    feed = _won()
    feed.put("crm.Account", Id="A1")
    feed.contract()
    derived = file_run(feed.records, "2026-03-01T00:00:00Z")
    assert _asked(derived)[1:] == [
        ("create_project", 1, "2026-02-02T09:03:00Z"),
        ("create_project", 2, "2026-02-03T09:03:00Z"),
        ("create_project", 3, "2026-02-04T09:03:00Z"),
    ]
    assert _told(derived)[-3:] == [("create_project", "timed_out", attempt) for attempt in (1, 2, 3)]
    late = ["timed_out:create_project"]
    assert _matters(derived)[-3:] == [("open", late, attempt) for attempt in (1, 2, 3)]
    assert len({c["command_id"] for c in _of(derived, ACTIVATION_COMMANDS)[1:]}) == 1
    assert len({e["event_id"] for e in _of(derived, ACTIVATION_EVENTS)}) == len(_told(derived))


def test_a_step_that_comes_late_closes_the_matter_and_is_not_asked_for_again() -> None:
    feed = _won()
    feed.put("crm.Account", Id="A1")
    feed.contract()
    feed.at("2026-02-03T12:00:00Z").project()
    derived = file_run(feed.records, "2026-02-04T12:00:00Z")
    assert _told(derived)[-2:] == [("create_project", "timed_out", 1), ("create_project", "succeeded", 2)]
    assert _asked(derived)[-1] == ("provision_erp", 1, "2026-02-03T12:01:00Z")
    assert _matters(derived)[-1][0] == "resolved"


def test_each_failure_is_an_event_of_its_own() -> None:
    feed = _won()
    feed.put("crm.Account", Id="A1")
    feed.contract(AccountId="A2")
    feed.contract(AccountId="A1")
    derived = file_run(feed.records)
    assert [(e["state"], e["attempt"], e["reasons"]) for e in _of(derived, ACTIVATION_EVENTS)] == [
        ("started", 1, []),
        ("failed", 1, ["account_unknown", "contract_unknown"]),
        ("failed", 2, ["contract_unknown"]),
        ("failed", 3, ["account_differs"]),
        ("succeeded", 4, []),
    ]
    assert len({e["event_id"] for e in _of(derived, ACTIVATION_EVENTS)}) == 5
    assert _matters(derived)[-1] == ("resolved", ["account_differs"], 4)
    assert [step for step, _, _ in _asked(derived)] == ["validate", "create_project"]


def test_many_failures_before_do_not_hide_that_a_step_is_late() -> None:
    feed = _won()
    feed.put("crm.Account", Id="A1")
    for stage in ("Activated", "Terminated", "Activated", "Terminated", "Activated", "Terminated", "Activated"):
        feed.contract(Status=stage)
    derived = file_run(feed.records, "2026-02-20T00:00:00Z")
    assert _told(derived)[-1] == ("create_project", "timed_out", 4)
    assert _matters(derived)[-1] == ("open", ["timed_out:create_project"], 4)


def test_a_deal_won_again_goes_on_with_time_of_its_own() -> None:
    feed = _won()
    feed.put("crm.Account", Id="A1")
    feed.contract()
    feed.put("crm.Opportunity", Id="O1", IsWon=False)
    feed.at("2026-03-01T00:00:00Z").put("crm.Opportunity", Id="O1", IsWon=True)
    derived = file_run(feed.records, "2026-03-01T12:00:00Z")
    assert _asked(derived)[-1] == ("create_project", 1, "2026-03-01T00:01:00Z")
    assert [state for _, state, _ in _told(derived)].count("timed_out") == 0
    assert _matters(derived)[-1][0] == "resolved"


def test_steps_leave_their_trace_in_the_audit_trail() -> None:
    feed = _won()
    feed.put("crm.Account", Id="A1")
    feed.contract()
    trail = [r for r in file_run(feed.records) if r["topic"] == AUDIT and r["value"]["entity_kind"] == "opportunity"]
    steps = [
        (r["key"], r["value"]["action"], r["value"]["after"]) for r in trail if "step" in (r["value"]["after"] or {})
    ]
    assert steps == [
        ("C1", "activation_started", {"step": "validate", "state": "started", "attempt": "1"}),
        ("C1", "activation_failed", {"step": "validate", "state": "failed", "attempt": "1"}),
        ("C1", "activation_failed", {"step": "validate", "state": "failed", "attempt": "2"}),
        ("C1", "activation_succeeded", {"step": "validate", "state": "succeeded", "attempt": "3"}),
    ]
