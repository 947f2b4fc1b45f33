"""Who books how much on which day, so that exactly as many time entries come into being as were asked for."""

from __future__ import annotations

from collections.abc import Iterator

from firm.chance import Chance
from firm.contracts import Contract
from firm.delivery import Assignment
from firm.moments import is_workday
from firm.size import FirmSize

_QUARTERS_A_DAY_MAX = 96
_WHOLE = 1000  # one entry, in the thousandths that are carried on from day to day
_ABSENT_PERCENT = 9  # holidays, training, illness


class Quota:
    """Deals the time entries out: to days by how many people are on assignments, on each day to those who are there."""

    def __init__(self, size: FirmSize, contracts: list[Contract]) -> None:
        self._size = size
        self._chance = Chance(size.seed, "quota")
        self._starting: dict[int, list[Assignment]] = {}
        self._active: list[Assignment] = []
        changes: dict[int, int] = {}
        for contract in contracts:
            for project in contract.projects:
                for assignment in project.assignments:
                    first = max(assignment.first, size.work_from)
                    self._starting.setdefault(first, []).append(assignment)
                    changes[first] = changes.get(first, 0) + 1
                    changes[assignment.last + 1] = changes.get(assignment.last + 1, 0) - 1
        self._whole = 0
        self._shares: dict[int, int] = {}
        active = 0
        for day in range(size.work_from, size.end_day):
            active += changes.get(day, 0)
            if is_workday(day) and active:
                self._whole += active
                self._shares[day] = self._whole

    def of_day(self, day: int) -> Iterator[tuple[Assignment, int]]:
        """Assignments on which time is booked that day, with quarter hours; one assignment may come several times."""
        self._active = [one for one in self._active if one.last >= day] + self._starting.pop(day, [])
        upto = self._shares.get(day)
        if upto is None:
            return
        entries = self._size.time_entries
        weight = len(self._active)
        count = entries * upto // self._whole - entries * (upto - weight) // self._whole
        chance = self._chance
        present = [one for one in self._active if not chance.percent(_ABSENT_PERCENT)] or self._active
        for assignment, times in self._dealt(present, count):
            day_quarters = assignment.day_quarters + chance.between(-3, 4)
            share, rest = divmod(max(times, day_quarters), times)
            for turn in range(times):
                yield assignment, min(_QUARTERS_A_DAY_MAX, share + (turn < rest))

    def _dealt(self, present: list[Assignment], count: int) -> list[tuple[Assignment, int]]:
        """Entries to each, in fair turns: who got fewer lately gets more now, so that hours keep to the plan."""
        each = count * _WHOLE // len(present)
        due = [min(one.due + each, 2 * _WHOLE + each) for one in present]
        times = [max(0, amount // _WHOLE) for amount in due]
        order = sorted(range(len(present)), key=lambda index: (-(due[index] % _WHOLE), index))
        missing = count - sum(times)
        while missing > 0:
            for index in order[:missing]:
                times[index] += 1
            missing -= min(missing, len(order))
        for index in reversed(order):
            less = min(times[index], max(0, -missing))
            times[index] -= less
            missing += less
        for one, amount, dealt in zip(present, due, times, strict=True):
            one.due = amount - dealt * _WHOLE
        return [(one, dealt) for one, dealt in zip(present, times, strict=True) if dealt]


def overbook(size: FirmSize, contracts: list[Contract]) -> list[Assignment]:
    """Assignments on top of a full week, around the end of the history and in the weeks after it."""
    chance = Chance(size.seed, "overbook")
    running = [
        assignment
        for contract in contracts
        for project in contract.projects
        for assignment in project.assignments
        if assignment.last >= size.end_day and assignment.first <= size.end_day - 21
    ]
    extra = []
    for number, assignment in enumerate(chance.sample(running, min(len(running), max(3, len(running) // 40)))):
        others = [one.project for one in running if one.project is not assignment.project]
        if not others:
            continue
        first = size.end_day - chance.between(6, 16)
        extra.append(
            Assignment(
                id=f"AX{number:05d}",
                project=chance.of(others),
                person=assignment.person,
                role=assignment.role,
                first=first,
                last=size.end_day + chance.between(20, 60),
                hours=max(chance.of((16, 20, 24)), assignment.person.capacity_hours - assignment.hours + 6),
            )
        )
    return extra
