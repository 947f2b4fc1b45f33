"""What the CRM tells: accounts, opportunities, contracts and amendments, each when it happens."""

from __future__ import annotations

from firm.agenda import Agenda
from firm.books import Books
from firm.chance import Chance
from firm.coins import text_of
from firm.contracts import FIXED_FEE, Amendment, Client, Contract
from firm.masters import Master
from firm.moments import DAY_MS, HOUR_MS, MINUTE_MS, day_text, next_workday
from firm.size import FirmSize
from firm.wire import Row, Wire

_FUNNEL = (("Prospecting", 60), ("Proposal", 30), ("Negotiation", 12))
CLOSED_AFTER_DAYS = 4
EXPIRED_FOR_DAYS = 30  # how long before the end of the history an open hold began


def sold_day(contract: Contract, size: FirmSize, chance: Chance) -> int:
    """Day on which a contract is won: some weeks before it starts, but within the history."""
    return max(size.first_day + 1, contract.starts - chance.between(6, 25))


def activation_ms(contract: Contract) -> int:
    """Moment at which delivery starts in all systems: before the first time entry of the first day."""
    return contract.starts * DAY_MS + 4 * HOUR_MS + int(contract.number[1:]) % 50 * MINUTE_MS


def closing_ms(contract: Contract) -> int:
    """Moment at which a contract that has run its course is closed in all systems."""
    ends = [contract.works_until, contract.ends or 0]
    ends += [amendment.new_end or 0 for amendment in contract.amendments if amendment.approved]
    return (max(ends) + CLOSED_AFTER_DAYS) * DAY_MS + 16 * HOUR_MS


