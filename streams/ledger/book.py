"""The book: what a partition's ledgers remember, and what of it must be settled before the next commit."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, Final

from streams.domain.calendar import iso_date, period_of
from streams.domain.canonical import Assignment
from streams.domain.fact import Cause, Claim, Person
from streams.domain.ledger import (
    EXPENSE,
    MILESTONE,
    ContractState,
    Item,
    NamedLine,
    ProjectState,
    Reconciled,
    TriggerPlace,
    Work,
)
from streams.domain.terms import Terms
from streams.ledger.reference import SEP
from streams.step import Context

TABLES: Final[dict[str, Any]] = {
    "ledger.contract": ContractState,
    "ledger.project": ProjectState,
    "ledger.item": Item,
    "ledger.by_day": tuple[str, str],
    "ledger.work_day": int,
    "ledger.billable_day": Decimal,
    "ledger.unanswered": bool,
    "ledger.held": int,
    "ledger.over_cap": bool,
    "ledger.person": Person,
    "ledger.assignment": Assignment,
    "ledger.invoice": tuple[tuple[str, NamedLine], ...],
    "ledger.trigger": TriggerPlace,
    "ledger.line": tuple[NamedLine, ...],
    "ledger.reconciled": Reconciled,
    "ledger.month_edge": str,
    "ledger.claim": Claim,
}
_TERMS_CACHED_MAX: Final = 2_000
_ITEMS_CLAIMED: Final = {"milestone_unbilled": MILESTONE, "expense_late": EXPENSE}

ItemKey = tuple[str, str, str]
"""Ledger key, source kind, source id."""


class Book:
    """Tables of a partition's ledgers under readable names, and the marks of what changed since the last commit.

    Marks keep the order in which things came, since a cap is drawn in that order; each names its cause.
    """

    def __init__(self, context: Context) -> None:
        self.contracts = context.table("ledger.contract")
        self.projects = context.table("ledger.project")
        self.items = context.table("ledger.item")
        self.by_day = context.table("ledger.by_day")
        self.work_days = context.table("ledger.work_day")
        self.billable_days = context.table("ledger.billable_day")
        self.unanswered = context.table("ledger.unanswered")
        self.held = context.table("ledger.held")
        self.over_cap = context.table("ledger.over_cap")
        self.persons = context.table("ledger.person")
        self.assignments = context.table("ledger.assignment")
        self.invoices = context.table("ledger.invoice")
        self.triggers = context.table("ledger.trigger")
        self.lines = context.table("ledger.line")
        self.reconciled = context.table("ledger.reconciled")
        self.claims = context.table("ledger.claim")
        self.month_edges = context.table("ledger.month_edge")
        self.dirty_items: dict[ItemKey, Cause] = {}
        self.dirty_projects: dict[tuple[str, str], Cause] = {}
        self.dirty_contracts: dict[str, Cause] = {}
        self.dirty_drawn: dict[str, Cause] = {}
        self.dirty_earned: dict[str, Cause] = {}
        self.dirty_reconciled: dict[tuple[str, str, str], Cause] = {}
        self.dirty_claims: dict[ItemKey, Cause] = {}
        self.dirty_months: dict[tuple[str, str], tuple[Cause, str]] = {}
        self._terms: dict[str, Terms | None] = {}
        self._projects_of: dict[str, list[str]] = {}

    # -- contracts

    def contract(self, key: str) -> ContractState:
        """Return what is known of a contract; an empty state while nothing is."""
        return self.contracts.get(key) or ContractState()

    def terms(self, key: str) -> Terms | None:
        """Return the terms of a contract, None while it is unknown."""
        try:
            return self._terms[key]
        except KeyError:
            pass
        if len(self._terms) > _TERMS_CACHED_MAX:
            self._terms.clear()
        state = self.contract(key)
        terms = None if state.contract is None else Terms(state.contract, state.amendments)
        self._terms[key] = terms
        return terms

    def put_contract(self, key: str, state: ContractState) -> None:
        """Keep what is known of a contract."""
        self.contracts.put(key, state)

    def forget_terms(self, key: str) -> None:
        """Compute the terms anew at their next use: the contract or an amendment changed."""
        self._terms.pop(key, None)

    # -- projects

    def project(self, key: str, project_id: str) -> ProjectState:
        """Return what is known of a project in a ledger; an empty state while nothing is."""
        return self.projects.get(f"{key}{SEP}{project_id}") or ProjectState()

    def put_project(self, key: str, project_id: str, state: ProjectState) -> None:
        """Keep what is known of a project."""
        self.projects.put(f"{key}{SEP}{project_id}", state)

    def projects_of(self, key: str) -> list[tuple[str, ProjectState]]:
        """Return the projects that name a contract, with their ids."""
        known = self._projects_of.get(key)
        if known is None:
            if len(self._projects_of) > _TERMS_CACHED_MAX:
                self._projects_of.clear()
            prefix = key + SEP
            known = [k[len(prefix) :] for k, p in self.projects.scan(prefix) if p.view is not None]
            self._projects_of[key] = known
        return [(project_id, self.project(key, project_id)) for project_id in known]

    def forget_projects(self, key: str) -> None:
        """Look again which projects name a contract: one came or left."""
        self._projects_of.pop(key, None)

    # -- items

    def item(self, key: ItemKey) -> Item:
        """Return an item, an empty one while it is unknown."""
        return self.items.get(SEP.join(key)) or Item(key[1], key[2])

    def put_item(self, key: ItemKey, item: Item) -> None:
        """Keep an item."""
        self.items.put(SEP.join(key), item)

    def items_of_kind(self, key: str, kind: str) -> Iterator[tuple[ItemKey, Item]]:
        """Yield the items of one kind: milestones and fees, of which a contract has few."""
        for k, item in self.items.scan(f"{key}{SEP}{kind}{SEP}"):
            yield (key, kind, k.rsplit(SEP, 1)[1]), item

    def worked_since(self, key: str, since: date | None, until: date | None = None) -> list[tuple[ItemKey, str, str]]:
        """Return (item, role, resource) of time and expenses from a day on, in order of day, kind and id."""
        prefix = key + SEP
        start = prefix if since is None else prefix + iso_date(since)
        end = prefix + ("\x7f" if until is None else iso_date(until) + SEP + "\x7f")
        found = []
        for index, (role, resource) in self.by_day.between(start, end):
            _, _, kind, item_id = index.split(SEP, 3)
            found.append(((key, kind, item_id), role, resource))
        return found

    def wait_for(self, key: ItemKey, work: Work) -> None:
        """Settle an item once it is known who its resource is."""
        ledger, kind, item_id = key
        self.unanswered.put(SEP.join((ledger, work.resource_id, iso_date(work.day), kind, item_id)), True)

    def take_waiting(self, key: str, resource_id: str) -> list[ItemKey]:
        """Return what waits to know who a resource is, in order of day, kind and id; it waits no more."""
        found: list[ItemKey] = []
        for place, _ in self.unanswered.scan(f"{key}{SEP}{resource_id}{SEP}"):
            self.unanswered.delete(place)
            _, kind, item_id = place[len(key) + len(resource_id) + 2 :].split(SEP, 2)
            found.append((key, kind, item_id))
        return found

    def forget_months(self, key: str) -> None:
        """Look again where each month passes its included hours: what it includes has changed."""
        for place, _ in list(self.month_edges.scan(key + SEP)):
            self.month_edges.delete(place)

    # -- marks

    def mark(self, key: ItemKey, cause: Cause) -> None:
        """Settle an item before the next commit."""
        self.dirty_items[key] = cause

    def mark_month(self, key: str, day: date, item_id: str, cause: Cause) -> None:
        """Look at what a month's included hours cover, from this entry's place on: by day, then id."""
        month, place = (key, period_of(day)), f"{iso_date(day)}{SEP}{item_id}"
        known = self.dirty_months.get(month)
        self.dirty_months[month] = (cause, place if known is None else min(known[1], place))

    def mark_project(self, key: str, project_id: str, cause: Cause) -> None:
        """Say a project's margin anew before the next commit."""
        self.dirty_projects[key, project_id] = cause

    def mark_contract(self, key: str, cause: Cause) -> None:
        """Look at a contract's stage, amendments, cap and schedule before the next commit."""
        self.dirty_contracts[key] = cause

    def mark_all_projects(self, key: str, cause: Cause) -> None:
        """Say the margins of all projects of a contract anew: they share a cap, a value or fees."""
        for project_id, _ in self.projects_of(key):
            self.mark_project(key, project_id, cause)

    def mark_claims(self, key: str, cause: Cause) -> None:
        """Tell anew what is claimed of items and periods: their client, region or policy changed. No key: of all."""
        for place, _ in self.claims.scan(f"{key}{SEP}" if key else ""):
            ledger, kind, entity, _ = place.split(SEP, 3)
            if kind in _ITEMS_CLAIMED:
                self.dirty_claims.setdefault((ledger, _ITEMS_CLAIMED[kind], entity), cause)
            elif kind == "reconciliation_gap":
                project_id, period = entity.rsplit(":", 1)
                self.dirty_reconciled.setdefault((ledger, project_id, period), cause)

    def mark_reconciled(self, key: str, project_id: str, cause: Cause) -> None:
        """Tell anew what is claimed of a project's periods: it came from another ledger, or leaves for one."""
        prefix = f"{key}{SEP}{project_id}{SEP}"
        for place, _ in self.reconciled.scan(prefix):
            self.dirty_reconciled.setdefault((key, project_id, place[len(prefix) :]), cause)

    def mark_held(self, key: str, cause: Cause) -> None:
        """Settle all that is held on a contract, in the order in which a cap would release it."""
        prefix = key + SEP
        ranked = [(rank, *k[len(prefix) :].split(SEP, 1)) for k, rank in self.held.scan(prefix)]
        for k, _ in self.over_cap.scan(prefix):
            rank, item_id, kind = k[len(prefix) :].split(SEP, 2)
            ranked.append((int(rank), kind, item_id))
        for _, kind, item_id in sorted(ranked, key=lambda r: (r[0], r[2])):
            self.mark((key, kind, item_id), cause)


def queue_key(key: str, work: Work, item_id: str, kind: str) -> str:
    """Return where an item stands in the queue for a cap: by (approved_at, id)."""
    return SEP.join((key, f"{work.rank:015d}", item_id, kind))
