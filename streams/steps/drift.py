"""Drift: the one place that opens, updates and resolves alerts.

Ledgers, people and intake claim for or against an alert; several may speak of the same one, on different partitions
and in any order. An alert is open while somebody claims for it, nobody against it, and its deadline has passed.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from streams.domain.calendar import moment
from streams.domain.fact import Cause, Claim, by_the_clock
from streams.domain.kept import Alert
from streams.domain.money import ZERO, round_quotient
from streams.domain.policy import Policy
from streams.rules.audit import audit_record
from streams.rules.claims import AGAINST, FOR, NONE
from streams.step import REVISED, Context, Record, Step
from streams.topics import ALERTS, AUDIT, DRIFT_CLAIMS

ENTITY_KINDS: Final = {
    "milestone_unbilled": "milestone",
    "margin_erosion": "project",
    "revenue_drift": "contract",
    "overallocation": "worker_week",
    "amendment_unpropagated": "amendment",
    "status_mismatch": "project",
    "expense_late": "expense",
    "cap_burn": "contract",
    "reconciliation_gap": "project_period",
    "feed_stalled": "feed",
}
_UNITS: Final = {
    "margin_erosion": "fraction",
    "overallocation": "fraction",
    "amendment_unpropagated": "count",
    "status_mismatch": "count",
    "cap_burn": "fraction",
    "feed_stalled": "minutes",
}
_ADDED_UP: Final = "reconciliation_gap"
_PARTS: Final = ("triggered", "invoiced")
_UNANIMOUS: Final = "feed_stalled"
"""Opens when every partition claims for it: each has heard nothing, and a feed may come on any of them."""


class DriftBehaviour:
    """The alerts of one partition at work."""

    def __init__(self, context: Context, policy: Policy) -> None:
        self._context = context
        self._policy = policy
        self._alerts = context.table("drift.alert")
        self._dirty: dict[str, Cause] = {}
        context.goes_by(policy.fingerprint)

    def on_records(self, records: Sequence[Record]) -> None:
        """Take in claims: the last one of each claimant holds."""
        for record in records:
            told: Claim = record.value
            key = f"{told.alert_kind}:{told.entity_id}"
            alert: Alert = self._alerts.get(key) or Alert()
            others = tuple(c for c in alert.claims if c.claimant != told.claimant)
            claims = others if told.stance == NONE else (*others, told)
            self._alerts.put(key, Alert(claims, *alert[1:]))
            self._dirty[key] = told.cause

    def on_timer(self, key: str) -> None:
        """A deadline passed; or the policy was revised, and alerts may have another owner."""
        if key == REVISED:
            for place, _ in self._alerts.scan(""):
                self._dirty.setdefault(place, by_the_clock(self._context.now))
            return
        alert: Alert = self._alerts.get(key) or Alert()
        held = _combined(alert.claims, self._context.partitions)
        cause = held.cause if held else by_the_clock(0)
        self._dirty.setdefault(key, cause._replace(occurred_at=self._context.now))

    def before_commit(self) -> None:
        """Open, update or resolve what claims or deadlines have touched."""
        dirty, self._dirty = self._dirty, {}
        for key, cause in dirty.items():
            self._judge(key, cause)

    def _judge(self, key: str, cause: Cause) -> None:
        alert = stored = self._alerts.get(key) or Alert()
        held = _combined(alert.claims, self._context.partitions)
        now = self._context.now
        if held is not None and held.due_at > now:
            # A timer that is set already fires before the deadline that was moved on, and is then set anew: moving it
            # each time would cost more than waking once too often.
            if not now < alert.wakes_at <= held.due_at:
                self._context.timers.set(key, held.due_at)
                alert = alert._replace(wakes_at=held.due_at)
            held = None
        if held is not None:
            self._open(key, alert, held, cause)
        elif alert.said is not None:
            self._publish(key, alert, alert.said, ("resolved", alert.opened_at, now), cause)
            self._keep(key, alert._replace(opened_at=0, said=None))
        elif alert is not stored or not alert.claims:
            self._keep(key, alert)

    def _open(self, key: str, alert: Alert, held: Claim, cause: Cause) -> None:
        owner = self._policy.alert(held.alert_kind).owner
        if alert.said is None:
            opened_at = self._context.now
            self._publish(key, alert, held, ("open", opened_at, None), cause)
            self._keep(key, alert._replace(opened_at=opened_at, said=held, owner=owner))
        elif (alert.owner, *_shown(alert.said)) != (owner, *_shown(held)):
            self._publish(key, alert, held, ("updated", alert.opened_at, None), cause)
            self._keep(key, alert._replace(said=held, owner=owner))

    def _keep(self, key: str, alert: Alert) -> None:
        if alert.claims or alert.said is not None:
            self._alerts.put(key, alert)
        else:
            self._alerts.delete(key)

    def _publish(self, key: str, before: Alert, held: Claim, life: tuple[str, int, int | None], cause: Cause) -> None:
        state, opened_at, resolved_at = life
        kind = held.alert_kind
        record: dict[str, Any] = {
            "alert_id": key,
            "kind": kind,
            "severity": held.severity,
            "state": state,
            "entity_kind": ENTITY_KINDS[kind],
            "entity_id": held.entity_id,
            "project_id": held.project_id,
            "contract_number": held.contract_number,
            "client_id": held.client_id,
            "owner": self._policy.alert(kind).owner,
            "opened_at": moment(opened_at),
            "due_at": moment(held.due_at) if held.due_at else None,
            "resolved_at": None if resolved_at is None else moment(resolved_at),
            "measure": round_quotient(held.measure),
            "threshold": round_quotient(held.threshold),
            "unit": _UNITS.get(kind) or dict(held.evidence).get("currency", "money"),
            "evidence": dict(held.evidence),
        }
        self._context.emit(ALERTS, key, record)
        audit = audit_record(
            f"alert_{state}", ("alert", key), held.contract_number, held.project_id,
            None if before.said is None else _traced("open", before.said), _traced(state, held), cause,
            self._context.now,
        )  # fmt: skip
        self._context.emit(AUDIT, held.contract_number or held.project_id or key, audit)


def _combined(claims: tuple[Claim, ...], partitions: int) -> Claim | None:
    """Return what the claims say together: the newest for it, or their sum where ledgers each hold a part."""
    if claims and claims[0].alert_kind == _UNANIMOUS:
        # Of those who have all heard nothing, who heard something last knows most.
        return max(claims, key=lambda c: (c.evidence, c.claimant)) if len(claims) == partitions else None
    if len(claims) == 1 and (claims[0].measure or claims[0].alert_kind != _ADDED_UP):
        return claims[0] if claims[0].stance == FOR else None
    for_it = [c for c in claims if c.stance == FOR]
    if not for_it or any(c.stance == AGAINST for c in claims):
        return None
    newest = max(for_it, key=lambda c: (c.cause.epoch, c.cause.position or 0))
    if newest.alert_kind != _ADDED_UP:
        return newest
    measure = sum((c.measure for c in for_it), ZERO)
    if not measure:
        return None
    parts: dict[str, Decimal] = {}
    for name, part in [pair for c in for_it for pair in c.evidence if pair[0] in _PARTS]:
        parts[name] = parts.get(name, ZERO) + Decimal(part)
    evidence = tuple((name, str(parts.get(name, value))) for name, value in newest.evidence)
    return newest._replace(measure=measure, due_at=max(c.due_at for c in for_it), evidence=evidence)


def _traced(state: str, held: Claim) -> dict[str, str]:
    """Return what the audit trail shows of an alert."""
    state = "resolved" if state == "resolved" else "open"
    measures = {"measure": str(round_quotient(held.measure)), "threshold": str(round_quotient(held.threshold))}
    return {"state": state, "severity": held.severity, **measures}


def _shown(held: Claim) -> tuple[Any, ...]:
    return held.measure, held.threshold, held.severity, held.evidence, held.project_id, held.client_id


def drift_step(policy: Policy) -> Step:
    """Declare the step that keeps alerts."""
    return Step(
        name="drift",
        key="alert id",
        reads=(DRIFT_CLAIMS,),
        writes=(ALERTS, AUDIT),
        begin=lambda context: DriftBehaviour(context, policy),
        remembers={"drift.alert": Alert},
    )
