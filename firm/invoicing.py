"""What the ERP invoices and books: invoices from draft to paid, and cost postings."""

from __future__ import annotations

from firm.agenda import Agenda
from firm.books import Books, Item, Line, gates_open, trigger_id
from firm.chance import Chance
from firm.coins import text_of
from firm.contracts import RETAINER, Contract
from firm.delivery import Project
from firm.masters import Master
from firm.moments import DAY_MS, HOUR_MS, MINUTE_MS, first_of_month, moment_text, month_text
from firm.size import FirmSize
from firm.wire import Row, Wire

LINES_MAX = 100
_RUN_AT_MS = 2 * HOUR_MS
_POSTED_AFTER_MS = 3 * HOUR_MS
Life = tuple[tuple[int, str], ...]  # what becomes of an invoice: how much later, which status


class Invoicing:
    """The nightly run over what the books have ready, and the invoices that milestones have of their own."""

    def __init__(self, size: FirmSize, wire: Wire, agenda: Agenda, books: Books) -> None:
        self._size = size
        self._wire = wire
        self._agenda = agenda
        self._books = books
        self._chance = Chance(size.seed, "invoicing")
        self._invoices = 0
        self._postings = 0
        for day in range(size.work_from + 1, size.end_day):
            agenda.put(day * DAY_MS + _RUN_AT_MS, self._run)

    def plan_fees(self, contract: Contract) -> None:
        """The fee of every month of a retainer: due on the month's first day in the term."""
        if contract.billing != RETAINER:
            return
        day = contract.starts
        last = min(contract.ends or self._size.end_day, self._size.end_day - 1)
        while day <= last:
            self._agenda.put(day * DAY_MS + 6 * HOUR_MS, self._fee, contract, month_text(day))
            day = first_of_month(first_of_month(day) + 31)

    def milestone(self, at_ms: int, item: Item) -> None:
        """The invoice of one milestone, if it has been billed: its line names the milestone, the trigger or both."""
        milestone, contract = item.milestone, item.contract
        if milestone is None or contract is None or not item.parts:
            return
        named = self._chance.below(20)
        trigger = trigger_id(contract, "milestone", milestone.id, 0)
        line = Line(None if named == 0 else trigger, None if named > 15 else milestone.id, item.parts[0])
        life: Life = ((2 * HOUR_MS, "Posted"), (6 * HOUR_MS, "Released"), (30 * DAY_MS, "Paid"))
        self._issue(at_ms, item.project, contract, [line], life)

    def cost_posting(self, at_ms: int, project: Project, kind: str, source_id: str, amount: str, currency: str) -> None:
        """A cost booked for a time entry or an expense."""
        self._postings += 1
        row = {
            "Id": f"CP{self._postings:07d}",
            "ProjectId": project.id,
            "SourceKind": kind,
            "SourceId": source_id,
            "Amount": amount,
            "Currency": currency,
            "PostedAt": moment_text(at_ms),
        }
        self._wire.create(at_ms, "erp.CostPosting", project.id, row)

    def _fee(self, at_ms: int, contract: Contract, month: str) -> None:
        project = contract.projects[0] if contract.projects else None
        if project is None or not contract.fee:
            return
        if not gates_open(project, contract):
            self._agenda.put(at_ms + DAY_MS, self._fee, contract, month)
            return
        trigger = trigger_id(contract, "retainer_period", f"{contract.number}:{month}", 0)
        self._books.add_line(project, contract, Line(trigger, None, contract.fee))

    def _run(self, at_ms: int) -> None:
        for number, (project, contract, lines) in enumerate(self._books.take_lines()):
            for first in range(0, len(lines), LINES_MAX):
                paid = self._chance.between(8, 24) * DAY_MS
                released = self._chance.between(20, 50) * HOUR_MS
                life: Life = ((_POSTED_AFTER_MS, "Posted"), (released, "Released"), (paid, "Paid"))
                fate = self._chance.below(1000)
                if fate < 3:
                    life = ()  # forgotten as a draft
                start_ms = at_ms + number * 400
                part = lines[first : first + LINES_MAX]
                if 3 <= fate < 6:  # one line is not what was to be billed
                    part = [part[0]._replace(amount=part[0].amount * 9 // 10), *part[1:]]
                self._issue(start_ms, project, contract, part, life)

    def _issue(
        self,
        at_ms: int,
        project: Project,
        contract: Contract,
        lines: list[Line],
        life: Life,
    ) -> None:
        self._invoices += 1
        master = Master(self._wire, "erp.Invoice", project.id)
        row: Row = {
            "Id": f"INV{self._invoices:07d}",
            "ProjectId": project.id,
            "ContractNumber": contract.number,
            "Status": "Draft",
            "Currency": contract.currency,
            "Lines": [
                {
                    "LineId": str(number),
                    "TriggerId": line.trigger_id,
                    "MilestoneId": line.milestone_id,
                    "Amount": text_of(line.amount, contract.currency),
                }
                for number, line in enumerate(lines, start=1)
            ],
            "PostedAt": None,
            "ReleasedAt": None,
        }
        self._agenda.put(at_ms + MINUTE_MS, master.open, row)
        if life:
            self._agenda.put(at_ms + life[0][0], self._advance, master, life)

    def _advance(self, at_ms: int, master: Master, life: Life) -> None:
        status = life[0][1]
        stamp = {"Posted": "PostedAt", "Released": "ReleasedAt"}.get(status)
        fields = {"Status": status} | ({stamp: moment_text(at_ms)} if stamp else {})
        master.change(at_ms, **fields)
        if len(life) > 1:
            self._agenda.put(at_ms + life[1][0], self._advance, master, life[1:])
