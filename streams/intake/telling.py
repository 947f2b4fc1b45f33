"""Telling what a person must look at: an exception and its place in the audit trail, a dead letter and why."""

from streams.domain.fact import Cause
from streams.intake.change import Unreadable
from streams.intake.deadletter import dead_letter
from streams.rules.audit import audit_record
from streams.rules.exceptions import Entity, exception_record
from streams.step import Context, Record
from streams.topics import AUDIT, DEAD_LETTERS, EXCEPTIONS


class Teller:
    """Tells of what one partition refuses or cannot read."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def exception(  # noqa: PLR0913 - the parts of an exception are independent
        self,
        kind: str,
        entity: Entity,
        reasons: tuple[str, ...],
        message: str,
        state: tuple[int, bool],
        cause: Cause,
        evidence: dict[str, str],
        attempts: int = 1,
    ) -> None:
        """Tell of an exception; `state` says since when there is one, and whether it is open."""
        since, open_ = state
        # A refused version does not move the clock of a file run: it is seen at its own time at the latest.
        seen = (since, max(self._context.now, cause.occurred_at))
        record = exception_record(kind, entity, reasons, message, seen, open_, cause, evidence, attempts)
        self._context.emit(EXCEPTIONS, record["exception_id"], record)
        action = f"{kind}_{'opened' if open_ else 'resolved'}"
        told = {"reasons": "; ".join(reasons)}
        audit = audit_record(
            action, (entity.kind, entity.id), entity.contract_number, entity.project_id,
            None if open_ else told, told if open_ else None, cause, seen[1],
        )  # fmt: skip
        self._context.emit(AUDIT, entity.contract_number or entity.project_id or entity.id, audit)

    def unreadable(self, record: Record, unreadable: Unreadable) -> None:
        """Send a record that cannot be read to the dead letters as it came, and tell of it."""
        value, headers = dead_letter(record, unreadable)
        self._context.emit(DEAD_LETTERS, record.key, value, headers)
        place = f"{record.topic}:{record.partition}:{record.offset}"
        cause = Cause(record.topic, record.partition, record.offset, None, 0, record.timestamp)
        message = f"a record of {record.topic} cannot be read: {unreadable.message}"
        seen = (max(self._context.now, record.timestamp), True)
        self.exception("undecodable", Entity("record", place), (unreadable.message,), message, seen, cause, {})


def entity_kind(kind: str) -> str:
    """Return what exceptions call a kind of canonical row: `time_entry` for TimeEntry."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in kind).lstrip("_")
