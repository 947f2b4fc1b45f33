"""Derived records of a whole firm, drawn with a seed: the same for the same seed."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

NOW = datetime(2026, 4, 15, 9, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
Record = dict[str, Any]

CURRENCIES = ("EUR", "GBP", "JPY", "USD")
REASONS = ("po_missing", "no_rate", "contract_inactive", "over_cap", "no_erp_customer", "project_hold")
WORTHLESS = ("no_rate",)
STAGES = ("planned", "active", "on_hold", "closed")


def record(topic: str, key: str, value: Record, at: datetime = NOW) -> Record:
    return {"topic": topic, "key": key, "value": value, "timestamp": int(at.timestamp() * 1000)}


def text_of(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def alert(chance: random.Random, kind: str, entity: str, **fields: Any) -> Record:
    opened = NOW - timedelta(hours=chance.randrange(1, 2400))
    value = {
        "alert_id": f"{kind}:{entity}",
        "kind": kind,
        "severity": "warning",
        "state": "open",
        "entity_kind": "thing",
        "entity_id": entity,
        "owner": "finance_ops",
        "opened_at": text_of(opened),
        "unit": "fraction",
        "evidence": {},
        "measure": "1",
        "threshold": "0",
        **fields,
    }
    return record("drift.alerts", value["alert_id"], value)


def triggers(chance: random.Random, count: int) -> Iterator[Record]:
    for number in range(count):
        contract = chance.randrange(24)
        currency = CURRENCIES[contract % 4]
        month = f"2026-{chance.randrange(1, 5):02d}" if chance.random() < 0.8 else f"2025-{chance.randrange(9, 13):02d}"
        amount = Decimal(chance.randrange(20_000, 900_000)) / (1 if currency == "JPY" else 100)
        source_kind = "milestone" if number % 9 == 0 else "time_entry"
        value: Record = {
            "trigger_id": f"T{number:05d}",
            "contract_number": f"C-{1000 + contract}",
            "client_id": f"A{contract % 7}",
            "source_kind": source_kind,
            "source_id": f"{source_kind[0].upper()}{number}",
            "posting_period": month,
            "amount": str(-amount if number % 17 == 0 else amount),
            "currency": currency,
        }
        yield record("billing.triggers", value["contract_number"], value)
        if number % 11:
            status = "rejected" if number % 97 == 0 else "posted"
            posted = {
                "trigger_id": value["trigger_id"],
                "system": "LEGACY" if contract % 4 else "TRYTON",
                "status": status,
                "document_id": f"{number // 80 + 1:08d}/{number % 80 + 1}" if status == "posted" else None,
                "attempts": 1,
                "answered_at": text_of(NOW - timedelta(hours=number % 400)),
                "error": None if status == "posted" else "period 2026-01 is closed; post to 2026-02",
            }
            yield record("erp.receipts", value["contract_number"], posted)


def margins(chance: random.Random) -> Iterator[Record]:
    for number in range(36):
        revenue = Decimal(chance.randrange(100_000, 40_000_000)) / 100
        forecast = Decimal(chance.randrange(-20, 60)) / 100
        now = forecast + Decimal(chance.randrange(-10, 20)) / 100
        total = revenue * 2
        value: Record = {
            "project_id": f"P-{number:03d}",
            "contract_number": f"C-{1000 + number % 24}",
            "client_id": f"A{number % 7}",
            "currency": CURRENCIES[number % 4],
            "revenue": revenue,
            "margin": revenue * now,
            "margin_pct": now,
            "forecast_revenue": total,
            "forecast_cost": total * (1 - forecast),
            "forecast_margin_pct": forecast,
            "baseline_margin_pct": Decimal("0.30"),
            "sequence": number,
        }
        yield record("margin.updates", value["project_id"], value)
        if forecast < Decimal("0.2"):
            evidence = {"baseline_margin_pct": "0.3"}
            fields = {"measure": forecast, "threshold": Decimal("0.2"), "evidence": evidence, "owner": "delivery"}
            place = {"contract_number": value["contract_number"], "client_id": value["client_id"]}
            yield alert(chance, "margin_erosion", value["project_id"], **fields, **place)


def alerts(chance: random.Random) -> Iterator[Record]:
    for number in range(14):
        currency = CURRENCIES[number % 4]
        place = {
            "project_id": f"P-{number:03d}",
            "contract_number": f"C-{1000 + number % 24}",
            "client_id": f"A{number % 7}",
        }
        money = {"measure": f"{chance.randrange(500, 90_000)}.5", "unit": currency}
        yield alert(chance, "milestone_unbilled", f"M{number * 9}", **place, **money)
        if number % 2:
            yield alert(chance, "expense_late", f"X{number}", **place, **money)
        if number % 3 == 0:
            evidence = {system: chance.choice(STAGES) for system in ("crm", "psa", "erp")[: 2 + number % 2]}
            yield alert(chance, "status_mismatch", f"P-{number:03d}", **place, evidence=evidence, owner="pmo")
            evidence = {"place": "3", "taken_over": "1"}
            yield alert(chance, "amendment_unpropagated", f"AM-{number}", **place, measure="3", evidence=evidence)
        if number % 5 == 0:
            evidence = {"billed": f"{80_000 + number * 4_000}", "cap": "100000", "currency": currency}
            measure = {
                "measure": Decimal(80_000 + number * 4_000) / 100_000,
                "severity": "critical" if number else "warning",
            }
            yield alert(
                chance, "cap_burn", place["contract_number"], **place, **measure, evidence=evidence, owner="delivery"
            )
            evidence = {"recognized": "120000", "earned": f"{100_000 + number * 6_000}", "currency": currency}
            yield alert(chance, "revenue_drift", place["contract_number"], **place, **money, evidence=evidence)
            evidence = {"triggered": "9000", "invoiced": "8000", "currency": currency}
            gap = {"measure": "1000", "unit": currency}
            yield alert(chance, "reconciliation_gap", f"P-{number:03d}:2026-03", **place, **gap, evidence=evidence)
        for week in range(16, 16 + number % 4):
            hours = 42 + number
            evidence = {"hours": str(hours), "capacity": "40"}
            measure = {"measure": Decimal(hours) / 40, "owner": "resource_mgmt"}
            yield alert(chance, "overallocation", f"E{number:04d}:2026-W{week}", **measure, evidence=evidence)


def exceptions(chance: random.Random) -> Iterator[Record]:
    for number in range(40):
        reasons = chance.sample(REASONS, chance.choice((1, 1, 1, 2)))
        seen = text_of(NOW - timedelta(hours=chance.randrange(1, 3000)))
        currency = CURRENCIES[number % 4]
        valued = not set(WORTHLESS) & set(reasons)
        value: Record = {
            "exception_id": f"billing_hold:{number}",
            "state": "resolved" if number % 8 == 7 else "open",
            "kind": "billing_hold",
            "reasons": reasons,
            "owner": "finance_ops",
            "entity_kind": "time_entry",
            "entity_id": f"TE{number}",
            "project_id": f"P-{number % 36:03d}",
            "first_seen": seen,
            "last_seen": seen,
            "contract_number": f"C-{1000 + number % 24}",
            "evidence": {"held": str(chance.randrange(20_000, 2_000_000)), "currency": currency} if valued else {},
        }
        yield record("exceptions", value["exception_id"], value)
    for kind, entity in (
        ("ownership_violation", "project"),
        ("unmapped_value", "milestone"),
        ("uncosted", "time_entry"),
    ):
        value = {
            "exception_id": f"{kind}:1",
            "state": "open",
            "kind": kind,
            "reasons": ["stage"],
            "owner": "data_steward",
            "entity_kind": entity,
            "entity_id": "P-001",
            "first_seen": text_of(NOW - timedelta(days=3)),
            "last_seen": text_of(NOW),
            "message": "cost_center is CC-9 in the PSA and CC-1 in the ERP, which owns it",
        }
        yield record("exceptions", value["exception_id"], value)


def others() -> Iterator[Record]:
    for number, (step, state) in enumerate(
        (("announce", "completed"), ("create_project", "started"), ("validate", "failed"))
    ):
        value: Record = {
            "opportunity_id": f"OP-{number}",
            "step": step,
            "state": state,
            "contract_number": f"C-{1000 + number}",
            "client_id": "A1",
            "reasons": ["contract is a draft"] if state == "failed" else [],
            "occurred_at": text_of(NOW - timedelta(hours=30 * number)),
        }
        yield record("activation.events", f"OP-{number}", value)
    for number in range(3):
        headers = {
            "__connect.errors.topic": "psa.public.time_entries",
            "__connect.errors.partition": "0",
            "__connect.errors.offset": str(number),
            "__connect.errors.exception.class.name": "schemas.UnknownSchema",
            "__connect.errors.exception.message": "schema id 4711 is not known to the registry",
            "__connect.errors.stage": "VALUE_CONVERTER",
        }
        yield {
            "topic": "dead.letters",
            "key": "P-001",
            "value": None,
            "timestamp": NOW_MS,
            "headers": {name: each.encode() for name, each in headers.items()},
        }


def firm(seed: int = 20260415, count: int = 800) -> list[Record]:
    """Derived records of a firm of some size, the same for the same seed."""
    chance = random.Random(seed)
    return [*triggers(chance, count), *margins(chance), *alerts(chance), *exceptions(chance), *others()]
