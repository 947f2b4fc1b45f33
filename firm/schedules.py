"""What the ERP recognizes as revenue: a schedule per contract, brought up to date every Saturday."""

from __future__ import annotations

from firm.agenda import Agenda
from firm.coins import text_of
from firm.contracts import FIXED_FEE, RETAINER, Contract
from firm.delivery import Project
from firm.masters import Master
from firm.moments import DAY_MS, HOUR_MS, month_starts, month_text, weekday
from firm.size import FirmSize
from firm.wire import Wire

_SATURDAY = 5


class Schedules:
    """Tells `erp.RevenueSchedule` of the contracts that have one."""

    def __init__(self, size: FirmSize, wire: Wire, agenda: Agenda) -> None:
        self._size = size
        self._wire = wire
        self._agenda = agenda

    def plan(self, contract: Contract) -> None:
        """A schedule from the second week of the contract until three weeks after its last work."""
        if contract.schedule_percent is None or "contract unknown" in contract.stories:
            return
        first = contract.starts + 7
        first += (_SATURDAY - weekday(first)) % 7
        master = Master(self._wire, "erp.RevenueSchedule", f"RS-{contract.number}")
        recognized: dict[str, int] = {}
        for day in range(first, min(contract.works_until + 21, self._size.end_day), 7):
            self._agenda.put(day * DAY_MS + 6 * HOUR_MS, self._recognize, contract, master, recognized, day)

    def _recognize(self, at_ms: int, contract: Contract, master: Master, recognized: dict[str, int], day: int) -> None:
        """Book in the current month what was earned beyond the months before."""
        total = earned(contract, day) * (contract.schedule_percent or 0) // 100
        month = month_text(day)
        amount = max(0, total - sum(part for one, part in recognized.items() if one != month))
        if recognized.get(month) == amount:
            return
        recognized[month] = amount
        lines = self._lines(contract, recognized)
        if master.row is None:
            master.open(at_ms, {"Id": f"RS-{contract.number}", "ContractNumber": contract.number, "Lines": lines})
        else:
            master.change(at_ms, Lines=lines)

    def _lines(self, contract: Contract, recognized: dict[str, int]) -> list[dict[str, str]]:
        months = len(month_starts(contract.starts, contract.works_until))
        planned = sum(project.planned_revenue for project in contract.projects) // months
        return [
            {
                "Period": month,
                "Planned": text_of(planned, contract.currency),
                "Recognized": text_of(amount, contract.currency),
            }
            for month, amount in sorted(recognized.items())
        ]


def earned(contract: Contract, day: int) -> int:
    """Revenue earned by a day, in minor units: value of items by the hour, progress of a fixed fee, fees due."""
    if contract.billing == RETAINER:
        return contract.earned + (contract.fee or 0) * len(month_starts(contract.starts, day))
    if contract.billing != FIXED_FEE:
        return contract.earned
    value = contract.value_on(contract.works_until + 1000)
    weights = [_weight(project, value) for project in contract.projects]
    if not sum(weights):
        weights = [project.budget_quarters for project in contract.projects]
    total = sum(weights)
    progress = 0
    for project, weight in zip(contract.projects, weights, strict=True):
        after = project.last_worked or day
        remaining = sum(one.remaining_quarters(after) for one in project.assignments)
        whole = project.approved_quarters + remaining
        if whole and total:
            progress += value * weight * project.approved_quarters // (whole * total)
    return contract.earned + progress


def _weight(project: Project, value: int) -> int:
    """What the project's milestones are worth together."""
    return sum(
        one.amount if one.amount is not None else value * (one.percent or 0) // 100
        for one in project.milestones
        if not one.dropped
    )
