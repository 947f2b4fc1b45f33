"""The history of the firm: everything that happens, day by day, as the records that tell it."""

from __future__ import annotations

from collections.abc import Iterator

from firm.agenda import Agenda
from firm.books import Books
from firm.chance import Chance
from firm.contracts import Contract
from firm.crm import Crm, sold_day
from firm.delivery import Project
from firm.expenses import Expenses
from firm.finance import Finance
from firm.fx import ExchangeRates
from firm.invoicing import Invoicing
from firm.moments import DAY_MS, HOUR_MS, next_workday
from firm.people import Person, hire
from firm.pricing import price
from firm.psa import Psa
from firm.sales import sell
from firm.schedules import Schedules
from firm.size import FirmSize
from firm.staffing import Quota, overbook
from firm.stories import PROJECT_MOVED, new_home, tell_stories
from firm.timesheets import Timesheets
from firm.wire import Outage, Record, Wire
from firm.workforce import Workforce


class History:
    """One firm, from its first day to its last. `records()` can be taken once."""

    def __init__(self, size: FirmSize) -> None:
        self.size = size
        self.people: list[Person] = hire(size)
        self.contracts: list[Contract] = sell(size, self.people)
        tell_stories(size, self.contracts)
        price(size, self.contracts)
        self._wire = Wire(_outages(size))
        self._agenda = Agenda()
        rates = ExchangeRates(size, self._wire, self._agenda)
        self._books = Books(rates)
        self._invoicing = Invoicing(size, self._wire, self._agenda, self._books)
        parts = (size, self._wire, self._agenda, self._books, self._invoicing)
        self._timesheets = Timesheets(*parts)
        self._expenses = Expenses(*parts)
        self._psa = Psa(*parts)
        self._plan()

    def records(self) -> Iterator[Record]:
        """All records in order of arrival (`timestamp`). The firm is simulated as they are taken."""
        quota = Quota(self.size, self.contracts)
        for day in range(self.size.first_day, self.size.end_day):
            for assignment, quarters in quota.of_day(day):
                self._timesheets.book(assignment, day, quarters)
                self._expenses.maybe_book(assignment, day)
            self._agenda.live(day)
            yield from self._wire.arrived()
        yield from self._wire.close()

    def _plan(self) -> None:
        crm = Crm(self.size, self._wire, self._agenda, self._books)
        finance = Finance(self.size, self._wire, self._agenda, self._books)
        schedules = Schedules(self.size, self._wire, self._agenda)
        workforce = Workforce(self.size, self._wire, self._agenda)
        chance = Chance(self.size.seed, "plan")
        for person in self.people:
            workforce.plan(person)
            self._psa.plan_resource(person)
        clients = {contract.client.number: contract.client for contract in self.contracts}
        for _, client in sorted(clients.items()):
            crm.plan_account(client)
            self._psa.plan_client(client)
        customers = set()
        for contract in self.contracts:
            contract.client.contracts.append(contract)
            if (contract.client.number, contract.company.code) not in customers:
                customers.add((contract.client.number, contract.company.code))
                finance.plan_customer(contract.client, contract.company, contract)
            sold = sold_day(contract, self.size, chance)
            crm.plan_contract(contract, sold)
            schedules.plan(contract)
            self._invoicing.plan_fees(contract)
            for project in contract.projects:
                self._psa.plan_project(project, sold)
                finance.plan_project(project, sold)
            home = new_home(contract, self.contracts) if PROJECT_MOVED in contract.stories else None
            if home is not None:
                self._psa.plan_move(contract.projects[0], home)
        _neighbors(self.contracts)
        self._psa.plan_overallocation(overbook(self.size, self.contracts))
        some = [client for _, client in sorted(clients.items())]
        crm.plan_lost(some, len(self.contracts) // 6)
        crm.plan_just_won(some, max(3, len(self.contracts) // 60))


def _neighbors(contracts: list[Contract]) -> None:
    """Where time is booked by mistake: another project of the contract, else one that runs at the same time."""
    projects: list[Project] = [project for contract in contracts for project in contract.projects]
    for number, project in enumerate(projects):
        others = [one for one in project.contract.projects if one is not project]
        others += projects[number + 1 : number + 8] + projects[max(0, number - 8) : number]
        for other in others:
            if other.starts <= project.starts + 15 and other.ends >= project.starts + 45 and other is not project:
                project.neighbor = other
                break


def _outages(size: FirmSize) -> list[Outage]:
    """Each polled feed is down now and then: its backlog comes at once, hours after it happened."""
    chance = Chance(size.seed, "outages")
    outages = []
    for feed, hours in (("erp", 8), ("crm", 5), ("hr", 20)):
        for day in range(size.work_from, size.end_day - 3, 80):
            from_ms = next_workday(day + chance.below(40)) * DAY_MS + 7 * HOUR_MS
            outages.append(Outage(feed, from_ms, from_ms + hours * HOUR_MS))
    return outages
