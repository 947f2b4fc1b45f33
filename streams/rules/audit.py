"""The audit trail: every change of money or state, with its cause, written once and never changed."""

from collections.abc import Mapping
from typing import Any, Final

from streams.domain.calendar import moment
from streams.domain.fact import Cause
from streams.rules.exceptions import cause_record

ACTOR: Final = "throughline"


def audit_record(  # noqa: PLR0913 - an audit record has this many independent parts
    action: str,
    entity: tuple[str, str],
    contract_number: str | None,
    project_id: str | None,
    before: Mapping[str, str] | None,
    after: Mapping[str, str] | None,
    cause: Cause,
    now: int,
) -> dict[str, Any]:
    """Return an `audit.trail` record; `entity` is (kind, id).

    Its id is the same however often it is derived: it names the change and its cause, not the time at which it was
    derived. A position tells versions of one row apart, not rows of one topic: the cause's place in its topic does.
    """
    place = f"{cause.topic or 'clock'}:{cause.partition}:{cause.offset}:{cause.position}:{cause.occurred_at}"
    said = ":".join((after or before or {}).values())
    return {
        "audit_id": f"{action}:{entity[0]}:{entity[1]}:{contract_number or ''}:{said}:{place}",
        "action": action,
        "actor": ACTOR,
        "entity_kind": entity[0],
        "entity_id": entity[1],
        "contract_number": contract_number,
        "project_id": project_id,
        "before": before,
        "after": after,
        "occurred_at": moment(cause.occurred_at),
        "recorded_at": moment(now),
        "cause": cause_record(cause),
    }
