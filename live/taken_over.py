"""A firm that was taken over: what its people do in their Tryton, and what the other systems say of them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

from firm.masters import Master
from firm.wire import Record, Row, Wire
from live.second_psa import Crosswalk
from live.tryton import Line, Project, TrytonAtWork

ACCOUNT, LEGAL_ENTITY, REGION = "ACC-HAFEN", "LE-DE", "EMEA"
ROLLOUT, SUPPORT = "C-HAFEN-1", "C-HAFEN-2"
"""Contracts of the two projects."""

_FIRST_DAY: Final = date(2025, 2, 3)
_ROLES: Final = {"Analysis": "Analyst", "Build": "Engineer", "Incidents": "Engineer"}
_HOURS: Final = (
    timedelta(hours=7, minutes=30), timedelta(minutes=20), timedelta(hours=3, minutes=15), timedelta(hours=8)
)  # fmt: skip


class TakenOver:
    """One customer, two people and two projects, made at once; what follows is done by whoever calls."""

    def __init__(self, at_work: TrytonAtWork) -> None:
        self.at_work = at_work
        self.customer = at_work.customer("Hafen Logistik GmbH")
        self.people = {at_work.hire("Ada Brandt"): "W-BRANDT", at_work.hire("Jon Okafor"): "W-OKAFOR"}
        self.rollout = at_work.open_project("Warehouse rollout", self.customer, ["Analysis", "Build"])
        self.support = at_work.open_project("Support", self.customer, ["Incidents"])

    def crosswalk(self, contracts: Mapping[str, str]) -> Crosswalk:
        """What Tryton's ids are called elsewhere; `contracts`: of the projects, by their ids as text."""
        return {
            "accounts": {str(self.customer): ACCOUNT},
            "employees": {str(employee): worker for employee, worker in self.people.items()},
            "contracts": contracts,
            "regions": {str(self.at_work.company): REGION},
            "legal_entities": {str(self.at_work.company): LEGAL_ENTITY},
            "task_roles": _ROLES,
            "employee_roles": {str(employee): "Consultant" for employee in self.people},
        }

    def lines(self, project: Project, days: int) -> Iterator[Line]:
        """Time that is to be recorded for a project: every work of it in turn, by both people, on weekdays."""
        works = [*project.works.values()]
        for number in range(days):
            day = _FIRST_DAY + timedelta(weeks=number // 5, days=number % 5)
            for at, employee in enumerate(self.people):
                duration = _HOURS[(number + at) % len(_HOURS)]
                yield Line(works[(number + at) % len(works)], employee, day, duration)

    def told_elsewhere(self) -> list[Record]:
        """What CRM, HR and ERP say: an account, a contract for each project, the customer, and what people cost."""
        wire = Wire()
        at_ms = int(datetime(2025, 1, 20, 9, tzinfo=UTC).timestamp()) * 1000
        account = {"Id": ACCOUNT, "Name": "Hafen Logistik GmbH", "Status": "Active", "BillingCountry": "DE"}
        Master(wire, "crm.Account", ACCOUNT, "LastModifiedDate").open(at_ms, account)
        for number, ends in ((ROLLOUT, None), (SUPPORT, "2025-02-21")):
            Master(wire, "crm.Contract", number, "LastModifiedDate").open(at_ms, _contract(number, ends))
        customer = {"Id": "CU-HAFEN", "CrmAccountId": ACCOUNT, "LegalEntity": LEGAL_ENTITY, "Status": "Active"}
        Master(wire, "erp.Customer", "CU-HAFEN").open(at_ms, customer)
        for worker, rate in zip(self.people.values(), ("61.40", "55.00"), strict=True):
            Master(wire, "hr.Worker", worker, "LastModified").open(at_ms, _worker(worker, rate))
        return wire.close()


def _contract(number: str, ends: str | None) -> Row:
    rates = [
        ("Analyst", "120.00", "2025-01-01"),
        ("Analyst", "125.50", "2025-02-17"),
        ("Engineer", "95.50", "2025-01-01"),
    ]
    rates += [("Engineer", "95.50", "2025-01-01"), ("*", "80.00", "2025-01-01")]
    return {
        "ContractNumber": number,
        "AccountId": ACCOUNT,
        "OpportunityId": None,
        "Status": "Activated",
        "BillingType": "T&M",
        "CurrencyIsoCode": "EUR",
        **dict.fromkeys(["Value", "Cap", "PeriodicFee", "IncludedHours", "OverageRate", "ExpenseMarkup", "PoNumber"]),
        "ExpensePolicy": "PassThrough",
        "RequiresAcceptance": False,
        "PoRequired": False,
        "LegalEntity": LEGAL_ENTITY,
        "StartDate": "2025-02-01",
        "EndDate": ends,
        "Rates": [{"Role": role, "Rate": rate, "EffectiveFrom": day} for role, rate, day in rates],
    }


def _worker(worker: str, rate: str) -> Row:
    return {
        "EmployeeId": worker,
        "Name": worker,
        "Status": "Active",
        "Region": REGION,
        "CostCenter": "CC-110",
        "WeeklyCapacityHours": "40",
        "CostRates": [{"Rate": rate, "Currency": "EUR", "EffectiveFrom": "2024-01-01"}],
    }
