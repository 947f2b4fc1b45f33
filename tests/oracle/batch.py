"""The batch: final rows and a clock in, what the stream must say out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.oracle.amounts import ZERO, minor, number, shown
from tests.oracle.billing import Item, billable_items
from tests.oracle.drift import CAP_WARNING, Trigger, cap_drawn, erosion, nets_of, open_alerts
from tests.oracle.folding import Folded, Record, clock_of, final_rows, moment_of
from tests.oracle.margin import Margin, margins
from tests.oracle.terms import Firm, Terms

Facts = dict[str, Any]


@dataclass
class Batch:
    """Everything the batch derives. Amounts are decimals in currency units; ``figures`` keep them exact.

    ``contracts``, ``projects``: number or id -> fields. ``items``: ``source_kind:source_id`` -> Item. ``alerts``:
    alert id -> measure of the open ones, ``either_way``: ids that may be open or not, as they hang on the order of
    events. ``ownership_violations``: ``PROJECT.field``. ``uncosted``: item keys. ``refused``: (topic, identity) ->
    exception kind of rows whose newest version is refused or, of a master, a delete. ``currency_clash``: projects
    whose fixed-fee or retainer contract has another currency. ``parked``: (topic, identity) of rows whose project is
    unknown.
    """

    clock: datetime
    contracts: dict[str, Facts]
    items: dict[str, Item]
    projects: dict[str, Facts]
    figures: dict[str, Margin]
    alerts: dict[str, Decimal]
    either_way: set[str]
    ownership_violations: set[str]
    uncosted: set[str]
    refused: dict[tuple[str, str], str]
    currency_clash: set[str]
    parked: set[tuple[str, str]]


def batch_of(records: Iterable[Record], until: str | None = None, triggers: list[Trigger] | None = None) -> Batch:
    """Fold the records of a file run and compute at the clock that it ends with."""
    kept = list(records)
    return batch(final_rows(kept), clock_of(kept, until), triggers)


def batch(folded: Folded, clock: datetime | str, triggers: list[Trigger] | None = None) -> Batch:
    """Compute from final rows.

    ``triggers``: those a stream has emitted. Then what is billed is what they say, and all that follows from it
    (held, revenue under a crowded cap, cap_burn, reconciliation_gap) is exact and not one of several answers.
    """
    moment = moment_of(clock) if isinstance(clock, str) else clock
    firm = Firm(folded.rows, moment)
    items = billable_items(firm, None if triggers is None else nets_of(triggers))
    figures = margins(firm, items)
    alerts = open_alerts(firm, items, figures, triggers)
    return Batch(
        clock=moment,
        contracts={name: contract_facts(terms, items) for name, terms in sorted(firm.contracts.items())},
        items=dict(sorted(items.items())),
        projects={name: project_facts(margin) for name, margin in figures.items()},
        figures=figures,
        alerts={name: shown(measure) for name, measure in sorted(alerts.items())},
        either_way=_either_way(firm, items, figures, settled=triggers is not None),
        ownership_violations=ownership_violations(firm),
        uncosted={key for margin in figures.values() for key in margin.uncosted},
        refused={**dict.fromkeys(folded.undeletable, "validation_failed"), **folded.refused},
        currency_clash={
            name
            for name, m in figures.items()
            if m.terms and m.terms.billing in ("fixed_fee", "retainer") and m.terms.currency != m.project["currency"]
        },
        parked={
            (topic, name)
            for topic in ("milestones", "assignments", "time_entries", "expenses")
            for name, row in folded.rows[f"psa.public.{topic}"].items()
            if row["project_id"] not in firm.projects
        },
    )


def contract_facts(terms: Terms, items: dict[str, Item]) -> Facts:
    """Sums of a contract. ``billed_min`` to ``billed_max`` is what a stream may have billed.

    An item behind a gate may have been billed before the gate shut; without such items both are ``net_billed``.
    """
    own = [item for item in items.values() if item.contract == terms.number and item.value is not None]
    value = sum((item.value or ZERO for item in own), ZERO)
    over_cap = sum((item.over_cap for item in own), ZERO)
    billed = sum((item.billed for item in own), ZERO)
    earned = sum((item.earned for item in own), ZERO)
    places = minor(terms.currency)
    return {
        "currency": terms.currency,
        "value": fixed(value, places),
        "billed_and_gated": fixed(value - over_cap, places),
        "over_cap": fixed(over_cap, places),
        "billed_min": fixed(billed, places),
        "billed_max": fixed(earned, places),
        "cap": None if terms.cap is None else fixed(terms.cap, places),
        "net_billed": fixed(billed, places),
    }


def project_facts(margin: Margin) -> Facts:
    """The fields of ``margin.updates`` but as_of and sequence."""
    places = minor(margin.project["currency"])
    baseline = margin.project.get("baseline_margin_pct")
    return {
        "project_id": margin.project["id"],
        "contract_number": margin.project.get("contract_number") or None,
        "client_id": margin.client,
        "currency": margin.project["currency"],
        "approved_hours": shown(margin.progress.approved),
        "billable_hours": shown(margin.progress.billable),
        "labor_cost": fixed(margin.labor_cost, places),
        "expense_cost": fixed(margin.expense_cost, places),
        "revenue": fixed(margin.revenue, places),
        "billed": fixed(margin.billed, places),
        "held": fixed(margin.held, places),
        "margin": fixed(margin.revenue - margin.cost, places),
        "margin_pct": percentage(margin.margin_pct),
        "percent_complete": shown(margin.progress.complete),
        "remaining_hours": shown(margin.progress.remaining),
        "forecast_cost": fixed(margin.forecast_cost, places),
        "forecast_revenue": fixed(margin.forecast_revenue, places),
        "forecast_margin_pct": percentage(margin.forecast_pct),
        "baseline_margin_pct": None if baseline is None else shown(number(baseline)),
        "uncosted_hours": shown(margin.uncosted_hours),
        "uncosted_amount": shown(margin.uncosted_amount),
    }


def fixed(amount: Fraction, places: int) -> Decimal:
    """An amount that is already whole minor units, with its digits; others keep what they have."""
    decimal = shown(amount)
    quantized = decimal.quantize(Decimal(1).scaleb(-places))
    return quantized if quantized == decimal else decimal


def percentage(part: Fraction | None) -> Decimal | None:
    return None if part is None else shown(part)


def ownership_violations(firm: Firm) -> set[str]:
    """Where PSA's copy of a project field that the ERP owns says something else."""
    found = set()
    for name, project in firm.projects.items():
        owner = firm.rows["erp.Project"].get(name)
        for copy, owned in (("legal_entity", "LegalEntity"), ("cost_center", "CostCenter")):
            if owner and owner.get(owned) and project.get(copy) and project[copy] != owner[owned]:
                found.add(f"{name}.{copy}")
    return found


def _either_way(firm: Firm, items: dict[str, Item], figures: dict[str, Margin], settled: bool) -> set[str]:
    """Alerts that order may decide: inside a clearing band, or (not ``settled``) behind a gate or a shared cap."""
    found = {f"margin_erosion:{name}" for name, margin in figures.items() if erosion(margin) == "band"}
    if settled:
        return found
    found |= {f"margin_erosion:{name}" for name, margin in figures.items() if not margin.revenue_exact}
    for name, terms in firm.contracts.items():
        if terms.cap:
            gated = sum((i.earned for i in items.values() if i.contract == name and i.gated), ZERO)
            drawn = cap_drawn(terms, items)
            if drawn / terms.cap < CAP_WARNING <= (drawn + gated) / terms.cap:
                found.add(f"cap_burn:{name}")
    return found
