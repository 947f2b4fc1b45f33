"""Billing of the batch: what every source item is worth, and what keeps it from being billed (section 3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction

from tests.oracle.amounts import ONE, ZERO, number, rounded
from tests.oracle.shapes import Row
from tests.oracle.terms import Firm, Terms, approved, day, day_of

HOURLY = {"time_and_materials", "capped_time_and_materials"}
SHUT_STAGES = {"planned", "on_hold", "cancelled"}
NO_VALUE = {"no_contract", "outside_term", "no_rate", "no_fx_rate"}
SOURCE_KINDS = {"time": "time_entry", "overage": "time_entry", "milestone": "milestone", "expense": "expense"}
DRAWS_CAP = {"time", "expense"}
Nets = Mapping[tuple[str, str], Fraction]


@dataclass(frozen=True)
class Item:
    """One source item that bills or would bill.

    ``value`` is rounded, in ``currency``, and None while a no-value reason stands. ``billed`` and ``over_cap`` part
    the value of an item whose gates are open; the cap is handed out in order of (approved_at, id), which a stream
    need not follow.
    """

    source_kind: str
    source_id: str
    kind: str
    contract: str | None
    project: str | None
    when: date
    currency: str | None
    value: Fraction | None
    reasons: tuple[str, ...]
    turn: tuple[str, str]
    legal_entity: str | None = None
    billed: Fraction = ZERO
    over_cap: Fraction = ZERO
    # part of the value that is earned: all of it but what lies over the cap
    earned: Fraction = ZERO

    @property
    def key(self) -> str:
        return f"{self.source_kind}:{self.source_id}"

    @property
    def gated(self) -> bool:
        """Worth something, and held by a gate other than the cap."""
        return self.value is not None and bool(set(self.reasons) - {"over_cap"})


def billable_items(firm: Firm, nets: Nets | None = None) -> dict[str, Item]:
    """Every item that is worth something or is held, by ``source_kind:source_id``.

    ``nets``: what a stream has billed of each (contract, item key), net. With it the items say what is left of that;
    without it the batch bills what it may.
    """
    found: list[Item] = []
    for project in firm.projects.values():
        terms = firm.terms_of(project)
        found += _unknown_contract(firm, project) if terms is None else _of_project(firm, project, terms)
    for name, terms in firm.contracts.items():
        if terms.billing == "retainer":
            found += _overage(firm, name, terms)
            found += _fees(firm, terms)
    items = {item.key: item for item in found}
    for name, terms in firm.contracts.items():
        items |= _settled([item for item in items.values() if item.contract == name], terms.cap, nets)
    return items


def _unknown_contract(firm: Firm, project: Row) -> Iterator[Item]:
    def waiting(kind: str, name: str, row: Row, when: date) -> Item:
        turn = (row.get("approved_at") or "", row["id"])
        contract = project.get("contract_number") or None
        return Item(kind, row["id"], name, contract, project["id"], when, None, None, ("no_contract",), turn)

    for entry in approved(firm.entries[project["id"]]):
        if entry["billable"] and number(entry["hours"]):
            yield waiting("time_entry", "time", entry, day(entry["work_date"]))
    for expense in approved(firm.expenses[project["id"]]):
        if expense["billable"] and number(expense["amount"]):
            yield waiting("expense", "expense", expense, day(expense["expense_date"]))
    for milestone in firm.milestones[project["id"]]:
        worthless = not number(milestone.get("percent" if milestone.get("amount") is None else "amount"))
        if milestone["status"] in ("Done", "Signed Off") and (when := done_on(milestone)) and not worthless:
            yield waiting("milestone", "milestone", milestone, when)


@dataclass(frozen=True)
class _Seen:
    """What the items of one project have in common."""

    firm: Firm
    terms: Terms
    project: Row
    gates: list[str]

    def item(self, kind: str, row: Row, when: date, amount: Fraction | None) -> Iterator[Item]:
        """One item of a known contract; none when it is worth nought or less. An amount of None lacks a rate."""
        terms = self.terms
        value = None if amount is None else rounded(amount, terms.currency)
        if value is not None and value <= 0:
            return
        reasons = [] if terms.covers(when) else ["outside_term"]
        if value is None:
            reasons.append("no_fx_rate" if kind == "expense" else "no_rate")
        yield Item(
            SOURCE_KINDS[kind],
            row["id"],
            kind,
            terms.number,
            self.project["id"],
            when,
            terms.currency,
            None if reasons else value,
            tuple(reasons + self.gates),
            (row.get("approved_at") or "", row["id"]),
            self.firm.legal_entity(self.project, terms),
        )


def _of_project(firm: Firm, project: Row, terms: Terms) -> Iterator[Item]:
    seen = _Seen(firm, terms, project, gates_shut(firm, terms, project))
    if terms.billing in HOURLY:
        for entry in approved(firm.entries[project["id"]]):
            if entry["billable"] and number(entry["hours"]):
                when = day(entry["work_date"])
                rate = terms.bill_rate(entry["role"], when)
                yield from seen.item("time", entry, when, None if rate is None else number(entry["hours"]) * rate)
    if terms.billing != "retainer":
        for milestone in firm.milestones[project["id"]]:
            if counts_as_done(milestone, terms) and (done := done_on(milestone)):
                yield from seen.item("milestone", milestone, done, milestone_amount(milestone, terms.value_at(done)))
    if terms.row["ExpensePolicy"] != "NonBillable":
        markup = number(terms.row.get("ExpenseMarkup")) if terms.row["ExpensePolicy"] == "Markup" else ZERO
        for expense in approved(firm.expenses[project["id"]]):
            if expense["billable"] and number(expense["amount"]):
                when = day(expense["expense_date"])
                fx = firm.fx(expense["currency"], terms.currency, when)
                amount = None if fx is None else number(expense["amount"]) * fx * (ONE + markup)
                yield from seen.item("expense", expense, when, amount)


def _overage(firm: Firm, name: str, terms: Terms) -> Iterator[Item]:
    """Hours of each calendar month beyond the included ones, filled in order of (work_date, id)."""
    months: dict[str, list[tuple[str, str, Row, Row]]] = defaultdict(list)
    for project in firm.projects_of[name]:
        for entry in approved(firm.entries[project["id"]]):
            if entry["billable"]:
                months[entry["work_date"][:7]].append((entry["work_date"], entry["id"], entry, project))
    rate = terms.row.get("OverageRate")
    for listed in months.values():
        room = number(terms.row.get("IncludedHours"))
        for worked_on, _, entry, project in sorted(listed, key=lambda line: line[:2]):
            hours = number(entry["hours"])
            over = max(ZERO, hours - room)
            room = max(ZERO, room - hours)
            if over:
                amount = None if rate is None else over * number(rate)
                seen = _Seen(firm, terms, project, gates_shut(firm, terms, project))
                yield from seen.item("overage", entry, day(worked_on), amount)


def _fees(firm: Firm, terms: Terms) -> Iterator[Item]:
    fee = rounded(number(terms.row.get("PeriodicFee")), terms.currency)
    if not fee:
        return
    gates = tuple(gates_shut(firm, terms, None))
    for due in fee_days(terms, firm.clock.date()):
        source = f"{terms.number}:{due:%Y-%m}"
        yield Item(
            "retainer_period",
            source,
            "retainer",
            terms.number,
            None,
            due,
            terms.currency,
            fee,
            gates,
            ("", source),
            firm.legal_entity(None, terms),
        )


def fee_days(terms: Terms, until: date) -> list[date]:
    """First day in the term of each calendar month that the term touches, up to a day."""
    found = []
    due = terms.start
    last = until if terms.end is None else min(until, terms.end)
    while due <= last:
        found.append(due)
        due = date(due.year + due.month // 12, due.month % 12 + 1, 1)
    return found


def counts_as_done(milestone: Row, terms: Terms) -> bool:
    """Billable by its status: completed, or accepted where acceptance is required."""
    return milestone["status"] == "Signed Off" or (
        milestone["status"] == "Done" and not terms.row["RequiresAcceptance"]
    )


def done_on(milestone: Row) -> date | None:
    """The date of a milestone is that of completed_at, also when acceptance is required."""
    moment = milestone.get("completed_at")
    return day_of(moment) if moment else None


def milestone_amount(milestone: Row, value: Fraction) -> Fraction:
    """Amount, else percent of a value (the contract's at the day it is done, or its total as a weight)."""
    if milestone.get("amount") is not None:
        return number(milestone["amount"])
    return number(milestone.get("percent")) * value


def gates_shut(firm: Firm, terms: Terms, project: Row | None) -> list[str]:
    """The gates that are shut for an item of a project (None: for a fee), in the order of the contract."""
    shut = []
    if terms.stage in SHUT_STAGES:
        shut.append("contract_inactive")
    if project is not None and project["billing_hold"]:
        shut.append("project_hold")
    if terms.row["PoRequired"] and not terms.row.get("PoNumber"):
        shut.append("po_missing")
    legal_entity = firm.legal_entity(project, terms)
    if legal_entity is None or legal_entity not in firm.rows["erp.LegalEntity"]:
        shut.append("no_legal_entity")
    else:
        client = firm.client_of(project) if project is not None else terms.row["AccountId"]
        if firm.customer(client, legal_entity) is None:
            shut.append("no_erp_customer")
    return shut


def _settled(items: list[Item], cap: Fraction | None, nets: Nets | None) -> dict[str, Item]:
    """Items of one contract with billed, over_cap and earned filled in."""
    room = cap
    settled = {}
    # Items with open gates draw first; gated ones have earned what then is left.
    for item in sorted(items, key=lambda each: (each.gated, each.turn)):
        if item.value is None:
            settled[item.key] = item
            continue
        capped = cap is not None and item.kind in DRAWS_CAP
        if nets is not None:
            billed = nets.get((item.contract or "", item.key), ZERO)
            wanted = item.value if item.gated or not capped else billed
        else:
            billed = ZERO
            wanted = item.value
        earned = wanted
        if room is not None and capped:
            earned = min(wanted, max(room, ZERO))
            room -= earned
        if nets is None and not item.gated:
            billed = earned
        over = item.value - billed if capped and not item.gated else ZERO
        reasons = (*item.reasons, "over_cap") if over else item.reasons
        settled[item.key] = replace(item, reasons=reasons, billed=billed, over_cap=over, earned=earned)
    return settled
