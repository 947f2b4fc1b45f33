"""Policy: thresholds and owners as data, overridable per client or region."""

from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streams.domain.calendar import HOUR_MS, MINUTE_MS

Limits = dict[str, Decimal]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AlertPolicy(_Strict):
    """What one kind of alert is held against, and whose it is."""

    owner: str = Field(min_length=1)
    severity: Literal["info", "warning", "critical"] = "warning"
    limits: Limits
    clients: dict[str, Limits] = {}
    regions: dict[str, Limits] = {}

    def limit(self, name: str, client_id: str | None, region: str | None) -> Decimal:
        """Return a limit: the client's, else the region's, else the general one."""
        if self.clients or self.regions:
            for overrides, owner in ((self.clients, client_id), (self.regions, region)):
                if owner is not None and name in overrides.get(owner, ()):
                    return overrides[owner][name]
        return self.limits[name]


class AlertPolicies(_Strict):
    """The policy of every kind of alert."""

    milestone_unbilled: AlertPolicy
    margin_erosion: AlertPolicy
    revenue_drift: AlertPolicy
    overallocation: AlertPolicy
    amendment_unpropagated: AlertPolicy
    status_mismatch: AlertPolicy
    expense_late: AlertPolicy
    cap_burn: AlertPolicy
    reconciliation_gap: AlertPolicy
    feed_stalled: AlertPolicy

    @model_validator(mode="after")
    def _limits_are_known(self) -> "AlertPolicies":
        for kind, names in LIMITS.items():
            policy: AlertPolicy = getattr(self, kind)
            if set(policy.limits) != names:
                raise ValueError(f"{kind}: limits must be exactly {', '.join(sorted(names))}")
            for owner, overrides in (*policy.clients.items(), *policy.regions.items()):
                if unknown := set(overrides) - names:
                    raise ValueError(f"{kind}: {owner} overrides {', '.join(sorted(unknown))}, which is no limit of it")
        return self


LIMITS: Final[dict[str, frozenset[str]]] = {
    "milestone_unbilled": frozenset({"after_hours"}),
    "margin_erosion": frozenset({"floor", "points_under_baseline", "points_to_clear"}),
    "revenue_drift": frozenset({"fraction", "amount"}),
    "overallocation": frozenset({"fraction", "weeks_ahead"}),
    "amendment_unpropagated": frozenset({"after_hours"}),
    "status_mismatch": frozenset({"after_hours"}),
    "expense_late": frozenset({"after_hours"}),
    "cap_burn": frozenset({"warning", "critical"}),
    "reconciliation_gap": frozenset({"after_hours"}),
    "feed_stalled": frozenset({"after_minutes"}),
}


class Policy(_Strict):
    """All that a firm may set for itself."""

    version: int
    alerts: AlertPolicies
    activation_after_hours: Decimal = Field(default=Decimal(24), gt=0)
    activation_attempts_max: int = Field(default=3, ge=1)

    @cached_property
    def fingerprint(self) -> str:
        """What tells this policy from another: the same for the same content."""
        return sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def alert(self, kind: str) -> AlertPolicy:
        """Return the policy of a kind of alert."""
        policy: AlertPolicy = getattr(self.alerts, kind)
        return policy

    def activation_delay_ms(self) -> int:
        """Return after how many milliseconds a step of an activation is late."""
        return int(self.activation_after_hours * HOUR_MS)

    def delay_ms(self, kind: str, client_id: str | None, region: str | None) -> int:
        """Return after how many milliseconds a condition becomes an alert."""
        return int(self.alert(kind).limit("after_hours", client_id, region) * HOUR_MS)

    def silence_ms(self) -> int:
        """Return after how many milliseconds of silence a feed has stalled."""
        return int(self.alerts.feed_stalled.limits["after_minutes"] * MINUTE_MS)
