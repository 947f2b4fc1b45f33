"""Contracts, amendments and projects of a random firm."""

from __future__ import annotations

from typing import Any

from tests.oracle.histories import PSA, at, stamp
from tests.oracle.people import DAYS, ENTITIES, ROLES, UNITS, Draft
from tests.oracle.shapes import Row

BILLING = ["T&M", "T&M NTE", "Fixed Fee", "Retainer"]
POLICIES = ["PassThrough", "Markup", "Markup", "NonBillable"]


def sign(draft: Draft, number: int) -> None:
    """One contract with its history: drafted, activated, perhaps suspended, a purchase order that comes late."""
    rnd = draft.rnd
    currency = rnd.choice(["EUR", "EUR", "EUR", "USD", "JPY", "KWD"])
    billing = BILLING[number % 4]
    row: Row = {
        "ContractNumber": f"C{number}",
        "AccountId": rnd.choice(draft.accounts),
        "OpportunityId": None,
        "Status": "Draft",
        "BillingType": billing,
        "CurrencyIsoCode": currency,
        "Value": draft.amount(20_000, 90_000, currency) if billing == "Fixed Fee" or draft.chance(0.3) else None,
        "Cap": draft.amount(800, 9_000, currency) if billing == "T&M NTE" and draft.chance(0.9) else None,
        "ExpensePolicy": rnd.choice(POLICIES),
        "ExpenseMarkup": rnd.choice(["0.1", "0.075", "0.5", None]),
        "RequiresAcceptance": draft.chance(0.4),
        "PoNumber": None,
        "PoRequired": draft.chance(0.3),
        "LegalEntity": None if draft.chance(0.1) else ENTITIES[currency],
        "StartDate": rnd.choice(["2026-01-01", "2026-01-15"]),
        "EndDate": rnd.choice([None, "2026-12-31", "2026-05-31", "2026-04-15"]),
        "Rates": _rates(draft, currency),
        **_retainer(draft, billing, currency),
    }
    draft.contracts.append(row)
    days = rnd.choice([1.0, 2.0, 60.0])
    for fields in _life(draft, row):
        row = _dated("crm.Contract", draft, {**row, **fields}, days, "LastModifiedDate")
        days = draft.later(days, 25)


def _retainer(draft: Draft, billing: str, currency: str) -> Row:
    if billing != "Retainer":
        return {"PeriodicFee": None, "IncludedHours": None, "OverageRate": None}
    return {
        "PeriodicFee": draft.amount(1_000, 6_000, currency) if draft.chance(0.9) else None,
        "IncludedHours": draft.rnd.choice([None, "4", "10.5"]),
        "OverageRate": draft.amount(80, 200, currency) if draft.chance(0.9) else None,
    }


def _rates(draft: Draft, currency: str) -> list[Row]:
    found = [
        {"Role": role, "Rate": draft.amount(60, 220, currency), "EffectiveFrom": since}
        for role in [*ROLES, "*"]
        for since in ("2026-01-01", "2026-03-10")
        if draft.chance(0.6)
    ]
    draft.rnd.shuffle(found)
    return found


def _life(draft: Draft, row: Row) -> list[dict[str, Any]]:
    """Field changes one after another."""
    steps: list[dict[str, Any]] = [{}] if draft.chance(0.5) else []
    steps.append({"Status": "Activated"})
    if draft.chance(0.3):
        steps += [{"Status": "Suspended"}, {"Status": "Activated"}]
    if row["PoRequired"] and draft.chance(0.8):
        steps.append({"PoNumber": f"PO-{row['ContractNumber']}"})
    if draft.chance(0.3):
        steps.append({"Rates": _rates(draft, row["CurrencyIsoCode"])})
    if row["Cap"] is not None and draft.chance(0.3):
        raised = float(row["Cap"]) + 500 * UNITS[row["CurrencyIsoCode"]]
        steps.append({"Cap": f"{raised:.0f}"})
    if draft.chance(0.1):
        steps.append({"Status": draft.rnd.choice(["Suspended", "Terminated", "Expired"])})
    return steps


def _dated(topic: str, draft: Draft, row: Row, days: float, field: str) -> Row:
    """Write a row that carries the time of its last change."""
    dated = {**row, field: stamp(at(days))}
    draft.log.put(topic, dated, days)
    return dated


