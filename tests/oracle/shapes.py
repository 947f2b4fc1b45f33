"""What a valid row of each feed looks like, so that the batch refuses the same row versions as the stream.

A shape is written as one line of fields: ``name`` is required text, ``name?`` may be null or absent, ``name:kind``
has a kind other than text. Kinds: bool, int, date, time, money, delta (money that may be negative), rate, fraction,
hours, a word list of MEANINGS, or ``[shape]`` for a list of objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

Row = dict[str, Any]

STAGE_CRM = {
    "Draft": "planned",
    "Activated": "active",
    "Suspended": "on_hold",
    "Expired": "closed",
    "Completed": "closed",
    "Terminated": "cancelled",
}
MEANINGS: dict[str, dict[str, str]] = {
    "stage_psa": {
        "Proposed": "planned",
        "In Delivery": "active",
        "Paused": "on_hold",
        "Completed": "closed",
        "Cancelled": "cancelled",
    },
    "stage_crm": STAGE_CRM,
    "stage_erp": {
        "PLANNED": "planned",
        "OPEN": "active",
        "HOLD": "on_hold",
        "CLOSED": "closed",
        "CANCELLED": "cancelled",
    },
    "milestone": {
        "Not Started": "planned",
        "Started": "in_progress",
        "Done": "completed",
        "Signed Off": "accepted",
        "Dropped": "cancelled",
    },
    "entry": {"Draft": "draft", "Submitted": "submitted", "Approved": "approved", "Rejected": "rejected"},
    "billing": {
        "T&M": "time_and_materials",
        "T&M NTE": "capped_time_and_materials",
        "Fixed Fee": "fixed_fee",
        "Retainer": "retainer",
    },
    "assignment": {"Confirmed": "confirmed", "Tentative": "tentative", "Cancelled": "cancelled"},
    "amendment": {"Draft": "draft", "Approved": "approved", "Rejected": "rejected"},
    "policy": {"PassThrough": "pass_through", "Markup": "markup", "NonBillable": "non_billable"},
    "invoice": {
        "Draft": "draft",
        "Posted": "posted",
        "Released": "released",
        "Paid": "paid",
        "Cancelled": "cancelled",
    },
    "customer": {"Active": "active", "Inactive": "inactive"},
    "period": {"open": "open", "closed": "closed"},
}

RATES = "Role Rate:rate EffectiveFrom:date"
LINES = {
    "Rates": RATES,
    "CostRates": "Rate:rate Currency EffectiveFrom:date",
    "InvoiceLines": "LineId TriggerId? MilestoneId? Amount:delta",
    "ScheduleLines": "Period Planned:delta Recognized:delta",
}
SHAPES: dict[str, str] = {
    "psa.public.clients": "id name crm_account_id status updated_at:time",
    "psa.public.resources": "id employee_id name updated_at:time",
    "psa.public.projects": "id name client_id contract_number? stage:stage_psa billing_hold:bool region legal_entity?"
    " cost_center? currency start_date:date end_date?:date budget_hours?:hours budget_cost?:money"
    " baseline_margin_pct?:fraction updated_at:time",
    "psa.public.milestones": "id project_id name amount?:money percent?:fraction due_date?:date status:milestone"
    " completed_at?:time accepted_at?:time updated_at:time",
    "psa.public.assignments": "id project_id resource_id role start_date:date end_date:date hours_per_week:hours"
    " status:assignment updated_at:time",
    "psa.public.time_entries": "id project_id resource_id role work_date:date hours:hours billable:bool status:entry"
    " approved_at?:time updated_at:time",
    "psa.public.expenses": "id project_id resource_id category expense_date:date amount:money currency billable:bool"
    " status:entry approved_at?:time updated_at:time",
    "crm.Account": "Id Name Status BillingCountry? LastModifiedDate:time",
    "crm.Opportunity": "Id AccountId Name StageName IsClosed:bool IsWon:bool Amount?:money CloseDate:date"
    " ContractNumber? LastModifiedDate:time",
    "crm.Contract": "ContractNumber AccountId OpportunityId? Status:stage_crm BillingType:billing CurrencyIsoCode"
    " Value?:money Cap?:money PeriodicFee?:money IncludedHours?:hours OverageRate?:rate ExpensePolicy:policy"
    " ExpenseMarkup?:fraction RequiresAcceptance:bool PoNumber? PoRequired:bool LegalEntity? StartDate:date"
    " EndDate?:date Rates:[Rates] LastModifiedDate:time",
    "crm.ContractAmendment": "Id ContractNumber Status:amendment EffectiveDate:date ValueDelta?:delta"
    " CapDelta?:delta NewEndDate?:date Rates:[Rates] LastModifiedDate:time",
    "hr.Worker": "EmployeeId Name Status Region CostCenter WeeklyCapacityHours:hours CostRates:[CostRates]"
    " LastModified:time",
    "erp.LegalEntity": "Id Name Currency Country TaxCode ErpSystem",
    "erp.Customer": "Id CrmAccountId LegalEntity Status:customer",
    "erp.Project": "ProjectId ErpProjectNumber LegalEntity CostCenter Status:stage_erp ContractVersion:int"
    " UpdatedAt:time",
    "erp.Invoice": "Id ProjectId ContractNumber Status:invoice Currency Lines:[InvoiceLines] PostedAt?:time"
    " ReleasedAt?:time",
    "erp.CostPosting": "Id ProjectId SourceKind SourceId Amount:money Currency PostedAt:time",
    "erp.RevenueSchedule": "Id ContractNumber Lines:[ScheduleLines]",
    "erp.FxRate": "FromCurrency ToCurrency Date:date Rate:rate",
    "erp.Period": "LegalEntity Period Status:period",
}
# digits in all, digits after the point
DIGITS = {"money": (20, 4), "delta": (20, 4), "rate": (20, 8), "fraction": (9, 6), "hours": (9, 4)}
UNSIGNED = {"money", "rate", "hours"}
MASTERS = {"crm.Contract", "psa.public.projects", "crm.Account", "hr.Worker", "erp.LegalEntity"}


@dataclass(frozen=True)
class Field:
    """One field of a shape."""

    name: str
    kind: str
    required: bool


def fields_of(shape: str) -> list[Field]:
    """Parse one shape line."""
    found = []
    for word in shape.split():
        name, _, kind = word.partition(":")
        found.append(Field(name.rstrip("?"), kind or "text", not name.endswith("?")))
    return found


FIELDS = {topic: fields_of(shape) for topic, shape in SHAPES.items()}
LINE_FIELDS = {name: fields_of(shape) for name, shape in LINES.items()}


def identity(topic: str, row: Row) -> str:
    """The identity of a row in its topic. Raises KeyError when the row does not carry it."""
    if topic == "erp.FxRate":
        return f"{row['FromCurrency']}:{row['ToCurrency']}:{row['Date']}"
    if topic == "erp.Period":
        return f"{row['LegalEntity']}:{row['Period']}"
    for name in ("id", "Id", "ContractNumber", "EmployeeId", "ProjectId"):
        if name in row:
            return str(row[name])
    raise KeyError(topic)


def fault(topic: str, row: Row) -> str | None:
    """Why this version is refused: "unmapped_value", "validation_failed" or None for a good one."""
    faults = [found for field in FIELDS[topic] if (found := _field_fault(field, row))]
    if "validation_failed" in faults:
        return "validation_failed"
    return faults[0] if faults else None


def _field_fault(field: Field, row: Row) -> str | None:
    value = row.get(field.name)
    if value is None:
        return "validation_failed" if field.required else None
    if field.kind.startswith("["):
        if not isinstance(value, list):
            return "validation_failed"
        parts = LINE_FIELDS[field.kind.strip("[]")]
        wrong = any(not isinstance(line, dict) or any(_field_fault(part, line) for part in parts) for line in value)
        return "validation_failed" if wrong else None
    if field.kind in MEANINGS:
        return None if value in MEANINGS[field.kind] else "unmapped_value"
    return None if _fits(field.kind, value) else "validation_failed"


def _fits(kind: str, value: Any) -> bool:
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if not isinstance(value, str):
        return False
    try:
        if kind == "date":
            date.fromisoformat(value)
        elif kind == "time":
            datetime.fromisoformat(value)
        elif kind in DIGITS:
            return _number_fits(kind, Decimal(value))
    except (ValueError, InvalidOperation):
        return False
    return True


def _number_fits(kind: str, number: Decimal) -> bool:
    if not number.is_finite() or (kind in UNSIGNED and number < 0):
        return False
    total, after_point = DIGITS[kind]
    shift = number.scaleb(after_point)
    return shift == shift.to_integral_value() and abs(shift) < Decimal(10) ** total
