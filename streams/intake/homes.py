"""Homes: which contract's ledger a project's facts go to, and the move when that changes."""

from typing import Any, Final

from streams.domain.canonical import ErpProject, Invoice, Project
from streams.domain.fact import Allocation, Cause, Fact, ProjectView
from streams.domain.kept import Home
from streams.domain.ledger import NO_CONTRACT_PREFIX
from streams.domain.made import made
from streams.intake.memory import Memory
from streams.step import Context
from streams.topics import CONTRACT_FACTS, PERSON_FACTS

_ITEMS: Final = {"TimeEntry": "time_entry", "Expense": "expense", "Milestone": "milestone", "Assignment": "assignment"}


def ledger_key(project: Project) -> str:
    """Return the key of the ledger that keeps a project: its contract's, or one of its own without a contract."""
    return project.contract_number or f"{NO_CONTRACT_PREFIX}{project.id}"


def counts(kind: str, row: Any) -> bool:
    """Tell whether a row bears on money or plans: drafts and rejections do not."""
    if kind in ("TimeEntry", "Expense"):
        return bool(row.status == "approved")
    return kind != "Assignment" or row.status == "confirmed"


class Homes:
    """Routes facts of projects and of what belongs to them."""

    def __init__(self, context: Context, memory: Memory) -> None:
        self._context = context
        self._memory = memory
        self._homes = context.table("intake.home")

    def place(self, project_id: str, cause: Cause) -> None:
        """Tell a project, or its move, to the ledgers concerned, after its PSA or ERP row changed."""
        project = self._memory.good("Project", project_id, project_id)
        if project is None:
            return
        erp: ErpProject | None = self._memory.good("ErpProject", project_id, project_id)
        home: Home | None = self._homes.get(project_id)
        ledger = ledger_key(project)
        moves = home is not None and home.ledger != ledger
        generation = 0 if home is None else home.generation + moves
        view = ProjectView(project, erp, generation)
        if home is not None and home.view == view:
            return
        past = () if home is None else home.past
        if home is not None and moves:
            past = (*[p for p in past if p != home.ledger], home.ledger)
            self._leave(project_id, home.ledger, cause)
        self._homes.put(project_id, Home(ledger, generation, past, view))
        self._emit(ledger, Fact("project", project_id, project_id, view, cause, (0, 0)))
        if home is None:
            self._memory.parked.release(project_id)
        if home is None or moves:
            self._enter(project_id, ledger, cause, arrives=home is None)

    def _leave(self, project_id: str, ledger: str, cause: Cause) -> None:
        for kind, name in _ITEMS.items():
            for row, version in self._memory.rows_of(kind, project_id):
                if counts(kind, row):
                    self._emit(ledger, Fact(name, project_id, row.id, None, cause, version))
        self._emit(ledger, Fact("project", project_id, project_id, None, cause, (0, 0)))

    def _enter(self, project_id: str, ledger: str, cause: Cause, arrives: bool) -> None:
        """Release what waited for the project, or moves with it; plans wait too, but a move leaves them as they are."""
        for kind, name in _ITEMS.items():
            for row, version in self._memory.rows_of(kind, project_id):
                if counts(kind, row):
                    self._emit(ledger, Fact(name, project_id, row.id, row, cause, version))
                    if kind == "Assignment" and arrives:
                        self._context.emit(PERSON_FACTS, row.resource_id, _allocation(project_id, row, cause))
        for invoice, version in self._memory.rows_of("Invoice", project_id):
            if invoice.contract_number != ledger:
                self._emit(ledger, Fact("invoice", project_id, invoice.id, invoice, cause, version))

    def item(self, kind: str, scope: str, before: Any, after: Any, identity: str, cause: Cause) -> None:
        """Tell a change of a row that belongs to a project; while the project is unknown it waits in its place."""
        was, now = before is not None and counts(kind, before), after is not None and counts(kind, after)
        home: Home | None = self._homes.get(scope)
        if home is None:
            if now and not was:
                self._memory.parked.wait(kind, scope, identity, max(self._context.now, cause.occurred_at))
            elif was and not now:
                self._memory.parked.give_up(kind, scope, identity)
            return
        if kind == "Assignment":
            self._plan(scope, before if was else None, after if now else None, cause)
        if was or now:
            fact = made(Fact, (_ITEMS[kind], scope, identity, after if now else None, cause, _seen(cause)))
            self._emit(home.ledger, fact)

    def _plan(self, scope: str, before: Any, after: Any, cause: Cause) -> None:
        if before is not None and (after is None or after.resource_id != before.resource_id):
            gone = _allocation(scope, before, cause)._replace(hours_per_week=None)
            self._context.emit(PERSON_FACTS, before.resource_id, gone)
        if after is not None:
            self._context.emit(PERSON_FACTS, after.resource_id, _allocation(scope, after, cause))

    def invoice(self, scope: str, before: Invoice | None, after: Invoice | None, identity: str, cause: Cause) -> None:
        """Tell an invoice to its contract's ledger and to every ledger its project has been under."""
        home: Home | None = self._homes.get(scope)
        told = [] if home is None else [home.ledger, *home.past]
        for row in (after, before):
            if row is not None and row.contract_number not in told:
                told.append(row.contract_number)
        for ledger in told:
            self._emit(ledger, Fact("invoice", scope, identity, after, cause, _seen(cause)))

    def _emit(self, ledger: str, fact: Fact) -> None:
        self._context.emit(CONTRACT_FACTS, ledger, fact)


def _seen(cause: Cause) -> tuple[int, int]:
    return cause.epoch, cause.position or 0


def _allocation(scope: str, row: Any, cause: Cause) -> Allocation:
    return Allocation(row.id, scope, row.resource_id, row.start_on, row.end_on, row.hours_per_week, cause)
