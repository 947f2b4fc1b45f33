"""What the ERPs tell of their masters: legal entities, periods, customers and projects."""

from __future__ import annotations

from firm.agenda import Agenda
from firm.books import Books
from firm.chance import Chance
from firm.company import COMPANIES, Company
from firm.contracts import Amendment, Client, Contract
from firm.crm import EXPIRED_FOR_DAYS, activation_ms, closing_ms
from firm.delivery import Project
from firm.masters import Master
from firm.moments import DAY_MS, HOUR_MS, MINUTE_MS, first_of_month, month_starts, month_text, next_workday
from firm.size import FirmSize
from firm.wire import Wire


class Finance:
    """Puts everything the ERPs will tell of their masters on the agenda."""

    def __init__(self, size: FirmSize, wire: Wire, agenda: Agenda, books: Books) -> None:
        self._size = size
        self._wire = wire
        self._agenda = agenda
        self._books = books
        self._chance = Chance(size.seed, "finance")
        for number, company in enumerate(COMPANIES):
            at_ms = size.first_day * DAY_MS + 6 * HOUR_MS + number * 1000
            agenda.put(at_ms, Master(wire, "erp.LegalEntity", company.code).open, company.row())
            for month in month_starts(size.first_day, size.end_day + 40):
                self._plan_period(company, month)

    def plan_customer(self, client: Client, company: Company, first: Contract) -> None:
        """The client as one legal entity's ERP invoices it: set up before its `first` contract, or as a story says."""
        day = max(self._size.first_day + 1, first.starts - 5)
        if "customer late" in first.stories:
            day = first.starts + self._chance.between(12, 25)
        at_ms = day * DAY_MS + 8 * HOUR_MS + self._chance.below(60) * MINUTE_MS
        master = Master(self._wire, "erp.Customer", _customer_id(client, company))
        self._agenda.put(at_ms, self._open_customer, master, client, company)
        if "customer blocked" in first.stories:
            blocked = max(first.starts + 3, self._size.end_day - EXPIRED_FOR_DAYS) * DAY_MS + 9 * HOUR_MS
            self._agenda.put(max(blocked, at_ms + DAY_MS), self._block_customer, master, client, company)

    def plan_project(self, project: Project, sold: int) -> None:
        """The ERP's dimensions of a project: planned when sold, open with delivery; one in ten is late."""
        contract = project.contract
        if "legal entity missing" in contract.stories:
            return
        active = activation_ms(contract) + self._chance.between(20, 80) * MINUTE_MS
        planned = sold * DAY_MS + 16 * HOUR_MS + self._chance.below(60) * MINUTE_MS
        if "legal entity late" in contract.stories or self._chance.percent(10):
            late = active + self._chance.between(4, 16) * DAY_MS
            self._agenda.put(late, self._open_project, project, "OPEN")
        else:
            self._agenda.put(planned, self._open_project, project, "PLANNED")
            self._agenda.put(active, self._set_project, project, {"Status": "OPEN"})
        if "ERP project on hold" in contract.stories:
            day = max(contract.starts + 20, self._size.end_day - 20)
            self._agenda.put(day * DAY_MS + 14 * HOUR_MS, self._set_project, project, {"Status": "HOLD"})
        elif contract.ends is not None:
            self._agenda.put(closing_ms(contract) + 30 * MINUTE_MS, self._set_project, project, {"Status": "CLOSED"})
        for amendment in contract.amendments:
            if amendment.approved and amendment.taken_over_ms is not None:
                self._agenda.put(amendment.taken_over_ms, self._take_over, project, amendment)

    def _plan_period(self, company: Company, month: int) -> None:
        master = Master(self._wire, "erp.Period", f"{company.code}:{month_text(month)}")
        opened = max(self._size.first_day * DAY_MS + 7 * HOUR_MS, (month - 15) * DAY_MS)
        row = {"LegalEntity": company.code, "Period": month_text(month), "Status": "open"}
        self._agenda.put(opened, master.open, row)
        closes = next_workday(first_of_month(month + 31) + self._chance.between(5, 9))
        at_ms = closes * DAY_MS + 15 * HOUR_MS
        self._agenda.put(at_ms, self._set_period, master, "closed")
        if self._chance.percent(3):  # one more cost, after all
            self._agenda.put(at_ms + 2 * DAY_MS, self._set_period, master, "open")
            self._agenda.put(at_ms + 3 * DAY_MS, self._set_period, master, "closed")

    def _set_period(self, at_ms: int, master: Master, status: str) -> None:
        master.change(at_ms, Status=status)

    def _open_customer(self, at_ms: int, master: Master, client: Client, company: Company) -> None:
        row = {"CrmAccountId": client.account_id, "LegalEntity": company.code, "Status": "Active"}
        master.open(at_ms, {"Id": _customer_id(client, company)} | row)
        client.customers.add(company.code)
        for contract in client.contracts:
            self._books.amended(contract)

    def _block_customer(self, at_ms: int, master: Master, client: Client, company: Company) -> None:
        """Somebody did not pay: nothing more is invoiced to the client."""
        master.change(at_ms, Status="Inactive")
        client.customers.discard(company.code)

    def _open_project(self, at_ms: int, project: Project, status: str) -> None:
        project.erp = Master(self._wire, "erp.Project", project.id, "UpdatedAt")
        row = project.erp_row(status)
        row["ContractVersion"] = len(project.contract.approved)
        project.erp.open(at_ms, row)
        self._books.again(project)

    def _set_project(self, at_ms: int, project: Project, fields: dict[str, object]) -> None:
        if project.erp is not None:
            project.erp.change(at_ms, **fields)

    def _take_over(self, at_ms: int, project: Project, amendment: Amendment) -> None:
        """Finance counts the amendment, and those before it, in the ERP's project."""
        contract = amendment.contract
        if project.erp is not None and project.contract is contract and amendment in contract.approved:
            counted = project.erp.row["ContractVersion"] if project.erp.row else 0
            version = max(counted, contract.approved.index(amendment) + 1)
            self._set_project(at_ms, project, {"ContractVersion": version})


def _customer_id(client: Client, company: Company) -> str:
    return f"CU{client.number:04d}-{company.code[3:]}"
