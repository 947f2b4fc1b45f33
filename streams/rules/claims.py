"""What a contract's ledger says for or against alerts: one function a kind of alert."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple

from streams.domain.calendar import MINUTE_MS, moment
from streams.domain.canonical import Amendment
from streams.domain.fact import Cause, Claim, ProjectView, by_the_clock
from streams.domain.ledger import Item, Reconciled
from streams.domain.money import ONE, ZERO, divide, multiply
from streams.domain.policy import Policy
from streams.domain.terms import Terms

FOR: Final = "for"
AGAINST: Final = "against"
NONE: Final = "none"


class Party(NamedTuple):
    """Who an alert concerns, for its fields and for thresholds of their own."""

    claimant: str
    project_id: str | None
    contract_number: str | None
    client_id: str | None
    region: str | None


def claim(  # noqa: PLR0913 - the parts of a claim are independent
    kind: str,
    entity_id: str,
    stance: str,
    party: Party,
    due_at: int,
    measure: tuple[Decimal, Decimal],
    cause: Cause,
    severity: str,
    evidence: Iterable[tuple[str, str]] = (),
) -> Claim:
    """Return a claim; `measure` is (measured, threshold)."""
    return Claim(
        kind, entity_id, party.claimant, stance, due_at, measure[0], measure[1], severity, party.project_id,
        party.contract_number, party.client_id, tuple(evidence), cause,
    )  # fmt: skip


def nothing(kind: str, entity_id: str, party: Party, cause: Cause) -> Claim:
    """Return the claim that takes back whatever was claimed before."""
    return claim(kind, entity_id, NONE, party, 0, (ZERO, ZERO), cause, "")


def milestone_unbilled(item: Item, terms: Terms | None, party: Party, policy: Policy, cause: Cause) -> Claim:
    """A milestone is due for billing by its status, whatever gates hold it; what has no value claims nothing."""
    work, kind = item.work, "milestone_unbilled"
    if work is None or terms is None or not item.worth.amount:
        return nothing(kind, item.id, party, cause)
    since = work.accepted_at if terms.contract.requires_acceptance else work.ready_at
    delay = policy.delay_ms(kind, party.client_id, party.region)
    severity = policy.alert(kind).severity
    evidence = (("amount", str(item.worth.amount)), ("currency", terms.contract.currency))
    return claim(kind, item.id, FOR, party, since + delay, (item.worth.amount, ZERO), cause, severity, evidence)


def expense_late(item: Item, party: Party, policy: Policy, cause: Cause) -> Claim:
    """An approved expense waits for its cost posting; how long is counted from its approval, if that is known."""
    work, kind = item.work, "expense_late"
    if work is None or not work.ready_at:
        return nothing(kind, item.id, party, cause)
    due_at = work.ready_at + policy.delay_ms(kind, party.client_id, party.region)
    evidence = (("amount", str(work.quantity)), ("currency", work.currency))
    measure = (work.quantity or ZERO, ZERO)
    return claim(kind, item.id, FOR, party, due_at, measure, cause, policy.alert(kind).severity, evidence)


def reconciliation_gap(
    period: str, sums: Reconciled, shared: bool, terms: Terms | None, party: Party, policy: Policy, cause: Cause
) -> Claim:
    """Net triggers of a posting period less the posted invoice lines that name them; ledgers of a project add up.

    Where the period is `shared` with another ledger, one without a gap still tells how new its triggers are.
    """
    kind, entity = "reconciliation_gap", f"{party.project_id}:{period}"
    gap = sums.triggered - sums.invoiced
    if not gap and not (shared and sums.newest_at):
        return nothing(kind, entity, party, cause)
    due_at = sums.newest_at + policy.delay_ms(kind, party.client_id, party.region)
    evidence = [("triggered", str(sums.triggered)), ("invoiced", str(sums.invoiced))]
    if terms is not None:
        evidence.append(("currency", terms.contract.currency))
    return claim(kind, entity, FOR, party, due_at, (gap, ZERO), cause, policy.alert(kind).severity, evidence)


def cap_burn(drawn: Decimal, terms: Terms | None, party: Party, policy: Policy, cause: Cause) -> Claim:
    """How much of a cap is billed: a warning, then critical."""
    kind, contract = "cap_burn", party.claimant
    if terms is None or not terms.cap:
        return nothing(kind, contract, party, cause)
    burnt = divide(drawn, terms.cap)
    alert = policy.alert(kind)
    evidence = (("billed", str(drawn)), ("cap", str(terms.cap)), ("currency", terms.contract.currency))
    for severity in ("critical", "warning"):
        limit = alert.limit(severity, party.client_id, party.region)
        if burnt >= limit:
            return claim(kind, contract, FOR, party, 0, (burnt, limit), cause, severity, evidence)
    return nothing(kind, contract, party, cause)


def amendment_unpropagated(
    amendment: Amendment, place: int, versions: Iterable[int], party: Party, policy: Policy, cause: Cause
) -> Claim:
    """An approved amendment beyond the count that an ERP project of the contract has taken over."""
    kind = "amendment_unpropagated"
    behind = [version for version in versions if place > version]
    if not behind:
        return nothing(kind, amendment.id, party, cause)
    due_at = amendment.changed_at + policy.delay_ms(kind, party.client_id, party.region)
    measure = (Decimal(place), Decimal(min(behind)))
    evidence = (("place", str(place)), ("taken_over", str(min(behind))))
    return claim(kind, amendment.id, FOR, party, due_at, measure, cause, policy.alert(kind).severity, evidence)


def status_mismatch(view: ProjectView | None, terms: Terms | None, party: Party, policy: Policy, cause: Cause) -> Claim:
    """CRM contract, PSA and ERP project do not all say the same stage; at least two must be known."""
    kind, project_id = "status_mismatch", party.project_id or ""
    if view is None:
        return nothing(kind, project_id, party, cause)
    said = {"psa": (view.project.stage, view.project.changed_at)}
    if terms is not None:
        said["crm"] = (terms.contract.stage, terms.contract.changed_at)
    if view.erp is not None:
        said["erp"] = (view.erp.stage, view.erp.changed_at)
    stages = {stage for stage, _ in said.values()}
    if len(stages) < 2:
        return nothing(kind, project_id, party, cause)
    due_at = max(changed for _, changed in said.values()) + policy.delay_ms(kind, party.client_id, party.region)
    evidence = [(system, stage) for system, (stage, _) in sorted(said.items())]
    measure = (Decimal(len(stages)), ONE)
    return claim(kind, project_id, FOR, party, due_at, measure, cause, policy.alert(kind).severity, evidence)


def revenue_drift(
    recognized: Decimal | None, earned: Decimal, terms: Terms | None, party: Party, policy: Policy, cause: Cause
) -> Claim:
    """What the ERP recognizes and what was earned differ by more than a fraction and an amount."""
    kind, contract = "revenue_drift", party.claimant
    if recognized is None or terms is None:
        return nothing(kind, contract, party, cause)
    alert = policy.alert(kind)
    drift = abs(recognized - earned)
    fraction = alert.limit("fraction", party.client_id, party.region)
    threshold = max(multiply(fraction, earned), alert.limit("amount", party.client_id, party.region))
    if drift <= threshold:
        return nothing(kind, contract, party, cause)
    evidence = (
        ("recognized", str(recognized)), ("earned", str(earned)), ("currency", terms.contract.currency),
    )  # fmt: skip
    return claim(kind, contract, FOR, party, 0, (drift, threshold), cause, alert.severity, evidence)


def feed_stalled(feed: str, listener: str, silent_ms: int, heard_at: int, policy: Policy, now: int) -> Claim:
    """A listener has heard nothing of a feed for so long; `heard_at` is when it did last, 0 if it never has."""
    kind, party = "feed_stalled", Party(listener, None, None, None, None)
    alert, cause = policy.alert(kind), by_the_clock(now)
    if silent_ms < policy.silence_ms():
        return nothing(kind, feed, party, cause)
    measure = (divide(Decimal(silent_ms), Decimal(MINUTE_MS)), alert.limit("after_minutes", None, None))
    evidence = (("heard_at", moment(heard_at).strftime("%Y-%m-%dT%H:%M:%SZ")),) if heard_at else ()
    return claim(kind, feed, FOR, party, 0, measure, cause, alert.severity, evidence)
