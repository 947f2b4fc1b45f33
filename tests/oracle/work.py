"""What happens on the projects of a random firm: time, expenses, milestones, plans, and what the ERP answers."""

from __future__ import annotations

from typing import Any

from tests.oracle.drift import trigger_id
from tests.oracle.histories import PSA, at, stamp
from tests.oracle.people import DAYS, ROLES, Draft
from tests.oracle.shapes import Row

ENTRIES = PSA + "time_entries"
EXPENSES = PSA + "expenses"
MILESTONES = PSA + "milestones"


def some_project(draft: Draft) -> str:
    """A project id; now and then of a project that nobody knows."""
    return "P-UNKNOWN" if draft.chance(0.03) else str(draft.rnd.choice(draft.projects)["id"])


def log_time(draft: Draft, number: int) -> None:
    """A time entry from draft to its end."""
    row: Row = {
        "id": f"T{number:03d}",
        "project_id": some_project(draft),
        "resource_id": draft.rnd.choice(draft.resources),
        "role": draft.rnd.choice([*ROLES, "Consultant"]),
        "work_date": draft.date(0, 150),
        "hours": f"{draft.rnd.randint(1, 40) / 4}",
        "billable": draft.chance(0.85),
    }
    corrections: list[dict[str, Any]] = [
        {"hours": f"{draft.rnd.randint(1, 40) / 4}"},
        {"work_date": draft.date(0, 150)},
        {"role": draft.rnd.choice(ROLES)},
        {"billable": not row["billable"]},
        {"project_id": some_project(draft)},
        {},
    ]
    approve(draft, ENTRIES, row, corrections, _midnight_after(row["work_date"]))


def spend(draft: Draft, number: int) -> None:
    """An expense from draft to its end, and perhaps its cost posting."""
    currency = draft.rnd.choice(["EUR", "EUR", "USD", "JPY", "KWD"])
    row: Row = {
        "id": f"X{number:03d}",
        "project_id": some_project(draft),
        "resource_id": draft.rnd.choice(draft.resources),
        "category": "travel",
        "expense_date": draft.date(0, 150),
        "amount": draft.amount(5, 900, currency),
        "currency": currency,
        "billable": draft.chance(0.8),
    }
    corrections: list[dict[str, Any]] = [
        {"amount": draft.amount(5, 900, currency)},
        {"expense_date": draft.date(0, 150)},
        {"currency": "EUR"},
        {"project_id": some_project(draft)},
        {"billable": not row["billable"]},
    ]
    approve(draft, EXPENSES, row, corrections, _midnight_after(row["expense_date"]))
    if draft.chance(0.5) and row["project_id"] != "P-UNKNOWN":
        posting = {"Id": f"CP{number}", "ProjectId": row["project_id"], "SourceKind": "expense", "SourceId": row["id"]}
        days = draft.rnd.uniform(10, DAYS - 2)
        posting |= {"Amount": row["amount"], "Currency": currency, "PostedAt": stamp(at(days))}
        draft.log.put("erp.CostPosting", posting, days)


def _midnight_after(text: str) -> float:
    month, day = int(text[5:7]), int(text[8:10])
    return (month - 1) * 30.4 + day


def approve(draft: Draft, topic: str, row: Row, corrections: list[dict[str, Any]], since: float) -> None:
    """Take a row through its approval, corrections, and perhaps its rejection or deletion."""
    days = since
    for status in ("Draft", "Submitted"):
        if draft.chance(0.4):
            row = {**row, "status": status, "approved_at": None, "updated_at": stamp(at(days))}
            draft.log.put(topic, row, days)
            days = draft.later(days, 4)
    row = {**row, "status": "Approved", "approved_at": stamp(at(days)), "updated_at": stamp(at(days))}
    if draft.chance(0.1):
        row |= {"status": draft.rnd.choice(["Rejected", "Submitted"]), "approved_at": None}
    draft.log.put(topic, row, days)
    while draft.chance(0.3):
        days = draft.later(days, 8)
        row = draft.log.change(topic, row, days, **draft.rnd.choice(corrections), updated_at=stamp(at(days)))
    if draft.chance(0.1):
        days = draft.later(days, 8)
        row = draft.log.change(topic, row, days, status="Rejected", updated_at=stamp(at(days)))
        if draft.chance(0.5):
            days = draft.later(days, 8)
            row = draft.log.change(topic, row, days, status="Approved", updated_at=stamp(at(days)))
    if draft.chance(0.08):
        draft.log.delete(topic, row, draft.later(days, 8))


