"""The people of the firm: workers in HR, resources in the PSA, and what an hour of theirs costs over the years."""

from __future__ import annotations

from dataclasses import dataclass, field

from firm.chance import Chance
from firm.coins import exchange, from_cents, text_of
from firm.company import Company, company_of
from firm.moments import HOUR_MS, day_number, day_of, day_text, moment_text, months_later
from firm.size import FirmSize
from firm.wire import Row

ROLE_COST_CENTS = {
    "Analyst": 4000,
    "Consultant": 5400,
    "Engineer": 5800,
    "Senior Consultant": 7200,
    "Project Manager": 7800,
    "Architect": 8800,
}
ROLES = tuple(ROLE_COST_CENTS)
_ROLE_WEIGHTS = list(zip(ROLES, (18, 28, 24, 14, 7, 9), strict=True))
_HOMES = [("LE-DE", 27), ("LE-FR", 10), ("LE-UK", 20), ("LE-US", 25), ("LE-JP", 12), ("LE-KW", 6)]
_REGION_COST_PERCENT = {"EMEA": 100, "AMER": 112, "APAC": 92}

_GIVEN = (
    "Ada Amina Anna Aisha Ben Carlos Chen Clara Daniel David Elena Emma Fatima Felix Grace Hana Hiroshi Ines Ivan Jack "
    "Jonas Julia Kenji Khalid Lars Laura Leila Liam Lucia Maria Marie Maya Mohammed Nadia Noah Noor Oliver Omar Paul "
    "Priya Rahul Rosa Sakura Sam Sara Sofia Thomas Tom Yuki Yusuf Zoe"
).split()
_FAMILY = (
    "Adams Ahmed Al-Sabah Baker Bauer Bernard Brown Clark Costa Davis Dubois Evans Fischer Garcia Haddad Hall "
    "Hoffmann Ito Jansen Johnson Kaya Keller Khan Kim Kobayashi Laurent Lee Lopez Martin Meyer Moreau Mori Nakamura "
    "Novak Okafor Patel Petit Rossi Sato Schmidt Schneider Silva Smith Suzuki Tanaka Taylor Wagner Walker Wang "
    "Weber Wilson Young"
).split()


@dataclass(slots=True, eq=False)
class Person:
    """One worker. Hours are per week; cost is per hour, in minor units of `currency`."""

    number: int
    name: str
    company: Company
    role: str
    capacity_hours: int
    joins: int
    cost_steps: list[tuple[int, int]] = field(default_factory=list)
    lane_hours: tuple[int, ...] = ()

    @property
    def employee_id(self) -> str:
        """Id in HR."""
        return f"E{self.number:05d}"

    @property
    def resource_id(self) -> str:
        """Id in the PSA."""
        return f"R{self.number:05d}"

    @property
    def currency(self) -> str:
        """Currency the person is paid in."""
        return self.company.currency

    def cost_on(self, day: int) -> int:
        """Cost of an hour on a day, in minor units of the person's currency."""
        cost = self.cost_steps[0][1]
        for effective, step in self.cost_steps:
            if effective <= day:
                cost = step
        return cost

    def cost_in(self, currency: str, day: int) -> int:
        """The same at planning rates, in minor units of `currency`."""
        return exchange(self.cost_on(day), self.currency, currency)

    def worker_row(self, at_ms: int, steps: int) -> Row:
        """Row of `hr.Worker` with the first `steps` cost rates."""
        return {
            "EmployeeId": self.employee_id,
            "Name": self.name,
            "Status": "Active",
            "Region": self.company.region,
            "CostCenter": self.company.cost_centers[self.number % len(self.company.cost_centers)],
            "WeeklyCapacityHours": str(self.capacity_hours),
            "CostRates": [
                {"Rate": text_of(cost, self.currency), "Currency": self.currency, "EffectiveFrom": day_text(effective)}
                for effective, cost in self.cost_steps[:steps]
            ],
            "LastModified": moment_text(at_ms),
        }

    def resource_row(self, at_ms: int) -> Row:
        """Row of `psa.public.resources`."""
        return {
            "id": self.resource_id,
            "employee_id": self.employee_id,
            "name": self.name,
            "updated_at": moment_text(at_ms),
        }


def hire(size: FirmSize) -> list[Person]:
    """Everybody who works in the firm during its history; about one in ten joins on the way."""
    chance = Chance(size.seed, "people")
    people = []
    for number in range(1, size.people + 1):
        company = company_of(chance.weighted(_HOMES))
        role = ROLES[(number - 1) % len(ROLES)] if number <= len(ROLES) else chance.weighted(_ROLE_WEIGHTS)
        joins = size.first_day
        if chance.percent(10) and number > PEOPLE_FROM_START:
            joins = chance.between(size.work_from, max(size.work_from, size.end_day - 30))
        person = Person(
            number=number,
            name=f"{chance.of(_GIVEN)} {chance.of(_FAMILY)}",
            company=company,
            role=role,
            capacity_hours=chance.weighted([(40, 88), (32, 7), (24, 5)]),
            joins=joins,
        )
        person.lane_hours = _lanes(person.capacity_hours, chance)
        person.cost_steps = _cost_steps(person, size, chance)
        people.append(person)
    return people


PEOPLE_FROM_START = 8


def _lanes(capacity: int, chance: Chance) -> tuple[int, ...]:
    """How a person's week is split among contracts at one time: mostly one, sometimes two."""
    if capacity == 40 and chance.percent(30):
        return chance.of(((24, 16), (32, 8), (20, 20)))
    return (capacity,)


def _cost_steps(person: Person, size: FirmSize, chance: Chance) -> list[tuple[int, int]]:
    """Cost rates by the day from which they count: one before the history, then a raise every January or April."""
    cents = ROLE_COST_CENTS[person.role] * _REGION_COST_PERCENT[person.company.region] // 100
    cents = cents * chance.between(90, 112) // 100
    cost = from_cents(cents, person.currency)
    raise_month = chance.of((1, 4))
    first = min(person.joins, size.first_day) - 180 if person.joins <= size.first_day else person.joins
    steps = [(first, cost)]
    day = day_of(max(first, size.first_day)).replace(day=1, month=raise_month)
    while day_number(day) < size.end_day:
        if day_number(day) > max(person.joins, size.first_day):
            cost = cost * chance.between(1020, 1050) // 1000
            steps.append((day_number(day), cost))
        day = months_later(day, 12)
    return steps


def announce_hour_ms(person: Person) -> int:
    """Time of day at which HR records changes of a person."""
    return 8 * HOUR_MS + person.number % 3600 * 1000
