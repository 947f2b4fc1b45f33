"""What HR tells: workers, their cost rates, and every raise."""

from __future__ import annotations

from firm.agenda import Agenda
from firm.chance import Chance
from firm.masters import Master
from firm.moments import DAY_MS, HOUR_MS
from firm.people import Person
from firm.size import FirmSize
from firm.wire import Wire

_LATE_COST_ONE_IN = 40


class Workforce:
    """Tells `hr.Worker`."""

    def __init__(self, size: FirmSize, wire: Wire, agenda: Agenda) -> None:
        self._size = size
        self._wire = wire
        self._agenda = agenda
        self._chance = Chance(size.seed, "workforce")

    def plan(self, person: Person) -> None:
        """A worker from the first day or from joining; raises are told around their day, some weeks after it."""
        day = self._size.first_day if person.joins <= self._size.first_day else person.joins - 2
        at_ms = day * DAY_MS + 7 * HOUR_MS + person.number % 3000 * 1000
        master = Master(self._wire, "hr.Worker", person.employee_id, "LastModified")
        known = 1
        if person.number % _LATE_COST_ONE_IN == 9:  # payroll has not settled what the person costs
            known = 0
            settled = max(day, self._size.work_from) + self._chance.between(20, 40)
            self._agenda.put(settled * DAY_MS + 9 * HOUR_MS, self._cost_rates, master, person, 1)
        self._agenda.put(at_ms, master.open, person.worker_row(at_ms, known))
        for number, (effective, _) in enumerate(person.cost_steps[1:], start=2):
            told = max(day + 45, effective + self._chance.weighted([(-7, 60), (-1, 20), (5, 15), (25, 5)]))
            at_ms = told * DAY_MS + 9 * HOUR_MS + person.number * 100
            self._agenda.put(at_ms, self._cost_rates, master, person, number)

    def _cost_rates(self, at_ms: int, master: Master, person: Person, steps: int) -> None:
        row = person.worker_row(at_ms, steps)
        if master.row is not None and len(row["CostRates"]) > len(master.row["CostRates"]):
            master.change(at_ms, CostRates=row["CostRates"])
