"""What a change of terms or of a project touches, so that a correction costs what it touches and no more."""

from datetime import date
from typing import Final, NamedTuple

from streams.domain.canonical import Contract, CostRate
from streams.domain.fact import ProjectView
from streams.domain.terms import Terms

_VALUED_BY: Final = (
    "billing_type", "currency", "expense_policy", "expense_markup", "requires_acceptance", "start_on", "overage_rate",
    "included_hours", "periodic_fee", "value",
)  # fmt: skip
_MONTHS_BY: Final = ("billing_type", "included_hours")
_GATED_BY: Final = ("stage", "po_number", "po_required", "legal_entity", "account_id")


class Touched(NamedTuple):
    """What to look at again.

    `since` is the earliest day whose time and expenses may be worth something else (date.min: all; None: none),
    `milestones`, `fees` and `cap` likewise for those, `gates` whether what is held may be free or held otherwise,
    `months` whether a retainer's months may pass their included hours elsewhere.
    """

    since: date | None
    milestones: bool
    fees: bool
    gates: bool
    cap: bool
    months: bool


def touched_by(before: Terms | None, after: Terms) -> Touched:
    """Return what a change from one state of the terms to the next touches."""
    if before is None:
        return Touched(date.min, True, True, True, True, True)
    old, new = before.contract, after.contract
    if _differs(old, new, _VALUED_BY):
        return Touched(date.min, True, True, True, True, _differs(old, new, _MONTHS_BY))
    days = [day for day in (_earliest_rate(before, after), _earliest_end(before, after)) if day is not None]
    values = [(a.effective_from, a.value_delta) for a in before.amendments if a.value_delta] != [
        (a.effective_from, a.value_delta) for a in after.amendments if a.value_delta
    ]
    ends = before.end_on != after.end_on
    gates = _differs(old, new, _GATED_BY)
    return Touched(min(days, default=None), values or ends, ends, gates, before.cap != after.cap, False)


def costs_change_on(before: tuple[CostRate, ...] | None, after: tuple[CostRate, ...] | None) -> date | None:
    """Return the first day on which an hour may cost something else; None where rates say the same."""
    # Of equal dates the last listed holds, so that the order of a list may be all that changes.
    old = {rate.effective_from: rate for rate in before or ()}
    new = {rate.effective_from: rate for rate in after or ()}
    return min((day for day in old.keys() | new.keys() if old.get(day) != new.get(day)), default=None)


def gates_of(view: ProjectView) -> tuple[bool, str | None]:
    """Return what of a project opens and shuts gates."""
    return view.project.billing_hold, view.erp.legal_entity if view.erp else None


def party_of(view: ProjectView) -> tuple[str, str]:
    """Return what of a project decides which thresholds count for its alerts, and whom they name."""
    return view.project.region, view.project.client_id


def _differs(old: Contract, new: Contract, names: tuple[str, ...]) -> bool:
    return any(getattr(old, name) != getattr(new, name) for name in names)


def _earliest_rate(before: Terms, after: Terms) -> date | None:
    return min((since for _, since, *_ in before.dated_rates() ^ after.dated_rates()), default=None)


def _earliest_end(before: Terms, after: Terms) -> date | None:
    if before.end_on == after.end_on:
        return None
    ends = [end for end in (before.end_on, after.end_on) if end is not None]
    return min(ends)
