"""Exceptions that are opened once and resolved once, whoever finds again what is wrong or right meanwhile."""

from streams.domain.fact import Cause
from streams.rules.exceptions import Entity, exception_record
from streams.step import Context
from streams.topics import EXCEPTIONS

_NO_CAUSE = Cause(None, None, None, None, 0, 0)


class ExceptionQueue:
    """The exceptions that one step has open on a partition, in a table of its own: when each was first seen."""

    def __init__(self, context: Context, table: str) -> None:
        self._context = context
        self._open = context.table(table)

    def tell(self, kind: str, entity: Entity, message: str, wrong: bool) -> None:
        """Open an exception that is not open, or resolve one that is."""
        key = f"{kind}\x1f{entity.kind}\x1f{entity.place}\x1f{entity.id}"
        now, since = self._context.now, self._open.get(key)
        if wrong == (since is not None):
            return
        if wrong:
            self._open.put(key, now)
        else:
            self._open.delete(key)
        reasons = (message,) if message else ()
        told = message or f"{entity.kind} {entity.id}: solved"
        record = exception_record(kind, entity, reasons, told, (since or now, now), wrong, _NO_CAUSE)
        self._context.emit(EXCEPTIONS, record["exception_id"], record)