class Crm:
    """Puts everything the CRM will tell on the agenda."""

    def __init__(self, size: FirmSize, wire: Wire, agenda: Agenda, books: Books) -> None:
        self._size = size
        self._wire = wire
        self._agenda = agenda
        self._books = books
        self._chance = Chance(size.seed, "crm")

    def plan_account(self, client: Client) -> None:
        """An account, and now and then a new name for it."""
        at_ms = self._size.first_day * DAY_MS + 8 * HOUR_MS + client.number * 500
        master = Master(self._wire, "crm.Account", client.account_id, "LastModifiedDate")
        row = {
            "Id": client.account_id,
            "Name": client.name,
            "Status": "Active",
            "BillingCountry": client.country,
        }
        self._agenda.put(at_ms, master.open, row)
        if self._chance.percent(4):
            renamed = self._chance.between(self._size.work_from, self._size.end_day - 1) * DAY_MS + 11 * HOUR_MS
            self._agenda.put(renamed, lambda at: master.change(at, Name=f"{client.name} Group"))

    def plan_contract(self, contract: Contract, sold: int) -> None:
        """The opportunity, the contract from draft to its end, and its amendments."""
        sold_ms = sold * DAY_MS + 9 * HOUR_MS + self._chance.below(300) * MINUTE_MS
        self._plan_won(contract, sold, sold_ms)
        if "contract unknown" in contract.stories:
            return
        master = Master(self._wire, "crm.Contract", contract.number, "LastModifiedDate")
        late = (contract.starts + 20) * DAY_MS + 10 * HOUR_MS if "contract told late" in contract.stories else 0
        row = contract.row()
        if "purchase order late" in contract.stories:
            row["PoNumber"], number = None, contract.po_number
            contract.po_number = None
            arrives = (contract.starts + self._chance.between(15, 30)) * DAY_MS + 12 * HOUR_MS
            self._agenda.put(max(arrives, late + HOUR_MS), self._purchase_order, contract, master, number)
        if "purchase order expired" in contract.stories:
            day = max(contract.starts + 3, self._size.end_day - EXPIRED_FOR_DAYS)
            self._agenda.put(max(day * DAY_MS, late + HOUR_MS), self._purchase_order, contract, master, None)
        drafted = late or sold_ms - HOUR_MS
        self._agenda.put(drafted, self._open, contract, master, row)
        self._plan_stages(contract, master, late)
        for amendment in contract.amendments:
            self._plan_amendment(amendment, late)

    def plan_lost(self, clients: list[Client], count: int) -> None:
        """Opportunities that come to nothing."""
        for number in range(count):
            day = next_workday(self._chance.between(self._size.work_from, self._size.end_day - 3))
            client = self._chance.of(clients)
            opened = self._opportunity(f"OX{number:05d}", client, "Assessment", day + 40)
            master = Master(self._wire, "crm.Opportunity", opened["Id"], "LastModifiedDate")
            at_ms = day * DAY_MS + 13 * HOUR_MS
            self._agenda.put(at_ms, master.open, opened)
            lost = at_ms + self._chance.between(10, 50) * DAY_MS
            self._agenda.put(lost, lambda at, one=master: one.change(at, StageName="Closed Lost", IsClosed=True))

    def plan_just_won(self, clients: list[Client], count: int) -> None:
        """Opportunities won in the last days: a contract is drafted, or for each third forgotten; nothing is set up."""
        for number in range(count):
            at_ms = (self._size.end_day - 2) * DAY_MS + 9 * HOUR_MS + number * 7 * MINUTE_MS
            client = self._chance.of(clients)
            starts = self._size.end_day + self._chance.between(5, 30)
            row = self._opportunity(f"OW{number:05d}", client, "Rollout", self._size.end_day - 2)
            row |= {"StageName": "Closed Won", "IsClosed": True, "IsWon": True}
            if number % 3 != 2:
                row["ContractNumber"] = f"CW{number:04d}"
                contract_number = row["ContractNumber"]
                currency = client.company.currency
                contract = Contract(contract_number, client, client.company, currency, "T&M", starts, starts + 90, 0)
                draft = contract.row() | {"OpportunityId": row["Id"]}
                master = Master(self._wire, "crm.Contract", contract.number, "LastModifiedDate")
                self._agenda.put(at_ms - HOUR_MS, master.open, draft)
            self._agenda.put(at_ms, Master(self._wire, "crm.Opportunity", row["Id"], "LastModifiedDate").open, row)

    def _opportunity(self, opportunity_id: str, client: Client, work: str, closes: int) -> Row:
        return {
            "Id": opportunity_id,
            "AccountId": client.account_id,
            "Name": f"{client.name} {work}",
            "StageName": "Prospecting",
            "IsClosed": False,
            "IsWon": False,
            "Amount": None,
            "CloseDate": day_text(closes),
            "ContractNumber": None,
        }

    def _plan_won(self, contract: Contract, sold: int, sold_ms: int) -> None:
        row = self._opportunity(contract.opportunity_id, contract.client, "engagement", sold)
        worth = contract.value or contract.cap or sum(project.planned_revenue for project in contract.projects)
        row["Amount"] = text_of(worth, contract.currency)
        master = Master(self._wire, "crm.Opportunity", contract.opportunity_id, "LastModifiedDate")
        for stage, days_before in _FUNNEL:
            if sold - days_before > self._size.first_day:
                at_ms = sold_ms - days_before * DAY_MS
                self._agenda.put(at_ms, self._stage, master, row, {"StageName": stage})
        won = {"StageName": "Closed Won", "IsClosed": True, "IsWon": True, "ContractNumber": contract.number}
        self._agenda.put(sold_ms, self._stage, master, row, won)

    def _stage(self, at_ms: int, master: Master, row: Row, fields: Row) -> None:
        if master.row is None:
            master.open(at_ms, {**row, **fields})
        else:
            master.change(at_ms, **fields)

    def _open(self, at_ms: int, contract: Contract, master: Master, row: Row) -> None:
        contract.status = "Draft"
        master.open(at_ms, row)

    def _plan_stages(self, contract: Contract, master: Master, late: int) -> None:
        stories = contract.stories
        active = max(activation_ms(contract), late + 5 * MINUTE_MS)
        if "never activated" in stories:
            return
        if "activated late" in stories:
            active = max(active, (contract.starts + self._chance.between(12, 20)) * DAY_MS + 9 * HOUR_MS)
        self._agenda.put(active, self._set_status, contract, master, "Activated")
        if "suspended" in stories:
            day = self._size.end_day - 14
            self._agenda.put(max(active, day * DAY_MS + 10 * HOUR_MS), self._set_status, contract, master, "Suspended")
            return
        if "resumed" in stories:
            day = contract.starts + 22
            self._agenda.put(max(active, day * DAY_MS + 10 * HOUR_MS), self._set_status, contract, master, "Suspended")
            self._agenda.put(active + 34 * DAY_MS, self._set_status, contract, master, "Activated")
        if contract.ends is not None:
            done = "Completed" if contract.billing == FIXED_FEE else "Expired"
            self._agenda.put(closing_ms(contract), self._set_status, contract, master, done)

    def _set_status(self, at_ms: int, contract: Contract, master: Master, status: str) -> None:
        contract.status = status
        master.change(at_ms, Status=status)
        self._books.amended(contract)

    def _purchase_order(self, at_ms: int, contract: Contract, master: Master, number: str | None) -> None:
        contract.po_number = number
        master.change(at_ms, PoNumber=number)
        self._books.amended(contract)

    def _plan_amendment(self, amendment: Amendment, late: int) -> None:
        master = Master(self._wire, "crm.ContractAmendment", amendment.contract.number, "LastModifiedDate")
        self._agenda.put(max(amendment.drafted_ms, late + HOUR_MS), master.open, amendment.row())
        self._agenda.put(max(amendment.decided_ms, late + 2 * HOUR_MS), self._decide, amendment, master)

    def _decide(self, at_ms: int, amendment: Amendment, master: Master) -> None:
        master.change(at_ms, Status="Approved" if amendment.approved else "Rejected")
        if amendment.approved:
            amendment.contract.approved.append(amendment)
            self._books.amended(amendment.contract)
