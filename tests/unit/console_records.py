"""Small derived records made by hand, with what most of them share, and tables as lines of text."""

from typing import Any

from console.table import Row, Table, shown

Record = dict[str, Any]
NOW_MS = 1_773_144_000_000  # 2026-03-10T12:00:00Z
DAY_MS = 86_400_000


def day(number: int) -> str:
    """Noon of a day of March 2026."""
    return f"2026-03-{number:02d}T12:00:00Z"


def trigger(identity: str, amount: str, contract: str = "C1", currency: str = "EUR", **more: Any) -> Record:
    value = {
        "trigger_id": identity,
        "contract_number": contract,
        "client_id": "A1",
        "source_kind": "time_entry",
        "source_id": identity,
        "posting_period": "2026-03",
        "amount": amount,
        "currency": currency,
        **more,
    }
    return {"topic": "billing.triggers", "key": contract, "value": value}


def receipt(trigger_id: str, status: str = "posted", document: str | None = "00000001/1", **more: Any) -> Record:
    answered = None if status in ("pending", "sent") else day(9)
    value = {
        "trigger_id": trigger_id,
        "system": "LEGACY",
        "document_id": document,
        "status": status,
        "attempts": 1,
        "answered_at": answered,
        "error": None,
        **more,
    }
    return {"topic": "erp.receipts", "key": "C1", "value": value}


def alert(kind: str, entity: str, measure: str, *, opened: int = 8, **more: Any) -> Record:
    value = {
        "alert_id": f"{kind}:{entity}",
        "kind": kind,
        "severity": "warning",
        "state": "open",
        "entity_id": entity,
        "project_id": "P1",
        "contract_number": "C1",
        "client_id": "A1",
        "owner": "finance_ops",
        "opened_at": day(opened),
        "measure": measure,
        "threshold": None,
        "unit": "fraction",
        "evidence": {},
        **more,
    }
    return {"topic": "drift.alerts", "key": value["alert_id"], "value": value}


def matter(kind: str, entity_kind: str, entity: str, reasons: list[str], seen: int = 8, **more: Any) -> Record:
    value = {
        "exception_id": f"{kind}:{entity_kind}:{entity}",
        "state": "open",
        "kind": kind,
        "reasons": reasons,
        "owner": "finance_ops",
        "entity_kind": entity_kind,
        "entity_id": entity,
        "project_id": "P1",
        "contract_number": "C1",
        "first_seen": day(seen),
        "evidence": {},
        **more,
    }
    return {"topic": "exceptions", "key": value["exception_id"], "value": value}


def margin(project: str, now: str | None, forecast: str | None, contract: str = "C1") -> Record:
    value = {
        "project_id": project,
        "contract_number": contract,
        "client_id": "A1",
        "currency": "EUR",
        "revenue": "1000.00",
        "margin": "300.00",
        "margin_pct": now,
        "forecast_revenue": "4000.00",
        "forecast_cost": "3400.00",
        "forecast_margin_pct": forecast,
        "baseline_margin_pct": "0.3",
        "sequence": 1,
    }
    return {"topic": "margin.updates", "key": project, "value": value}


def lines(table: Table) -> list[str]:
    """The rows and then the totals of a table, as they are shown."""
    return [_line(table, row, "–") for row in table.rows] + [_line(table, row, "") for row in table.totals]


def _line(table: Table, row: Row, blank: str) -> str:
    cells = zip(row, table.columns, strict=True)
    return " | ".join(blank if cell is None else shown(cell, column.kind) for cell, column in cells)


def headings(table: Table) -> str:
    return " | ".join(column.heading for column in table.columns)


SERVED = {"service_date": "2026-02-10"}

HOLDS = [
    matter("billing_hold", "time_entry", "T1", ["po_missing"], evidence=SERVED | {"held": "200.00", "currency": "EUR"}),
    matter("billing_hold", "time_entry", "T2", ["over_cap"], evidence={"held": "900.5", "currency": "EUR"}),
    matter("billing_hold", "expense", "X1", ["no_fx_rate", "po_missing"], seen=1),
    matter("billing_hold", "milestone", "M1", ["po_missing", "over_cap"], evidence={"held": "7000", "currency": "JPY"}),
    matter("billing_hold", "time_entry", "T3", ["po_missing"], state="resolved", evidence={"held": "1"}),
    matter("billing_hold", "time_entry", "T4", ["po_missing"], evidence={"held": "50"}),
    trigger("t0", "1.00"),
]
"""The currency of the hold of T4 is that of its contract, known from a trigger."""
