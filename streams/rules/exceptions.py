"""Exceptions: what a person must look at. One record shape for every kind, from open to resolved."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from streams.domain.calendar import moment
from streams.domain.fact import Cause

OWNERS: Final = {
    "billing_hold": "finance_ops",
    "ownership_violation": "data_steward",
    "unmapped_value": "data_steward",
    "undecodable": "integration",
    "uncosted": "resource_mgmt",
    "unroutable": "finance_ops",
    "delivery_failed": "finance_ops",
    "validation_failed": "data_steward",
    "activation_failed": "pmo",
}
"""The queue that each kind of exception waits in."""


class Entity(NamedTuple):
    """What an exception is about, and what it belongs to. `place` tells apart the same entity in several ledgers."""

    kind: str
    id: str
    project_id: str | None = None
    contract_number: str | None = None
    client_id: str | None = None
    place: str = ""


def exception_id(kind: str, entity: Entity) -> str:
    """Return the id of an exception: one per kind, place and entity."""
    return ":".join(part for part in (kind, entity.place, entity.kind, entity.id) if part)


def exception_record(  # noqa: PLR0913 - the parts of an exception are independent
    kind: str,
    entity: Entity,
    reasons: Sequence[str],
    message: str,
    seen: tuple[int, int],
    open_: bool,
    cause: Cause,
    evidence: Mapping[str, str] | None = None,
    attempts: int = 1,
) -> dict[str, Any]:
    """Return an `exceptions` record; `seen` are the instants at which it was first and last seen."""
    first, last = seen
    return {
        "exception_id": exception_id(kind, entity),
        "state": "open" if open_ else "resolved",
        "kind": kind,
        "reasons": list(reasons),
        "owner": OWNERS[kind],
        "entity_kind": entity.kind,
        "entity_id": entity.id,
        "project_id": entity.project_id,
        "contract_number": entity.contract_number,
        "client_id": entity.client_id,
        "first_seen": moment(first),
        "last_seen": moment(last),
        "attempts": attempts,
        "message": message,
        "evidence": dict(evidence or {}),
        "cause": cause_record(cause),
    }


def cause_record(cause: Cause) -> dict[str, Any] | None:
    """Return a cause as derived records carry it; None where no change is the cause."""
    if cause.topic is None:
        return None
    return {
        "topic": cause.topic,
        "partition": cause.partition,
        "offset": cause.offset,
        "position": cause.position,
    }
