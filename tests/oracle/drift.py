"""Drift of the batch: which alerts are open at the clock, and their measures (section 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from uuid import NAMESPACE_URL, uuid5

from tests.oracle.amounts import ZERO, number, working_days
from tests.oracle.billing import NO_VALUE, Item, counts_as_done
from tests.oracle.folding import moment_of
from tests.oracle.margin import Margin
from tests.oracle.shapes import MEANINGS, Row
from tests.oracle.terms import Firm, Terms, approved, day

DAY = timedelta(hours=24)
AMENDMENT_WAIT = timedelta(hours=4)
STATUS_WAIT = timedelta(hours=2)
FLOOR = Fraction(20, 100)
POINTS = Fraction(5, 100)
CLEARS_BETTER = Fraction(1, 100)
REVENUE_SHARE = Fraction(5, 100)
REVENUE_AMOUNT = Fraction(1000)
CAP_WARNING = Fraction(80, 100)
WEEKS_AHEAD = 26
REVISIONS_MAX = 50
RELEASED = {"Released", "Paid"}
POSTED = {"Posted", *RELEASED}


@dataclass(frozen=True)
class Trigger:
    """What the batch needs of a billing trigger; ``occurred_at`` None means long enough ago."""

    trigger_id: str
    contract: str
    source_kind: str
    source_id: str
    project: str | None
    posting_period: str
    amount: Fraction
    occurred_at: str | None = None


def trigger_id(contract: str, source_kind: str, source_id: str, revision: int) -> str:
    """The deterministic id of a trigger."""
    return str(uuid5(NAMESPACE_URL, f"throughline:{contract}:{source_kind}:{source_id}:{revision}"))


def emitted(records: Iterable[Row]) -> list[Trigger]:
    """Triggers out of the values of ``billing.triggers``."""
    return [
        Trigger(
            value["trigger_id"],
            value["contract_number"],
            value["source_kind"],
            value["source_id"],
            value.get("project_id"),
            value["posting_period"],
            number(str(value["amount"])),
            value["occurred_at"],
        )
        for value in records
    ]


def nets_of(triggers: Iterable[Trigger]) -> dict[tuple[str, str], Fraction]:
    """What triggers have billed of each (contract, item key), reversals taken off."""
    nets: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for trigger in triggers:
        nets[trigger.contract, f"{trigger.source_kind}:{trigger.source_id}"] += trigger.amount
    return nets


def assumed_triggers(firm: Firm, items: dict[str, Item]) -> list[Trigger]:
    """One trigger for each billed item at revision 0, posted in the first period that is open now."""
    return [
        Trigger(
            trigger_id(item.contract or "", item.source_kind, item.source_id, 0),
            item.contract or "",
            item.source_kind,
            item.source_id,
            item.project,
            firm.posting_period(item.legal_entity or "", f"{item.when:%Y-%m}"),
            item.billed,
        )
        for item in items.values()
        if item.billed
    ]


def open_alerts(
    firm: Firm, items: dict[str, Item], margins: dict[str, Margin], triggers: list[Trigger] | None
) -> dict[str, Fraction]:
    """Alert id -> measure of every alert open at the clock, all kinds but feed_stalled."""
    return {
        **_milestone_unbilled(firm, items, triggers),
        **{f"margin_erosion:{name}": m.forecast_pct or ZERO for name, m in margins.items() if erosion(m) == "open"},
        **_revenue_drift(firm, items, margins),
        **_overallocation(firm),
        **_amendment_unpropagated(firm),
        **_status_mismatch(firm),
        **_expense_late(firm),
        **_cap_burn(firm, items),
        **_reconciliation_gap(firm, assumed_triggers(firm, items) if triggers is None else triggers),
    }


def _milestone_unbilled(firm: Firm, items: dict[str, Item], triggers: list[Trigger] | None) -> dict[str, Fraction]:
    named_milestones, named_triggers = set(), set()
    for invoice in firm.rows["erp.Invoice"].values():
        if invoice["Status"] in RELEASED:
            named_milestones |= {line.get("MilestoneId") for line in invoice["Lines"]}
            named_triggers |= {line.get("TriggerId") for line in invoice["Lines"]}
    found = {}
    for item in items.values():
        if item.source_kind != "milestone" or item.value is None or set(item.reasons) & NO_VALUE:
            continue
        milestone = firm.rows["psa.public.milestones"][item.source_id]
        terms = firm.contracts[item.contract or ""]
        if not counts_as_done(milestone, terms):
            continue
        since = milestone.get("accepted_at" if terms.row["RequiresAcceptance"] else "completed_at")
        if since is None or firm.clock < moment_of(since) + DAY:
            continue
        if triggers is None:
            ids = {trigger_id(terms.number, "milestone", item.source_id, n) for n in range(REVISIONS_MAX)}
        else:
            ids = {t.trigger_id for t in triggers if (t.source_kind, t.source_id) == ("milestone", item.source_id)}
        if item.source_id not in named_milestones and not ids & named_triggers:
            found[f"milestone_unbilled:{item.source_id}"] = item.value
    return found


def erosion(margin: Margin) -> str:
    """ "open", "band" (open if it was open before) or "closed"."""
    forecast = margin.forecast_pct
    if forecast is None or not margin.progress.approved:
        return "closed"
    baseline = margin.project.get("baseline_margin_pct")
    under = number(baseline) - forecast if baseline is not None else None
    if forecast < FLOOR or (under is not None and under >= POINTS):
        return "open"
    clears = forecast >= FLOOR + CLEARS_BETTER and (under is None or under <= POINTS - CLEARS_BETTER)
    return "closed" if clears else "band"


def _revenue_drift(firm: Firm, items: dict[str, Item], margins: dict[str, Margin]) -> dict[str, Fraction]:
    recognized: dict[str, Fraction] = defaultdict(Fraction)
    for schedule in firm.rows["erp.RevenueSchedule"].values():
        recognized[schedule["ContractNumber"]] += sum((number(line["Recognized"]) for line in schedule["Lines"]), ZERO)
    found = {}
    for contract, total in recognized.items():
        if contract in firm.contracts:
            projects, terms = firm.projects_of[contract], firm.contracts[contract]
            earned = sum((margins[p["id"]].revenue for p in projects), ZERO)
            if any(p["currency"] != terms.currency for p in projects):
                # both sides in contract currency: what items earn there, not what it makes in each project's
                earned = sum((i.earned for i in items.values() if i.contract == contract), ZERO)
            apart = abs(total - earned)
            if apart > REVENUE_SHARE * earned and apart > REVENUE_AMOUNT:
                found[f"revenue_drift:{contract}"] = apart
    return found


def _overallocation(firm: Firm) -> dict[str, Fraction]:
    this_week = firm.clock.date() - timedelta(days=firm.clock.date().weekday())
    hours: dict[tuple[str, date], Fraction] = defaultdict(Fraction)
    for project in firm.projects:
        for assignment in firm.assignments[project]:
            worker = firm.worker_of(assignment["resource_id"])
            if assignment["status"] != "Confirmed" or worker is None:
                continue
            for ahead in range(WEEKS_AHEAD + 1):
                monday = this_week + timedelta(weeks=ahead)
                first = max(monday, day(assignment["start_date"]))
                last = min(monday + timedelta(days=6), day(assignment["end_date"]))
                worked = number(assignment["hours_per_week"]) * working_days(first, last) / 5
                hours[worker["EmployeeId"], monday] += worked
    found = {}
    for (worker_id, monday), planned in hours.items():
        capacity = number(firm.rows["hr.Worker"][worker_id]["WeeklyCapacityHours"])
        if planned > capacity:
            year, week, _ = monday.isocalendar()
            found[f"overallocation:{worker_id}:{year}-W{week:02d}"] = planned / capacity if capacity else planned
    return found


def _amendment_unpropagated(firm: Firm) -> dict[str, Fraction]:
    found = {}
    for contract, terms in firm.contracts.items():
        known = [firm.rows["erp.Project"].get(project["id"]) for project in firm.projects_of[contract]]
        taken_over = min((erp["ContractVersion"] for erp in known if erp), default=None)
        for place, amendment in enumerate(terms.amendments, start=1):
            late = firm.clock >= moment_of(amendment["LastModifiedDate"]) + AMENDMENT_WAIT
            if late and taken_over is not None and place > taken_over:
                found[f"amendment_unpropagated:{amendment['Id']}"] = Fraction(place)
    return found


def _status_mismatch(firm: Firm) -> dict[str, Fraction]:
    found = {}
    for name, project in firm.projects.items():
        stages = {MEANINGS["stage_psa"][project["stage"]]}
        changed = [moment_of(project["updated_at"])]
        if terms := firm.terms_of(project):
            stages.add(terms.stage)
            changed.append(moment_of(terms.row["LastModifiedDate"]))
        if erp := firm.rows["erp.Project"].get(name):
            stages.add(MEANINGS["stage_erp"][erp["Status"]])
            changed.append(moment_of(erp["UpdatedAt"]))
        if len(stages) > 1 and firm.clock >= max(changed) + STATUS_WAIT:
            found[f"status_mismatch:{name}"] = Fraction(len(stages))
    return found


def _expense_late(firm: Firm) -> dict[str, Fraction]:
    posted = {p["SourceId"] for p in firm.rows["erp.CostPosting"].values() if p["SourceKind"] == "expense"}
    return {
        f"expense_late:{expense['id']}": number(expense["amount"])
        for project in firm.projects
        for expense in approved(firm.expenses[project])
        if expense["id"] not in posted
        and expense.get("approved_at")
        and firm.clock >= moment_of(expense["approved_at"]) + DAY
    }


def cap_drawn(terms: Terms, items: dict[str, Item]) -> Fraction:
    """What is billed of a capped contract against its cap; milestones stand outside."""
    own = (i for i in items.values() if i.contract == terms.number and i.kind in ("time", "expense"))
    return sum((item.billed for item in own), ZERO)


def _cap_burn(firm: Firm, items: dict[str, Item]) -> dict[str, Fraction]:
    found = {}
    for contract, terms in firm.contracts.items():
        if terms.cap and (burnt := cap_drawn(terms, items) / terms.cap) >= CAP_WARNING:
            found[f"cap_burn:{contract}"] = burnt
    return found


def _reconciliation_gap(firm: Firm, triggers: list[Trigger]) -> dict[str, Fraction]:
    invoiced: dict[str, Fraction] = defaultdict(Fraction)
    for invoice in firm.rows["erp.Invoice"].values():
        if invoice["Status"] in POSTED:
            for line in invoice["Lines"]:
                if line.get("TriggerId"):
                    invoiced[line["TriggerId"]] += number(line["Amount"])
    groups: dict[str, list[Trigger]] = defaultdict(list)
    for trigger in triggers:
        if trigger.project is not None:
            groups[f"{trigger.project}:{trigger.posting_period}"].append(trigger)
    found = {}
    for entity, group in groups.items():
        gap = sum((t.amount - invoiced[t.trigger_id] for t in group), ZERO)
        newest = max((moment_of(t.occurred_at) for t in group if t.occurred_at), default=None)
        if gap and (newest is None or firm.clock >= newest + DAY):
            found[f"reconciliation_gap:{entity}"] = gap
    return found