def amend(draft: Draft, contract: Row, number: int, lower_caps: bool) -> None:
    """One amendment: approved late, backdated, rejected in the end, withdrawn, or never more than a draft."""
    rnd = draft.rnd
    currency = contract["CurrencyIsoCode"]
    fate = rnd.choice(["approved", "approved", "approved", "draft", "rejected", "revoked", "deleted"])
    stays = fate == "approved" or lower_caps
    rates = [r for r in _rates(draft, currency) if draft.chance(0.4)] if draft.chance(0.5) else []
    row: Row = {
        "Id": f"{contract['ContractNumber']}-A{number}",
        "ContractNumber": contract["ContractNumber"],
        "Status": "Draft",
        "EffectiveDate": draft.date(0, 150),
        "ValueDelta": draft.amount(-2_000, 9_000, currency) if draft.chance(0.5) else None,
        "CapDelta": draft.amount(-2_000 if lower_caps else 100, 3_000, currency)
        if stays and draft.chance(0.5)
        else None,
        "NewEndDate": rnd.choice([None, None, "2026-06-30", "2026-03-31", "2027-03-31"]),
        "Rates": [{**rate, "EffectiveFrom": draft.date(0, 150)} for rate in rates],
    }
    days = rnd.uniform(5, 130)
    if fate == "draft" or draft.chance(0.6):
        row = _dated("crm.ContractAmendment", draft, row, days, "LastModifiedDate")
        days = draft.later(days)
    if fate == "draft":
        return
    if fate != "rejected":
        row = _dated("crm.ContractAmendment", draft, {**row, "Status": "Approved"}, days, "LastModifiedDate")
        days = draft.later(days)
    if fate in ("rejected", "revoked"):
        _dated("crm.ContractAmendment", draft, {**row, "Status": "Rejected"}, days, "LastModifiedDate")
    if fate == "deleted":
        draft.log.delete("crm.ContractAmendment", row, days)


def start_project(draft: Draft, number: int, foreign: bool) -> None:
    """A project with its ERP shell; it may have no contract, an unknown one, or change to another."""
    rnd = draft.rnd
    contract = rnd.choice(draft.contracts)
    named: str | None = contract["ContractNumber"]
    if draft.chance(0.08):
        named = rnd.choice([None, "C-UNKNOWN"])
    currency = contract["CurrencyIsoCode"]
    if foreign and contract["BillingType"] == "T&M" and draft.chance(0.5):
        currency = rnd.choice(list(ENTITIES))
    row: Row = {
        "id": f"P{number}",
        "name": f"Project {number}",
        "client_id": f"CL{rnd.randrange(len(draft.accounts))}",
        "contract_number": named,
        "stage": "In Delivery",
        "billing_hold": draft.chance(0.2),
        "region": rnd.choice(["EMEA", "AMER", "APAC"]),
        "legal_entity": rnd.choice([None, None, ENTITIES[currency], "LE-US"]),
        "cost_center": rnd.choice([None, "CC1", "CC2"]),
        "currency": currency,
        "start_date": "2026-01-01",
        "end_date": None,
        "budget_hours": rnd.choice([None, "40", "120.5"]),
        "budget_cost": None,
        "baseline_margin_pct": rnd.choice([None, "0.35", "0.5"]),
    }
    draft.projects.append(row)
    days = rnd.choice([1.5, 3.0, 75.0])
    row = _dated(PSA + "projects", draft, row, days, "updated_at")
    alike = [c for c in draft.contracts if c["CurrencyIsoCode"] == currency]
    steps: list[dict[str, Any]] = [{"billing_hold": False}] if draft.chance(0.8) else []
    if draft.chance(0.25) and not foreign:
        steps.append({"contract_number": rnd.choice(alike)["ContractNumber"] if draft.chance(0.8) else None})
        if draft.chance(0.5):
            steps.append({"contract_number": named})
    if draft.chance(0.4):
        steps.append({"stage": rnd.choice(["Completed", "Paused", "In Delivery"])})
    if draft.chance(0.3):
        steps.append({"legal_entity": ENTITIES[currency], "cost_center": "CC1"})
    for fields in steps:
        days = draft.later(days, 25)
        row = _dated(PSA + "projects", draft, {**row, **fields}, days, "updated_at")
    _erp_project(draft, row, ENTITIES[contract["CurrencyIsoCode"]])


def _erp_project(draft: Draft, project: Row, entity: str) -> None:
    if draft.chance(0.15):
        return
    row: Row = {
        "ProjectId": project["id"],
        "ErpProjectNumber": f"ERP-{project['id']}",
        "LegalEntity": "LE-US" if draft.chance(0.1) else entity,
        "CostCenter": "CC1",
        "Status": "OPEN",
        "ContractVersion": 0,
    }
    days = draft.rnd.choice([2.0, 4.0, 95.0])
    row = _dated("erp.Project", draft, row, days, "UpdatedAt")
    if draft.chance(0.6):
        known = draft.rnd.randint(0, 3)
        status = draft.rnd.choice(["OPEN", "OPEN", "HOLD", "CLOSED"])
        days = min(draft.later(days, 60), DAYS - 1)
        _dated("erp.Project", draft, {**row, "ContractVersion": known, "Status": status}, days, "UpdatedAt")
