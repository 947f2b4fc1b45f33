"""What the fields of internal messages mean, for their Avro contracts. Rows have their docs in the mapping files."""

from schemas.avro import FieldDoc
from schemas.kinds import Kind

_CAUSE = "The change that led to this."
_TEXT = "Exact decimal as text."

DOCS: dict[str, dict[str, FieldDoc | str]] = {
    "Cause": {
        "topic": "Source topic of the change; null where the clock is the cause.",
        "partition": "Partition of the change.",
        "offset": "Offset of the change.",
        "position": "Position of the change in its source.",
        "epoch": "How often the source was restored; goes before the position.",
        "occurred_at": FieldDoc("When it happened in its source (UTC).", Kind.TIMESTAMP),
    },
    "Fact": {
        "kind": "What kind of row it is, as the ledger knows it.",
        "scope": "Project the row came under, or its own id.",
        "id": "Id of the row.",
        "row_type": "Name of the row's record; null where the row is gone.",
        "row": "The row as it is now; null where it is gone.",
        "cause": _CAUSE,
        "version": "Epoch and position of the row's own newest version.",
    },
    "ProjectView": {
        "project": "The project as the PSA runs it.",
        "erp": "The project as the ERP keeps it; null while unknown.",
        "generation": "Rises each time the project changes its contract.",
    },
    "Person": {
        "resource_id": "The PSA's id of the person.",
        "employee_id": "HR's id of the person; null while the resource is unknown.",
        "cost_rates": "What an hour costs from which day on; null while the worker is unknown.",
        "version": "Rises when the resource becomes another person.",
        "cause": _CAUSE,
    },
    "PersonQuery": {
        "resource_id": "Resource that is asked about.",
        "ledger_key": "Ledger that wants to be told.",
    },
    "Employment": {
        "resource_id": "Resource on whose behalf it is asked.",
        "employee_id": "Worker that is asked about.",
        "ledger_key": "Ledger that wants to be told.",
        "version": "Version of the resource's person.",
        "wanted": "False takes the wish back.",
    },
    "Allocation": {
        "assignment_id": "Assignment that is confirmed.",
        "project_id": "Project it is for.",
        "resource_id": "Resource that is assigned.",
        "start_on": "First day.",
        "end_on": "Last day.",
        "hours_per_week": f"Hours a week; null where the assignment is gone. {_TEXT}",
        "cause": _CAUSE,
        "turned": "True once it is under the worker's id.",
    },
    "MarginPart": {
        "project_id": "Project concerned.",
        "generation": "Which of the project's contracts, in their order, says so.",
        "figures": "The figures; null where the project has left the ledger.",
        "cause": _CAUSE,
    },
    "Figures": {
        "contract_number": "Contract of the project.",
        "client_id": "Client, by its CRM account id.",
        "region": "Region of the project.",
        "currency": "Currency of all amounts (ISO 4217).",
        "approved_hours": f"Approved hours. {_TEXT}",
        "billable_hours": f"Approved billable hours. {_TEXT}",
        "labor_cost": f"Cost of approved hours. {_TEXT}",
        "expense_cost": f"Cost of approved expenses. {_TEXT}",
        "revenue": f"Revenue earned. {_TEXT}",
        "billed": f"Triggers less reversals. {_TEXT}",
        "held": f"Billable but held. {_TEXT}",
        "margin": f"Revenue less cost. {_TEXT}",
        "margin_pct": f"Margin over revenue, fraction of one; null without revenue. {_TEXT}",
        "percent_complete": f"Share of the work done, fraction of one. {_TEXT}",
        "remaining_hours": f"Hours still to be worked. {_TEXT}",
        "forecast_cost": f"Cost at completion. {_TEXT}",
        "forecast_revenue": f"Revenue at completion. {_TEXT}",
        "forecast_margin_pct": f"Margin at completion, fraction of one; null without revenue. {_TEXT}",
        "baseline_margin_pct": f"Margin planned at the start, fraction of one. {_TEXT}",
        "uncosted_hours": f"Approved hours without a cost rate. {_TEXT}",
        "uncosted_amount": f"Approved expenses without an exchange rate, in their own currencies. {_TEXT}",
    },
    "Claim": {
        "alert_kind": "Kind of the alert.",
        "entity_id": "What the alert is about.",
        "claimant": "Who claims it: a ledger, an invoice line, a posting.",
        "stance": "for, against, or none where the claimant says nothing any more.",
        "due_at": FieldDoc("When the condition becomes an alert (UTC).", Kind.TIMESTAMP),
        "measure": f"What was measured. {_TEXT}",
        "threshold": f"What it is held against. {_TEXT}",
        "severity": "Severity of the alert.",
        "project_id": "Project concerned.",
        "contract_number": "Contract concerned.",
        "client_id": "Client concerned, by its CRM account id.",
        "evidence": "What the alert shows, by name.",
        "cause": _CAUSE,
    },
}
