"""The row fields of every source topic as the domain names them, written down independently of the generator."""

import re

TEXT = r".+"
ID = r"[A-Za-z0-9-]+"
DECIMAL = r"-?\d+(\.\d+)?"
DAY = r"\d{4}-\d{2}-\d{2}"
MONTH = r"\d{4}-\d{2}"
TIME = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z"
CURRENCY = r"EUR|USD|GBP|JPY|KWD|CHF"
BOOL = "bool"
COUNT = "count"


def one_of(*words: str) -> str:
    return "|".join(re.escape(word) for word in words)


# Field -> pattern; `?` after a field's name: it may be null. A dict: a list of records with these fields.
RATES = {"Role": TEXT, "Rate": DECIMAL, "EffectiveFrom": DAY}
FIELDS: dict[str, dict[str, object]] = {
    "psa.public.clients": {
        "id": ID,
        "name": TEXT,
        "crm_account_id": ID,
        "status": one_of("Active"),
        "updated_at": TIME,
    },
    "psa.public.resources": {"id": ID, "employee_id": ID, "name": TEXT, "updated_at": TIME},
    "psa.public.projects": {
        "id": ID,
        "name": TEXT,
        "client_id": ID,
        "contract_number?": ID,
        "stage": one_of("Proposed", "In Delivery", "Paused", "Completed", "Cancelled"),
        "billing_hold": BOOL,
        "region": one_of("EMEA", "AMER", "APAC"),
        "legal_entity?": ID,
        "cost_center?": ID,
        "currency": CURRENCY,
        "start_date": DAY,
        "end_date?": DAY,
        "budget_hours?": DECIMAL,
        "budget_cost?": DECIMAL,
        "baseline_margin_pct?": DECIMAL,
        "updated_at": TIME,
    },
    "psa.public.milestones": {
        "id": ID,
        "project_id": ID,
        "name": TEXT,
        "amount?": DECIMAL,
        "percent?": DECIMAL,
        "due_date?": DAY,
        "status": one_of("Not Started", "Started", "Done", "Signed Off", "Dropped"),
        "completed_at?": TIME,
        "accepted_at?": TIME,
        "updated_at": TIME,
    },
    "psa.public.assignments": {
        "id": ID,
        "project_id": ID,
        "resource_id": ID,
        "role": TEXT,
        "start_date": DAY,
        "end_date": DAY,
        "hours_per_week": DECIMAL,
        "status": one_of("Confirmed", "Tentative", "Cancelled"),
        "updated_at": TIME,
    },
    "psa.public.time_entries": {
        "id": ID,
        "project_id": ID,
        "resource_id": ID,
        "role": TEXT,
        "work_date": DAY,
        "hours": DECIMAL,
        "billable": BOOL,
        "status": TEXT,
        "approved_at?": TIME,
        "updated_at": TIME,
    },
    "psa.public.expenses": {
        "id": ID,
        "project_id": ID,
        "resource_id": ID,
        "category": TEXT,
        "expense_date": DAY,
        "amount": DECIMAL,
        "currency": CURRENCY,
        "billable": BOOL,
        "status": one_of("Draft", "Submitted", "Approved", "Rejected"),
        "approved_at?": TIME,
        "updated_at": TIME,
    },
    "crm.Account": {
        "Id": ID,
        "Name": TEXT,
        "Status": one_of("Active"),
        "BillingCountry?": r"[A-Z]{2}",
        "LastModifiedDate": TIME,
    },
    "crm.Opportunity": {
        "Id": ID,
        "AccountId": ID,
        "Name": TEXT,
        "StageName": TEXT,
        "IsClosed": BOOL,
        "IsWon": BOOL,
        "Amount?": DECIMAL,
        "CloseDate": DAY,
        "ContractNumber?": ID,
        "LastModifiedDate": TIME,
    },
    "crm.Contract": {
        "ContractNumber": ID,
        "AccountId": ID,
        "OpportunityId?": ID,
        "Status": one_of("Draft", "Activated", "Suspended", "Expired", "Completed", "Terminated"),
        "BillingType": one_of("T&M", "T&M NTE", "Fixed Fee", "Retainer"),
        "CurrencyIsoCode": CURRENCY,
        "Value?": DECIMAL,
        "Cap?": DECIMAL,
        "PeriodicFee?": DECIMAL,
        "IncludedHours?": DECIMAL,
        "OverageRate?": DECIMAL,
        "ExpensePolicy": one_of("PassThrough", "Markup", "NonBillable"),
        "ExpenseMarkup?": r"0\.\d+",
        "RequiresAcceptance": BOOL,
        "PoNumber?": ID,
        "PoRequired": BOOL,
        "LegalEntity?": ID,
        "StartDate": DAY,
        "EndDate?": DAY,
        "Rates": RATES,
        "LastModifiedDate": TIME,
    },
    "crm.ContractAmendment": {
        "Id": ID,
        "ContractNumber": ID,
        "Status": one_of("Draft", "Approved", "Rejected"),
        "EffectiveDate": DAY,
        "ValueDelta?": DECIMAL,
        "CapDelta?": DECIMAL,
        "NewEndDate?": DAY,
        "Rates": RATES,
        "LastModifiedDate": TIME,
    },
    "hr.Worker": {
        "EmployeeId": ID,
        "Name": TEXT,
        "Status": one_of("Active"),
        "Region": one_of("EMEA", "AMER", "APAC"),
        "CostCenter": ID,
        "WeeklyCapacityHours": DECIMAL,
        "CostRates": {"Rate": DECIMAL, "Currency": CURRENCY, "EffectiveFrom": DAY},
        "LastModified": TIME,
    },
    "erp.LegalEntity": {
        "Id": ID,
        "Name": TEXT,
        "Currency": CURRENCY,
        "Country": r"[A-Z]{2}",
        "TaxCode": ID,
        "ErpSystem": ID,
    },
    "erp.Customer": {"Id": ID, "CrmAccountId": ID, "LegalEntity": ID, "Status": one_of("Active", "Inactive")},
    "erp.Project": {
        "ProjectId": ID,
        "ErpProjectNumber": ID,
        "LegalEntity": ID,
        "CostCenter": ID,
        "Status": one_of("PLANNED", "OPEN", "HOLD", "CLOSED", "CANCELLED"),
        "ContractVersion": COUNT,
        "UpdatedAt": TIME,
    },
    "erp.Invoice": {
        "Id": ID,
        "ProjectId": ID,
        "ContractNumber": ID,
        "Status": one_of("Draft", "Posted", "Released", "Paid", "Cancelled"),
        "Currency": CURRENCY,
        "Lines": {"LineId": ID, "TriggerId?": r"[0-9a-f-]{36}", "MilestoneId?": ID, "Amount": DECIMAL},
        "PostedAt?": TIME,
        "ReleasedAt?": TIME,
    },
    "erp.CostPosting": {
        "Id": ID,
        "ProjectId": ID,
        "SourceKind": one_of("time_entry", "expense"),
        "SourceId": ID,
        "Amount": DECIMAL,
        "Currency": CURRENCY,
        "PostedAt": TIME,
    },
    "erp.RevenueSchedule": {
        "Id": ID,
        "ContractNumber": ID,
        "Lines": {"Period": MONTH, "Planned": DECIMAL, "Recognized": DECIMAL},
    },
    "erp.FxRate": {"FromCurrency": CURRENCY, "ToCurrency": CURRENCY, "Date": DAY, "Rate": DECIMAL},
    "erp.Period": {"LegalEntity": ID, "Period": MONTH, "Status": one_of("open", "closed")},
}

