"""Questions of those on duty: exactly these tables from these derived records."""

from typing import Any

from console import duty_questions as duty
from console.readmodel import fold
from tests.unit.console_records import HOLDS, NOW_MS, SERVED, Record, alert, day, headings, lines, matter

DAY_MS = 86_400_000

EXCEPTIONS = [
    *HOLDS,
    matter("ownership_violation", "project", "P1", ["legal_entity"], 3, owner="data_steward", message="LE1 is not LE2"),
    matter("uncosted", "time_entry", "T7", ["no_cost"], 5, owner="resource_mgmt"),
]


def test_exceptions_by_kind_and_owner() -> None:
    table = duty.exceptions_by_kind(fold(EXCEPTIONS), NOW_MS)
    assert headings(table) == "Kind | Whose turn | Open | Resolved | Oldest since | Days"
    assert lines(table) == [
        "Billing held | Finance operations | 5 | 1 | 2026-03-01 | 9",
        "Copy differs from the owner's value | Data stewards | 1 | 0 | 2026-03-03 | 7",
        "Work without a cost rate | Resource management | 1 | 0 | 2026-03-05 | 5",
    ]


def test_other_exceptions_say_what_is_wrong() -> None:
    table = duty.other_exceptions(fold(EXCEPTIONS), NOW_MS)
    assert headings(table) == "Kind | About | What is wrong | Whose turn | Since | Days"
    assert lines(table) == [
        "Copy differs from the owner's value | project P1 | LE1 is not LE2 | Data stewards | 2026-03-03 | 7",
        "Work without a cost rate | time entry T7 | no cost rate or exchange rate | Resource management"
        " | 2026-03-05 | 5",
    ]


def test_ageing_fills_every_band() -> None:
    ages = (0, 1, 2, 3, 7, 8, 30, 31, 90, 91)
    records = [
        matter("billing_hold", "time_entry", f"T{age}", ["no_rate"], first_seen=NOW_MS - age * DAY_MS) for age in ages
    ]
    young = [
        matter("uncosted", "time_entry", "T", ["no_cost"], first_seen=NOW_MS - DAY_MS + 1),
        alert("cap_burn", "C", "1"),
    ]
    table = duty.ageing(fold([*records, *young]), NOW_MS)
    assert headings(table) == "Open for | Held billing | Other exceptions | Alerts"
    assert lines(table) == [
        "under 1 day | 1 | 1 | 0",
        "1–2 days | 2 | 0 | 1",
        "3–7 days | 2 | 0 | 0",
        "8–30 days | 2 | 0 | 0",
        "31–90 days | 2 | 0 | 0",
        "over 90 days | 1 | 0 | 0",
    ]


def test_ages_count_from_the_service_and_from_when_an_alert_fell_due() -> None:
    held = matter("billing_hold", "time_entry", "T1", ["no_rate"], evidence=SERVED)
    unread = matter("billing_hold", "time_entry", "T2", ["no_rate"], evidence={"service_date": "soon"})
    late = alert("expense_late", "X1", "5", due_at="2026-01-02T00:00:00Z")
    assert lines(duty.ageing(fold([held, unread, late]), NOW_MS)) == [
        "under 1 day | 0 | 0 | 0",
        "1–2 days | 1 | 0 | 0",
        "3–7 days | 0 | 0 | 0",
        "8–30 days | 1 | 0 | 0",
        "31–90 days | 0 | 0 | 1",
        "over 90 days | 0 | 0 | 0",
    ]


def test_what_was_seen_after_the_clock_is_no_age() -> None:
    later = matter("billing_hold", "time_entry", "T1", ["no_rate"], first_seen=NOW_MS + DAY_MS)
    assert lines(duty.ageing(fold([later]), NOW_MS))[0] == "under 1 day | 1 | 0 | 0"


def test_activation_shows_what_each_deal_waits_for() -> None:
    def event(deal: str, step: str, state: str, at: int, **more: Any) -> Record:
        value = {"opportunity_id": deal, "step": step, "state": state, "occurred_at": day(at), **more}
        return {"topic": "activation.events", "key": deal, "value": value}

    asked = {"opportunity_id": "O2", "step": "provision_erp", "target": "LEGACY", "issued_at": day(6)}
    asked_first = {"opportunity_id": "O4", "step": "validate", "target": "crm", "issued_at": day(10)}
    model = fold(
        [
            event("O1", "validate", "started", 1, client_id="A1"),
            event("O1", "announce", "completed", 3, project_id="P1"),
            event("O2", "create_project", "succeeded", 5, contract_number="C2"),
            {"topic": "activation.commands", "key": "O2", "value": asked},
            event("O3", "validate", "failed", 2, reasons=["contract is a draft"]),
            {"topic": "activation.commands", "key": "O4", "value": asked_first},
        ]
    )
    table = duty.activation(model, NOW_MS)
    assert headings(table) == "Deal | Client | Contract | Project | How far | Started | Days"
    assert lines(table) == [
        "O3 | – | – | – | Check account and contract: failed (contract is a draft) | 2026-03-02 | 8",
        "O2 | – | C2 | – | Set up the ERP: waiting for LEGACY | 2026-03-05 | 5",
        "O4 | – | – | – | Check account and contract: waiting for crm | 2026-03-10 | 0",
        "O1 | A1 | – | P1 | active | 2026-03-01 | 2",
    ]


def test_dead_letters_by_topic_and_error() -> None:
    def letter(topic: str, offset: int, error: str, message: str) -> Record:
        about = {"topic": topic, "partition": "0", "offset": str(offset), "stage": "VALUE_CONVERTER"}
        about |= {"exception.class.name": f"schemas.{error}", "exception.message": message}
        headers = [[f"__connect.errors.{name}", each.encode()] for name, each in about.items()]
        return {"topic": "dead.letters", "key": "P1", "value": None, "headers": headers, "timestamp": day(offset)}

    model = fold(
        [
            letter("crm.Contract", 1, "BadMagic", "byte 0 is 7"),
            letter("erp.Invoice", 2, "UnknownSchema", "id 9"),
            letter("erp.Invoice", 3, "UnknownSchema", "id 8"),
        ]
    )
    table = duty.dead_letters(model, NOW_MS)
    assert headings(table) == "Topic | Stage | Records | Error | For example | Last"
    assert lines(table) == [
        "erp.Invoice | VALUE CONVERTER | 2 | UnknownSchema | id 8 | 2026-03-03",
        "crm.Contract | VALUE CONVERTER | 1 | BadMagic | byte 0 is 7 | 2026-03-01",
    ]
