"""Who buys and who is sent: contracts drawn so that everybody in the firm always has an assignment, or soon the next.

A lane is one share of one person's week. Each contract takes the lanes that are free when it starts and gives them
back when it ends; that alone decides how many contracts there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from firm.chance import Chance
from firm.company import COMPANIES, Company
from firm.contracts import CAPPED, FIXED_FEE, RETAINER, TIME_AND_MATERIALS, Client, Contract
from firm.delivery import Assignment, Project
from firm.moments import HOUR_MS, MINUTE_MS, next_workday, weekdays_between
from firm.people import Person
from firm.size import FirmSize

_BILLING = [(TIME_AND_MATERIALS, 38), (CAPPED, 24), (FIXED_FEE, 26), (RETAINER, 12)]
_DAYS = {TIME_AND_MATERIALS: (60, 270), CAPPED: (60, 240), FIXED_FEE: (45, 200), RETAINER: (120, 365)}
_TEAMS = (1, 2, 2, 3, 3, 4, 4, 5, 6, 8, 12, 20)
_CURRENCIES = ("EUR", "USD", "GBP", "JPY", "KWD")
_WORK = "Rollout Migration Assessment Integration Operations Design Analytics Support Training".split()
_INDUSTRIES = "Bank Energy Foods Health Insurance Logistics Motors Pharma Retail Systems Telecom".split()
_NAMES = (
    "Alder Boreal Cobalt Delta Ember Falcon Granite Harbor Indigo Juniper Kestrel Lumen Maple Nimbus Onyx Pioneer "
    "Quartz River Summit Tundra Union Vertex Willow Zenith"
).split()
START_WITHIN_DAYS = 20


@dataclass(order=True, slots=True)
class _Lane:
    free: int
    order: int
    person: Person
    hours: int


def sell(size: FirmSize, people: list[Person]) -> list[Contract]:
    """All contracts of the history, with clients, terms, projects and assignments; nothing is priced yet."""
    chance = Chance(size.seed, "sales")
    lanes = [
        _Lane(max(person.joins, size.work_from) + chance.weighted([(0, 70), (1, 15), (3, 15)]), order, person, hours)
        for order, (person, hours) in enumerate((one, hours) for one in people for hours in one.lane_hours)
    ]
    teams = [team for team in _TEAMS if team <= max(2, len(lanes) // 10)]
    clients = _clients(max(6, len(lanes) // 5), chance)
    heapify(lanes)
    contracts: list[Contract] = []
    counts = _Counts()
    while lanes:
        starts = next_workday(lanes[0].free)
        if starts >= size.end_day - 5:
            break
        team = _team(lanes, starts, chance.of(teams), chance)
        first_wave = starts < size.work_from + START_WITHIN_DAYS
        contract = _contract(len(contracts) + 1, starts, team, clients, chance, first_wave)
        _deliver(contract, team, counts, chance)
        contracts.append(contract)
        for lane in team:
            lane.free = contract.works_until + 1 + chance.below(8)
            heappush(lanes, lane)
    _involve(size, contracts)
    return contracts


def _involve(size: FirmSize, contracts: list[Contract]) -> None:
    """Where few entries are spread over many days, people are on their projects for a part of their week only."""
    assignments = [one for contract in contracts for project in contract.projects for one in project.assignments]
    days = sum(weekdays_between(max(one.first, size.work_from), min(one.last, size.end_day - 1)) for one in assignments)
    percent = min(100, 100 * size.time_entries // max(1, days))
    for assignment in assignments:
        assignment.hours = max(1, assignment.hours * percent // 100)


@dataclass(slots=True)
class _Counts:
    projects: int = 0
    assignments: int = 0


def _clients(count: int, chance: Chance) -> list[Client]:
    names = [f"{place} {industry}" for industry in _INDUSTRIES for place in _NAMES]
    chance.shuffle(names)
    clients = []
    for number in range(1, count + 1):
        company = COMPANIES[number - 1] if number <= len(COMPANIES) else chance.of(COMPANIES)
        turn = (number - 1) // len(names)
        name = names[(number - 1) % len(names)] + (f" {turn + 1}" if turn else "")
        clients.append(Client(number, name, company, company.country))
    return clients


def _team(lanes: list[_Lane], starts: int, wanted: int, chance: Chance) -> list[_Lane]:
    """Lanes free within some days of the start, people of the first one's region before others."""
    first = heappop(lanes)
    candidates: list[_Lane] = []
    while lanes and lanes[0].free <= starts + START_WITHIN_DAYS and len(candidates) < wanted * 3:
        candidates.append(heappop(lanes))
    region = first.person.company.region
    near: list[_Lane] = []
    far: list[_Lane] = []
    for lane in candidates:
        (near if lane.person.company.region == region or chance.percent(20) else far).append(lane)
    team = [first]
    people = {first.person.number}
    for lane in near + far:
        if len(team) < wanted and lane.person.number not in people:
            team.append(lane)
            people.add(lane.person.number)
        else:
            heappush(lanes, lane)
    return team


def _contract(
    number: int, starts: int, team: list[_Lane], clients: list[Client], chance: Chance, first_wave: bool
) -> Contract:
    company: Company = team[0].person.company
    billing = chance.weighted(_BILLING)
    shortest, longest = _DAYS[billing]
    days = chance.between(shortest, longest)
    if first_wave:  # contracts under way when the history begins have less before them
        days = max(30, days * chance.between(20, 100) // 100)
    at_home = [client for client in clients if client.company is company] or clients
    currency = company.currency if chance.percent(82) else chance.of(_CURRENCIES)
    works_until = starts + days
    return Contract(
        number=f"C{number:05d}",
        client=chance.of(at_home),
        company=company,
        currency=currency,
        billing=billing,
        starts=starts - chance.below(3),
        ends=works_until + chance.below(14),
        works_until=works_until,
        po_required=chance.percent(40),
        requires_acceptance=chance.percent(30),
        expense_policy=chance.weighted([("PassThrough", 55), ("Markup", 22), ("NonBillable", 23)]),
    )


def _deliver(contract: Contract, team: list[_Lane], counts: _Counts, chance: Chance) -> None:
    """Projects of a contract and who works on them."""
    for turn in range(min(len(team), chance.weighted([(1, 55), (2, 30), (3, 15)]))):
        counts.projects += 1
        contract.projects.append(
            Project(
                id=f"P{counts.projects:05d}",
                name=f"{contract.client.name} {_WORK[(counts.projects + turn) % len(_WORK)]}",
                contract=contract,
                company=contract.company,
                cost_center=chance.of(contract.company.cost_centers),
                starts=contract.starts,
                ends=contract.works_until,
                approves_on=chance.weighted([(0, 60), (1, 30), (2, 10)]),
                approves_at_ms=(8 - contract.company.offset_hours + chance.below(8)) * HOUR_MS
                + chance.below(60) * MINUTE_MS,
            )
        )
    for turn, lane in enumerate(team):
        counts.assignments += 1
        project = contract.projects[turn % len(contract.projects)]
        project.assignments.append(
            Assignment(
                id=f"AS{counts.assignments:06d}",
                project=project,
                person=lane.person,
                role=lane.person.role,
                first=max(next_workday(lane.free), contract.starts, lane.free),
                last=contract.works_until,
                hours=lane.hours,
                day_quarters=lane.hours * 4 // 5,
            )
        )