def set_milestone(draft: Draft, number: int) -> None:
    """A milestone with an amount or a percentage, on its way to acceptance."""
    project = some_project(draft)
    known = next((p for p in draft.projects if p["id"] == project), None)
    currency = known["currency"] if known else "EUR"
    by_amount = draft.chance(0.6)
    row: Row = {
        "id": f"M{number:03d}",
        "project_id": project,
        "name": f"Milestone {number}",
        "amount": draft.amount(500, 9_000, currency) if by_amount else None,
        "percent": None if by_amount else draft.rnd.choice(["0.1", "0.25", "0.125"]),
        "due_date": None,
        "status": "Not Started",
        "completed_at": None,
        "accepted_at": None,
    }
    days = draft.rnd.uniform(3, 120)
    steps: list[dict[str, Any]] = [{}, {"status": "Started"}]
    done = stamp(at(days))
    if draft.chance(0.7):
        steps.append({"status": "Done", "completed_at": done})
        if draft.chance(0.5):
            steps.append({"status": "Signed Off", "accepted_at": stamp(at(days + 3))})
        if draft.chance(0.2):
            steps.append({"completed_at": stamp(at(days - 3))})
        if draft.chance(0.1):
            steps.append({"status": "Started", "completed_at": None, "accepted_at": None})
    if draft.chance(0.1):
        steps.append({"project_id": some_project(draft)})
    if draft.chance(0.1):
        steps.append({"status": "Dropped"})
    for fields in steps:
        row = draft.log.change(MILESTONES, row, days, **fields, updated_at=stamp(at(days)))
        days = draft.later(days, 8)
    if draft.chance(0.06):
        draft.log.delete(MILESTONES, row, days)


def plan(draft: Draft, number: int) -> None:
    """An assignment of a resource to a project."""
    row: Row = {
        "id": f"S{number:03d}",
        "project_id": some_project(draft),
        "resource_id": draft.rnd.choice(draft.resources),
        "role": draft.rnd.choice([*ROLES, "Consultant"]),
        "start_date": draft.date(0, 160),
        "end_date": draft.date(100, 260),
        "hours_per_week": draft.rnd.choice(["8", "16.5", "24", "40"]),
        "status": draft.rnd.choice(["Confirmed", "Confirmed", "Tentative"]),
    }
    days = draft.rnd.uniform(2, 100)
    row = draft.log.change(PSA + "assignments", row, days, updated_at=stamp(at(days)))
    changes: list[dict[str, Any]] = [
        {"status": "Cancelled"},
        {"status": "Confirmed"},
        {"hours_per_week": "20.25"},
        {"project_id": some_project(draft)},
    ]
    if draft.chance(0.4):
        days = draft.later(days, 30)
        row = draft.log.change(PSA + "assignments", row, days, **draft.rnd.choice(changes), updated_at=stamp(at(days)))
    if draft.chance(0.1):
        draft.log.delete(PSA + "assignments", row, draft.later(days))


def invoice(draft: Draft, number: int, counts: dict[str, int]) -> None:
    """An invoice whose lines name triggers by their computable ids, or milestones."""
    project = draft.rnd.choice(draft.projects)
    contract = project["contract_number"] or "C0"
    lines = []
    for line in range(draft.rnd.randint(1, 4)):
        kind, letter = draft.rnd.choice([("time_entry", "T"), ("expense", "X"), ("milestone", "M")])
        source = f"{letter}{draft.rnd.randrange(max(1, counts[letter])):03d}"
        by_milestone = letter == "M" and draft.chance(0.5)
        revision = draft.rnd.choice([0, 0, 0, 2])
        lines.append(
            {
                "LineId": str(line),
                "TriggerId": None if by_milestone else trigger_id(contract, kind, source, revision),
                "MilestoneId": source if by_milestone else None,
                "Amount": draft.amount(50, 900, project["currency"]),
            }
        )
    row: Row = {"Id": f"INV{number}", "ProjectId": project["id"], "ContractNumber": contract, "Status": "Draft"}
    row |= {"Currency": project["currency"], "Lines": lines, "PostedAt": None, "ReleasedAt": None}
    days = draft.rnd.uniform(40, 130)
    for status in ("Draft", "Posted", "Released", draft.rnd.choice(["Paid", "Cancelled"])):
        row = draft.log.change("erp.Invoice", row, days, Status=status)
        days = draft.later(days, 10)
        if draft.chance(0.3):
            return


def recognize(draft: Draft, contract: Row) -> None:
    """What revenue accounting has recognized of a contract."""
    currency = contract["CurrencyIsoCode"]
    lines = [
        {"Period": f"2026-{month:02d}", "Planned": "0", "Recognized": draft.amount(0, 5_000, currency)}
        for month in range(1, 4)
    ]
    row: Row = {"Id": f"RS-{contract['ContractNumber']}", "ContractNumber": contract["ContractNumber"], "Lines": lines}
    draft.log.put("erp.RevenueSchedule", row, draft.rnd.uniform(60, 140))