# What tells the rows of a topic apart, and what its records are keyed by.
IDENTITY = {
    "crm.Contract": ("ContractNumber",),
    "hr.Worker": ("EmployeeId",),
    "erp.Project": ("ProjectId",),
    "erp.FxRate": ("FromCurrency", "ToCurrency", "Date"),
    "erp.Period": ("LegalEntity", "Period"),
}
KEY = IDENTITY | {
    "psa.public.milestones": ("project_id",),
    "psa.public.assignments": ("project_id",),
    "psa.public.time_entries": ("project_id",),
    "psa.public.expenses": ("project_id",),
    "crm.ContractAmendment": ("ContractNumber",),
    "erp.Invoice": ("ProjectId",),
    "erp.CostPosting": ("ProjectId",),
}


def named_by(fields: tuple[str, ...] | None, topic: str, row: dict[str, object]) -> str:
    """The fields' values as one text; without fields, the row's own id."""
    if fields is None:
        fields = ("id",) if topic.startswith("psa.") else ("Id",)
    return ":".join(str(row[field]) for field in fields)


def identity_of(topic: str, row: dict[str, object]) -> tuple[str, str]:
    return topic, named_by(IDENTITY.get(topic), topic, row)


def key_of(topic: str, row: dict[str, object]) -> str:
    return named_by(KEY.get(topic), topic, row)


def misfits(row: dict[str, object], fields: dict[str, object]) -> list[str]:
    """What of a row is not as its fields say."""
    names = {name.removesuffix("?") for name in fields}
    wrong = [f"{name}: one too many" for name in row.keys() - names] + [
        f"{name}: missing" for name in names - row.keys()
    ]
    for name, wanted in fields.items():
        value = row.get(name.removesuffix("?"))
        if value is None and name.endswith("?"):
            continue
        if isinstance(wanted, dict):
            items = value if isinstance(value, list) else [{}]
            wrong += [f"{name}.{misfit}" for item in items for misfit in misfits(item, wanted)]
        elif wanted == BOOL:
            wrong += [] if isinstance(value, bool) else [f"{name}: {value!r}"]
        elif wanted == COUNT:
            wrong += [] if type(value) is int and value >= 0 else [f"{name}: {value!r}"]
        elif not isinstance(value, str) or not re.fullmatch(str(wanted), value):
            wrong.append(f"{name}: {value!r}")
    return wrong
