"""What the ERP expects to be billed: the firm's own reckoning of its triggers, from which its invoices are made.

It follows the billing rules for the usual course of things, so that most invoices agree with the triggers to the cent.
It leaves out what a real finance department would find out later: past items re-valued by a backdated amendment, a
corrected FX rate or a project that changed contract, and overage of retainers. Those show as reconciliation gaps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

from firm.coins import minor_of, value_of
from firm.contracts import BILLED_BY_TIME, FIXED_FEE, RETAINER, Contract
from firm.delivery import Milestone, Project
from firm.fx import ExchangeRates

_OPEN_STATUS = ("Activated", "Expired", "Completed")


class Line(NamedTuple):
    """What an invoice line will name. Amount in minor units of the contract's currency, negative for a credit."""

    trigger_id: str | None
    milestone_id: str | None
    amount: int


@dataclass(slots=True, eq=False)
class Item:
    """One time entry, expense or milestone as it is billed. `parts`: amounts of its triggers that stand."""

    project: Project
    kind: str
    source_id: str
    day: int
    approved_ms: int
    role: str = ""
    quarters: int = 0
    amount: Decimal = Decimal(0)
    currency: str = ""
    milestone: Milestone | None = None
    contract: Contract | None = None
    revision: int = 0
    parts: list[int] = field(default_factory=list)
    earned: int = 0


def trigger_id(contract: Contract, kind: str, source_id: str, revision: int) -> str:
    """The id of a billing trigger: UUIDv5 over contract, source kind, source id and revision."""
    return str(uuid5(NAMESPACE_URL, f"throughline:{contract.number}:{kind}:{source_id}:{revision}"))


class Books:
    """Per project: lines to invoice; what waits for a gate; per contract: what waits for room under the cap."""

    def __init__(self, rates: ExchangeRates) -> None:
        self._rates = rates
        self._lines: dict[tuple[str, str], tuple[Project, Contract, list[Line]]] = {}
        self._waiting: dict[str, list[Item]] = {}
        self._over_cap: dict[str, list[tuple[int, str, Item, int]]] = {}

    def bill(self, item: Item) -> None:
        """An item became billable."""
        project = item.project
        contract = project.contract
        if not project.names_contract or contract.status is None:
            self._waiting.setdefault(project.id, []).append(item)
            return
        value = self._value(item, contract)
        if value == 0:
            return
        if value is None or not gates_open(project, contract):
            self._waiting.setdefault(project.id, []).append(item)
            return
        if item.contract is not contract:
            item.contract, item.revision = contract, 0
        if item.milestone is None or contract.billing != FIXED_FEE:  # a fixed fee is earned by progress
            contract.earned += value
            item.earned = value
        self._draw(item, contract, value)

    def undo(self, item: Item) -> None:
        """An item is billable no longer, or not as it was: take back what was billed, drop what waits."""
        waiting = self._waiting.get(item.project.id)
        if waiting and item in waiting:
            waiting.remove(item)
        contract = item.contract
        if contract is None:
            return
        over = self._over_cap.get(contract.number)
        if over:
            over[:] = [one for one in over if one[2] is not item]
        for part in item.parts:
            self._line(item, contract, -part)
            if item.kind != "milestone":
                contract.drawn -= part
        item.parts.clear()
        contract.earned -= item.earned
        item.earned = 0
        self._fill_cap(contract)

    def again(self, project: Project) -> None:
        """Something that may have held the project's items changed: bill what now can be."""
        for item in self._waiting.pop(project.id, ()):
            self.bill(item)

    def amended(self, contract: Contract) -> None:
        """Terms of a contract changed: bill what waited for a rate, a longer term or a higher cap."""
        for project in contract.projects:
            self.again(project)
        self._fill_cap(contract)

    def add_line(self, project: Project, contract: Contract, line: Line) -> None:
        """A line for the project's next invoice."""
        place = (project.id, contract.number)
        if place not in self._lines:
            self._lines[place] = (project, contract, [])
        self._lines[place][2].append(line)

    def take_lines(self) -> list[tuple[Project, Contract, list[Line]]]:
        """All lines that wait for an invoice; they wait no longer."""
        taken = list(self._lines.values())
        self._lines = {}
        return taken

    def _value(self, item: Item, contract: Contract) -> int | None:
        """Minor units in the contract's currency; None if it has no value, 0 if it is not billed at all."""
        if not _billed(item, contract):
            return 0
        if not contract.in_term(item.day):
            return None
        if item.kind == "time_entry":
            rate = contract.rate_on(item.role, item.day)
            return None if rate is None else value_of(item.quarters, rate)
        if item.milestone is None:
            return self._value_of_expense(item, contract)
        if item.milestone.amount is not None:
            return item.milestone.amount
        return (contract.value_on(item.day) * (item.milestone.percent or 0) * 2 + 100) // 200

    def _value_of_expense(self, item: Item, contract: Contract) -> int | None:
        rate = self._rates.newest(item.currency, contract.currency, item.day)
        if rate is None:
            return None
        return minor_of(item.amount * rate * (100 + (contract.markup_percent or 0)) / 100, contract.currency)

    def _draw(self, item: Item, contract: Contract, amount: int) -> None:
        cap = contract.cap_now()
        if cap is not None and item.milestone is None:
            room = max(0, cap - contract.drawn)
            if amount > room:
                over = self._over_cap.setdefault(contract.number, [])
                over.append((item.approved_ms, item.source_id, item, amount - room))
                amount = room
        if amount > 0:
            self._trigger(item, contract, amount)

    def _trigger(self, item: Item, contract: Contract, amount: int) -> None:
        item.parts.append(amount)
        if item.milestone is None:
            contract.drawn += amount
        self._line(item, contract, amount)

    def _line(self, item: Item, contract: Contract, amount: int) -> None:
        """A milestone has an invoice of its own: its first trigger adds no line here."""
        if item.milestone is None or item.revision:
            line = Line(trigger_id(contract, item.kind, item.source_id, item.revision), None, amount)
            self.add_line(item.project, contract, line)
        item.revision += 1

    def _fill_cap(self, contract: Contract) -> None:
        over = self._over_cap.get(contract.number)
        cap = contract.cap_now()
        if not over or cap is None:
            return
        over.sort(key=lambda one: one[:2])
        while over and contract.drawn < cap:
            approved_ms, source_id, item, left = over[0]
            amount = min(left, cap - contract.drawn)
            self._trigger(item, contract, amount)
            if amount == left:
                over.pop(0)
            else:
                over[0] = (approved_ms, source_id, item, left - amount)


def _billed(item: Item, contract: Contract) -> bool:
    """Whether the contract's terms bill items of this kind one by one."""
    if item.kind == "time_entry":
        return contract.billing in BILLED_BY_TIME
    if item.kind == "expense":
        return contract.expense_policy != "NonBillable"
    return contract.billing != RETAINER


def gates_open(project: Project, contract: Contract) -> bool:
    """Whether nothing stops a new trigger of the project: stage, hold, purchase order, legal entity, customer."""
    return (
        contract.status in _OPEN_STATUS
        and not project.held
        and (not contract.po_required or contract.po_number is not None)
        and (contract.names_company or project.erp is not None)
        and contract.company.code in contract.client.customers
    )
