"""The read model: which record supersedes which, and what may come twice."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from console.fields import UnreadableRecord
from console.readmodel import ReadModel, fold

Record = dict[str, Any]
OPENED = "2026-03-03T12:00:00Z"


def trigger(identity: str, amount: Any, **more: Any) -> Record:
    value = {
        "trigger_id": identity,
        "contract_number": "C1",
        "client_id": "A1",
        "source_kind": "time_entry",
        "source_id": "T1",
        "posting_period": "2026-03",
        "amount": amount,
        "currency": "EUR",
        **more,
    }
    return {"topic": "billing.triggers", "key": "C1", "value": value}


def margin(sequence: int, forecast: str, **more: Any) -> Record:
    value = {
        "project_id": "P1",
        "currency": "EUR",
        "revenue": "100",
        "margin": "20",
        "margin_pct": "0.2",
        "forecast_revenue": "200",
        "forecast_cost": "150",
        "forecast_margin_pct": forecast,
        "sequence": sequence,
        **more,
    }
    return {"topic": "margin.updates", "key": "P1", "value": value}


def alert(state: str, at: int, **more: Any) -> Record:
    value = {
        "alert_id": "cap_burn:C1",
        "kind": "cap_burn",
        "severity": "warning",
        "state": state,
        "entity_id": "C1",
        "owner": "delivery",
        "opened_at": OPENED,
        "measure": "0.8",
        "unit": "fraction",
        **more,
    }
    return {"topic": "drift.alerts", "key": "cap_burn:C1", "value": value, "timestamp": at}


def matter(state: str, at: int, **more: Any) -> Record:
    value = {
        "exception_id": "billing_hold:C1:time_entry:T1",
        "state": state,
        "kind": "billing_hold",
        "reasons": ["po_missing"],
        "owner": "finance_ops",
        "entity_kind": "time_entry",
        "entity_id": "T1",
        "first_seen": OPENED,
        **more,
    }
    return {"topic": "exceptions", "key": value["exception_id"], "value": value, "timestamp": at}


def receipt(status: str, at: int, **more: Any) -> Record:
    value = {"trigger_id": "t0", "system": "LEGACY", "status": status, "attempts": 1, **more}
    return {"topic": "erp.receipts", "key": "C1", "value": value, "timestamp": at}


def event(step: str, state: str, at: str, **more: Any) -> Record:
    value = {"opportunity_id": "O1", "step": step, "state": state, "occurred_at": at, **more}
    return {"topic": "activation.events", "key": "O1", "value": value}


def command(step: str, at: str) -> Record:
    value = {"opportunity_id": "O1", "step": step, "target": "psa", "issued_at": at}
    return {"topic": "activation.commands", "key": "O1", "value": value}


def letter(headers: dict[str, str]) -> Record:
    named = {f"__connect.errors.{name}": each.encode() for name, each in headers.items()}
    return {"topic": "dead.letters", "key": "P1", "value": None, "headers": named}


def test_a_trigger_counts_once_however_often_it_comes() -> None:
    model = fold([trigger("t0", "800.00"), trigger("t1", "-800.00"), trigger("t2", "600.00"), trigger("t0", "800.00")])
    assert model.net_billed() == {"EUR": Decimal(600)}


def test_both_views_of_a_record_fold_alike() -> None:
    text = [trigger("t0", "800.00"), alert("open", 1), matter("open", 1), margin(1, "0.25")]
    inner = [
        trigger("t0", Decimal("800.00")),
        alert("open", 1, opened_at=datetime(2026, 3, 3, 12, tzinfo=UTC), measure=Decimal("0.8")),
        matter("open", 1, first_seen=1_772_539_200_000, reasons=("po_missing",)),
        margin(1, "0.25", revenue=Decimal(100)),
    ]
    first, second = fold(text), fold(inner)
    assert first.triggers == second.triggers
    assert first.alerts == second.alerts
    assert first.matters == second.matters
    assert first.margins == second.margins


def test_the_margin_of_the_highest_sequence_holds() -> None:
    model = fold([margin(1, "0.10"), margin(3, "0.30"), margin(2, "0.20")])
    assert model.margins["P1"].forecast_margin_pct == Decimal("0.30")


@pytest.mark.parametrize("make", [alert, matter])
def test_the_newest_state_holds_even_if_older_ones_come_again(make: Any) -> None:
    model = ReadModel()
    for one in (make("open", 10), make("resolved", 20), make("open", 10)):
        model.apply(one)
    assert model.open_alerts() == []
    assert model.open_matters() == []
    model.apply(make("open", 30))
    assert len(model.open_alerts()) + len(model.open_matters()) == 1


def test_records_of_one_moment_count_in_their_order() -> None:
    assert fold([alert("open", 10), alert("resolved", 10)]).open_alerts() == []
    assert fold([alert("open", 0), alert("resolved", 0)]).open_alerts() == []


def test_an_updated_alert_is_open() -> None:
    assert [each.kind for each in fold([alert("updated", 1)]).open_alerts("cap_burn", "feed_stalled")] == ["cap_burn"]
    assert fold([alert("updated", 1)]).open_alerts("feed_stalled") == []


def test_a_receipt_may_come_before_its_trigger_and_before_an_answer() -> None:
    model = fold([receipt("posted", 20, answered_at=OPENED), receipt("sent", 10)])
    known = model.receipts["t0", "LEGACY"]
    assert (known.status, known.is_posted) == ("posted", True)
    waiting = fold([receipt("sent", 10)]).receipts["t0", "LEGACY"]
    assert (waiting.answered_at, waiting.is_posted) == (None, False)


def test_a_deal_keeps_what_earlier_steps_told() -> None:
    model = fold(
        [
            command("validate", "2026-03-01T08:00:00Z"),
            event("validate", "succeeded", "2026-03-01T09:00:00Z", client_id="A1", contract_number="C1"),
            command("create_project", "2026-03-01T10:00:00Z"),
            event("create_project", "succeeded", "2026-03-01T11:00:00Z", project_id="P1"),
            event("validate", "succeeded", "2026-03-01T09:00:00Z", client_id="A1", contract_number="C1"),
        ]
    )
    deal = model.deals["O1"]
    assert (deal.client_id, deal.contract_number, deal.project_id) == ("A1", "C1", "P1")
    assert (deal.step, deal.state, deal.asked_step) == ("create_project", "succeeded", "create_project")
    assert deal.started_at == 1_772_355_600_000


def test_a_dead_letter_counts_once_a_place() -> None:
    place = {"topic": "crm.Contract", "partition": "1", "offset": "7"}
    model = fold([letter(place), letter(place), letter({**place, "offset": "8"})])
    assert len(model.dead_letters) == 2


def test_dead_letters_without_a_place_count_each() -> None:
    assert (
        len(fold([letter({"topic": "crm.Contract"}), letter({"topic": "crm.Contract"}), letter({})]).dead_letters) == 3
    )


def test_topics_not_for_people_are_passed_over() -> None:
    model = fold([{"topic": "audit.trail", "key": "C1", "value": 7}, {"topic": "psa.public.projects", "key": "P1"}])
    assert (model.triggers, model.alerts, model.matters) == ({}, {}, {})


def test_an_unreadable_record_changes_nothing() -> None:
    model = fold([trigger("t0", "800.00")])
    with pytest.raises(
        UnreadableRecord, match=r"billing.triggers, key 'C1': amount is 'lots'; expected a decimal number"
    ):
        model.apply(trigger("t0", "lots"))
    with pytest.raises(UnreadableRecord, match=r"margin.updates, key 'P1': revenue is None"):
        model.apply(margin(1, "0.1", revenue=None))
    with pytest.raises(UnreadableRecord, match=r"activation.events, key 'O1': step is None"):
        model.apply({**event("validate", "started", OPENED), "value": {"opportunity_id": "O1", "occurred_at": OPENED}})
    assert model.net_billed() == {"EUR": Decimal(800)}
    assert (model.margins, model.deals) == ({}, {})


def test_a_record_without_topic_is_refused() -> None:
    with pytest.raises(UnreadableRecord, match=r"a record without topic: {'key': 'C1'}; expected topic, key and value"):
        fold([{"key": "C1"}])
