"""A small firm's feeds, written a change at a time: what tests give to the topology.

Every change comes a minute after the one before, at a later position; `at` sets the clock of the source.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]

_PSA = "psa.public."
_CONNECTORS = {"psa": "postgresql", "crm": "crm-feed", "hr": "hr-feed", "erp": "erp-feed"}
_IDENTITIES = {
    "crm.Contract": ("ContractNumber",),
    "hr.Worker": ("EmployeeId",),
    "erp.Project": ("ProjectId",),
    "erp.FxRate": ("FromCurrency", "ToCurrency", "Date"),
    "erp.Period": ("LegalEntity", "Period"),
}
_KEYS = {
    **dict.fromkeys((_PSA + name for name in ("milestones", "assignments", "time_entries", "expenses")), "project_id"),
    "crm.ContractAmendment": "ContractNumber",
    "erp.Invoice": "ProjectId",
    "erp.CostPosting": "ProjectId",
}
_CHANGED_AT = {
    "hr.Worker": "LastModified",
    "erp.Project": "UpdatedAt",
    **dict.fromkeys(("crm.Account", "crm.Opportunity", "crm.Contract", "crm.ContractAmendment"), "LastModifiedDate"),
}
_DEFAULTS: dict[str, Json] = {
    "crm.Account": {"Name": "Acme", "Status": "Active", "BillingCountry": "DE"},
    "crm.Opportunity": {
        "AccountId": "A1", "Name": "A deal", "StageName": "Negotiation", "IsClosed": False, "IsWon": False,
        "Amount": None, "CloseDate": "2026-01-31", "ContractNumber": "C1",
    },
    "crm.Contract": {
        "AccountId": "A1", "OpportunityId": None, "Status": "Activated", "BillingType": "T&M", "CurrencyIsoCode": "EUR",
        "Value": None, "Cap": None, "PeriodicFee": None, "IncludedHours": None, "OverageRate": None,
        "ExpensePolicy": "PassThrough", "ExpenseMarkup": None, "RequiresAcceptance": False, "PoNumber": None,
        "PoRequired": False, "LegalEntity": "LE1", "StartDate": "2026-01-01", "EndDate": "2026-12-31",
        "Rates": [{"Role": "Engineer", "Rate": "100", "EffectiveFrom": "2026-01-01"}],
    },
    "crm.ContractAmendment": {
        "ContractNumber": "C1", "Status": "Approved", "EffectiveDate": "2026-01-01", "ValueDelta": None,
        "CapDelta": None, "NewEndDate": None, "Rates": [],
    },
    "hr.Worker": {
        "Name": "A worker", "Status": "Active", "Region": "EMEA", "CostCenter": "CC1", "WeeklyCapacityHours": "40",
        "CostRates": [{"Rate": "60", "Currency": "EUR", "EffectiveFrom": "2026-01-01"}],
    },
    "erp.LegalEntity": {
        "Name": "A company", "Currency": "EUR", "Country": "DE", "TaxCode": "VAT-1", "ErpSystem": "netsuite",
    },
    "erp.Customer": {"CrmAccountId": "A1", "LegalEntity": "LE1", "Status": "Active"},
    "erp.Project": {
        "ErpProjectNumber": "N-1", "LegalEntity": "LE1", "CostCenter": "CC1", "Status": "OPEN", "ContractVersion": 0,
    },
    "erp.Invoice": {
        "ProjectId": "P1", "ContractNumber": "C1", "Status": "Posted", "Currency": "EUR", "Lines": [],
        "PostedAt": None, "ReleasedAt": None,
    },
    "erp.CostPosting": {
        "ProjectId": "P1", "SourceKind": "expense", "SourceId": "X1", "Amount": "100", "Currency": "EUR",
        "PostedAt": "2026-02-01T00:00:00Z",
    },
    "erp.RevenueSchedule": {"ContractNumber": "C1", "Lines": []},
    "erp.FxRate": {"FromCurrency": "USD", "ToCurrency": "EUR", "Date": "2026-02-01", "Rate": "0.9"},
    "erp.Period": {"LegalEntity": "LE1", "Period": "2026-02", "Status": "open"},
    _PSA + "clients": {"name": "Acme", "crm_account_id": "A1", "status": "Active"},
    _PSA + "resources": {"employee_id": "E1", "name": "A worker"},
    _PSA + "projects": {
        "name": "A project", "client_id": "CL1", "contract_number": "C1", "stage": "In Delivery", "billing_hold": False,
        "region": "EMEA", "legal_entity": None, "cost_center": None, "currency": "EUR", "start_date": "2026-01-01",
        "end_date": None, "budget_hours": None, "budget_cost": None, "baseline_margin_pct": None,
    },
    _PSA + "milestones": {
        "project_id": "P1", "name": "A milestone", "amount": None, "percent": None, "due_date": None,
        "status": "Started", "completed_at": None, "accepted_at": None,
    },
    _PSA + "assignments": {
        "project_id": "P1", "resource_id": "R1", "role": "Engineer", "start_date": "2026-02-02",
        "end_date": "2026-02-27", "hours_per_week": "40", "status": "Confirmed",
    },
    _PSA + "time_entries": {
        "project_id": "P1", "resource_id": "R1", "role": "Engineer", "work_date": "2026-02-03", "hours": "8",
        "billable": True, "status": "Approved", "approved_at": "2026-02-04T08:00:00Z",
    },
    _PSA + "expenses": {
        "project_id": "P1", "resource_id": "R1", "category": "travel", "expense_date": "2026-02-04", "amount": "100",
        "currency": "EUR", "billable": True, "status": "Approved", "approved_at": "2026-02-05T08:00:00Z",
    },
}  # fmt: skip
_STAMPED = {**_CHANGED_AT, **{topic: "updated_at" for topic in _DEFAULTS if topic.startswith(_PSA)}}


class Feed:
    """The changes of a firm, in the order in which they are written. `records` are lines of a replay file."""

    def __init__(self, start: str = "2026-01-02T09:00:00Z") -> None:
        self.records: list[Json] = []
        self._now = _moment(start)
        self._position = 0
        self._rows: dict[tuple[str, str], Json] = {}

    def at(self, moment: str) -> "Feed":
        """Set the clock of the source."""
        self._now = _moment(moment)
        return self

    def put(self, topic: str, **fields: Any) -> Json:
        """Create a row, or change the fields named of one that is there; return the record."""
        place = topic, ":".join(str({**_DEFAULTS[topic], **fields}[name]) for name in identity_of(topic))
        before = self._rows.get(place)
        changed_at = {_STAMPED[topic]: self._stamp()} if topic in _STAMPED else {}
        row = {**(before or _DEFAULTS[topic]), **changed_at, **fields}
        self._rows[place] = row
        return self.add(topic, "c" if before is None else "u", before, row)

    def delete(self, topic: str, identity: str) -> Json:
        """Delete a row that is there."""
        return self.add(topic, "d", self._rows.pop((topic, identity)), None)

    def row(self, topic: str, identity: str) -> Json:
        """Return a row as it is."""
        return self._rows[topic, identity]

    def add(self, topic: str, op: str, before: Json | None, after: Json | None, position: int | None = None) -> Json:
        """Write a change as it is given, whatever it says."""
        self._position += 10
        self._now += timedelta(minutes=1)
        instant = int(self._now.timestamp() * 1000)
        key_of = after or before or {}
        system = topic.split(".", 1)[0]
        record = {
            "topic": topic,
            "key": key_of_row(topic, key_of),
            "value": {
                "before": before,
                "after": after,
                "op": op,
                "ts_ms": instant + 800,
                "source": {
                    "connector": _CONNECTORS.get(system, "other"),
                    "name": system,
                    "ts_ms": instant,
                    "snapshot": False,
                    "position": self._position if position is None else position,
                },
            },
            "timestamp": instant + 900,
        }
        self.records.append(record)
        return record

    def _stamp(self) -> str:
        return (self._now + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    # -- the rows that most tests begin with

    def masters(self) -> "Feed":
        """One client, worker, legal entity and customer."""
        self.put("crm.Account", Id="A1")
        self.put(_PSA + "clients", id="CL1")
        self.put(_PSA + "resources", id="R1")
        self.put("hr.Worker", EmployeeId="E1")
        self.put("erp.LegalEntity", Id="LE1")
        self.put("erp.Customer", Id="CU1")
        return self

    def contract(self, **fields: Any) -> Json:
        """Contract C1, or another `ContractNumber`: by default time and materials, 100 an hour for an Engineer."""
        return self.put("crm.Contract", **{"ContractNumber": "C1", **fields})

    def amendment(self, identity: str, **fields: Any) -> Json:
        """An amendment, by default approved and without any change."""
        return self.put("crm.ContractAmendment", Id=identity, **fields)

    def project(self, **fields: Any) -> Json:
        """Project P1, or another `id`, by default of C1."""
        return self.put(_PSA + "projects", **{"id": "P1", **fields})

    def entry(self, identity: str, **fields: Any) -> Json:
        """A time entry, by default 8 approved and billable hours of an Engineer on 3 February."""
        return self.put(_PSA + "time_entries", id=identity, **fields)

    def expense(self, identity: str, **fields: Any) -> Json:
        """An expense, by default 100 EUR, approved and billable, of 4 February."""
        return self.put(_PSA + "expenses", id=identity, **fields)

    def milestone(self, identity: str, **fields: Any) -> Json:
        """A milestone, by default started and without value."""
        return self.put(_PSA + "milestones", id=identity, **fields)

    def assignment(self, identity: str, **fields: Any) -> Json:
        """An assignment, by default confirmed for 40 hours a week in February."""
        return self.put(_PSA + "assignments", id=identity, **fields)


def firm(**contract: Any) -> Feed:
    """Return the feeds of a firm with contract C1 and its project P1."""
    feed = Feed().masters()
    feed.contract(**contract)
    feed.project()
    return feed


def identity_of(topic: str) -> tuple[str, ...]:
    """Return the fields that identify a row of a topic."""
    return _IDENTITIES.get(topic, ("id",) if topic.startswith(_PSA) else ("Id",))


def key_of_row(topic: str, row: Json) -> str:
    """Return the record key of a row."""
    names = (_KEYS[topic],) if topic in _KEYS else identity_of(topic)
    return ":".join(str(row.get(name)) for name in names)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
