"""Activation: from a deal won to a project that can be billed, one step after the other.

A step is taken by the system that owns it and is done when that system's feed shows its effect, so that asking twice
does no harm and nothing is believed that did not happen.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from streams.domain.calendar import iso_date, moment
from streams.domain.canonical import Account, Contract, Opportunity
from streams.domain.fact import ProjectView
from streams.domain.identity import identity_of
from streams.domain.undertaking import Order, Undertaking
from streams.rules.exceptions import Entity

STEPS: Final = ("validate", "create_project", "provision_erp", "announce")
TARGETS: Final = {"validate": "crm", "create_project": "psa", "provision_erp": "erp", "announce": "collaboration"}
TRIES: Final = frozenset({"asked", "retrying"})
"""States of events that say that a step is being tried, and of no outcome."""

_ENDED: Final = frozenset({"cancelled", "closed"})


class Observed(NamedTuple):
    """What the feeds show about a deal."""

    opportunity: Opportunity
    account: Account | None
    contract: Contract | None
    projects: tuple[ProjectView, ...]


def is_won(opportunity: Opportunity | None) -> bool:
    """Tell whether a deal is closed and won: by its flags, never by a stage's name."""
    return opportunity is not None and opportunity.is_closed and opportunity.is_won


def faults(seen: Observed) -> tuple[str, ...]:
    """Return what keeps a won deal from being set up."""
    found = []
    if seen.account is None:
        found.append("account_unknown")
    if not seen.opportunity.contract_number:
        found.append("no_contract_number")
    elif seen.contract is None:
        found.append("contract_unknown")
    else:
        if seen.contract.account_id != seen.opportunity.account_id:
            found.append("account_differs")
        if seen.contract.stage in _ENDED:
            found.append("contract_ended")
    return tuple(found)


def steps_done(seen: Observed) -> int:
    """Return how many steps the feeds show as done, in their order; the announcement follows by itself."""
    if faults(seen):
        return 0
    if not seen.projects:
        return 1
    if not any(view.erp is not None for view in seen.projects):
        return 2
    return len(STEPS)


def command_record(seen: Observed, step: str, attempt: int, now: int, due_at: int) -> dict[str, Any]:
    """Return an `activation.commands` record; its id is that of the step, however often it is asked for."""
    return {
        "command_id": _identity("command", seen.opportunity.id, step),
        "opportunity_id": seen.opportunity.id,
        "step": step,
        "attempt": attempt,
        "target": TARGETS[step],
        **_parties(seen),
        "legal_entity": seen.contract.legal_entity if seen.contract else None,
        "arguments": _arguments(seen),
        "issued_at": moment(now),
        "due_at": moment(due_at),
    }


def event_record(
    seen: Observed, step: str, state: str, attempt: int, reasons: Sequence[str], now: int, since: int = 0
) -> dict[str, Any]:
    """Return an `activation.events` record; `since` is when what has ended began, 0 where that is not known."""
    erp = next((view.erp for view in seen.projects if view.erp is not None), None)
    results = {}
    if state in ("succeeded", "completed"):
        if erp is not None:
            results["erp_project_number"] = erp.erp_number
        if since:
            results["elapsed_ms"] = str(now - since)
    # A deal that is given a contract begins anew under it.
    contract = seen.opportunity.contract_number or ""
    return {
        "event_id": _identity("event", seen.opportunity.id, contract, step, state, str(attempt)),
        "command_id": None if state in ("started", "completed") else _identity("command", seen.opportunity.id, step),
        "opportunity_id": seen.opportunity.id,
        "step": step,
        "state": state,
        "attempt": attempt,
        **_parties(seen),
        "results": results,
        "reasons": list(reasons),
        "occurred_at": moment(now),
    }


def doer_entity(undertaking: Undertaking) -> Entity:
    """Return what an exception about whoever does a step is of."""
    return Entity("activation_doer", undertaking.doer)


def announcement_entity(order: Order) -> Entity:
    """Return what an exception about the announcement of a deal is of."""
    return Entity(
        "announcement", order.opportunity_id, order.project_id or None, order.contract_number, order.client_id
    )


def outcome_record(
    undertaking: Undertaking, state: str, reasons: Sequence[str], results: Mapping[str, str], now: int
) -> dict[str, Any]:
    """Return an `activation.events` record of what whoever does a step says of it."""
    order, attempt = undertaking.order, undertaking.attempts
    parts = ("event", order.opportunity_id, order.contract_number, order.step, state, str(attempt))
    return {
        "event_id": _identity(*parts),
        "command_id": order.command_id,
        "opportunity_id": order.opportunity_id,
        "step": order.step,
        "state": state,
        "attempt": attempt,
        "client_id": order.client_id or None,
        "contract_number": order.contract_number or None,
        "project_id": order.project_id or None,
        "results": {"doer": undertaking.doer, **results},
        "reasons": list(reasons),
        "occurred_at": moment(now),
    }


def _arguments(seen: Observed) -> dict[str, str]:
    """Return what whoever takes a step needs to know, as far as it is known."""
    account, contract = seen.account, seen.contract
    view = seen.projects[0] if seen.projects else None
    erp = next((each.erp for each in seen.projects if each.erp is not None), None)
    known = {
        "name": seen.opportunity.name,
        "closes_on": iso_date(seen.opportunity.closes_on),
        "client_name": account.name if account else None,
        "country": account.billing_country if account else None,
        "currency": contract.currency if contract else None,
        "start_on": iso_date(contract.start_on) if contract else None,
        "end_on": iso_date(contract.end_on) if contract and contract.end_on else None,
        "project_name": view.project.name if view else None,
        "region": view.project.region if view else None,
        "erp_project_number": erp.erp_number if erp else None,
    }
    return {name: value for name, value in known.items() if value}


def _parties(seen: Observed) -> dict[str, str | None]:
    return {
        "client_id": seen.opportunity.account_id,
        "contract_number": seen.opportunity.contract_number,
        "project_id": seen.projects[0].project.id if seen.projects else None,
    }


def _identity(*parts: str) -> str:
    return identity_of("throughline:activation:" + ":".join(parts))
