"""Facts for analysts: flat, additive, without names of people or what an individual costs."""

from datetime import datetime
from typing import Any

Fields = dict[str, Any]


def billing_fact(trigger: Fields) -> Fields:
    """Return the fact of a trigger or reversal; amounts add up over all records."""
    return {
        "fact_id": f"billing:{trigger['trigger_id']}",
        "fact_kind": "billing",
        "occurred_at": trigger["occurred_at"],
        "billing_kind": trigger["kind"],
        **{
            name: trigger[name]
            for name in (
                "project_id", "contract_number", "client_id", "legal_entity", "currency", "trigger_id", "reverses",
                "service_date", "service_period", "posting_period", "quantity", "amount", "billing_code",
            )
        },
    }  # fmt: skip


def margin_fact(margin: Fields) -> Fields:
    """Return the fact of a margin update; the highest sequence of a project holds."""
    return {
        "fact_id": f"margin:{margin['project_id']}:{margin['sequence']}",
        "fact_kind": "margin",
        "occurred_at": margin["as_of"],
        "cost": margin["labor_cost"] + margin["expense_cost"],
        **{
            name: margin[name]
            for name in (
                "project_id", "contract_number", "client_id", "currency", "approved_hours", "billable_hours", "revenue",
                "billed", "held", "margin", "margin_pct", "percent_complete", "remaining_hours", "forecast_cost",
                "forecast_revenue", "forecast_margin_pct", "baseline_margin_pct", "uncosted_hours", "uncosted_amount",
                "sequence",
            )
        },
    }  # fmt: skip


def alert_fact(alert: Fields, said_at: datetime, place: int) -> Fields:
    """Return the fact of an alert's opening, update or resolution.

    An alert may say the same twice, with something else between: when it was said, and its place in the topic of
    alerts, tell one from the other.
    """
    return {
        "fact_id": f"alert:{alert['alert_id']}:{alert['state']}:{said_at.isoformat()}:{place}",
        "fact_kind": "alert",
        "occurred_at": said_at,
        "alert_kind": alert["kind"],
        **{
            name: alert[name]
            for name in (
                "project_id", "contract_number", "client_id", "alert_id", "severity", "state", "entity_kind",
                "entity_id", "measure", "threshold", "unit",
            )
        },
    }  # fmt: skip


def receipt_fact(receipt: Fields) -> Fields:
    """Return the fact of what an ERP answered."""
    return {
        "fact_id": f"receipt:{receipt['posting_id']}:{receipt['status']}:{receipt['attempts']}",
        "fact_kind": "receipt",
        "occurred_at": receipt["answered_at"] or receipt["first_sent_at"],
        **{
            name: receipt[name]
            for name in (
                "project_id", "contract_number", "trigger_id", "system", "document_id", "status", "attempts",
            )
        },
    }  # fmt: skip


def activation_fact(event: Fields) -> Fields:
    """Return the fact of a step of an activation."""
    return {
        "fact_id": f"activation:{event['event_id']}",
        "fact_kind": "activation",
        "occurred_at": event["occurred_at"],
        "attempts": event["attempt"],
        **{
            name: event[name]
            for name in ("project_id", "contract_number", "client_id", "opportunity_id", "step", "state")
        },
    }
