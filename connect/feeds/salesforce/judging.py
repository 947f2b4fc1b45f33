"""What an event means for what is known of its record: nothing new, a change to merge, a deletion, or a look by query.

A record read by query has a SystemModstamp of T, to the second. Whatever was committed to it in an earlier second is
in it; what was committed in a later second is new, or says what the record says already. In the same second nobody can
tell, so the record is read once more: what is remembered is compared with what is there, so nothing is lost and nothing
lands twice.
"""

from enum import Enum, auto
from typing import Final

from connect.feeds.salesforce.events import Event, Shape
from connect.feeds.salesforce.known import Known

_SECOND_MS: Final = 1000


class Verdict(Enum):
    """What to do with an event for one record."""

    SKIP = auto()
    CREATE = auto()
    MERGE = auto()
    DELETE = auto()
    READ = auto()


def judged(event: Event, known: Known | None, shape: Shape | None) -> Verdict:
    """Return what to do. `shape`: how its schema's events become rows, None if they cannot without a reading."""
    if known is not None:
        if known.order is not None and event.order <= known.order:
            return Verdict.SKIP
        if known.read_ms is not None and event.order.at_ms < known.read_ms + _SECOND_MS:
            return Verdict.SKIP if event.order.at_ms < known.read_ms else Verdict.READ
    if event.change == "DELETE":
        return Verdict.SKIP if known is None or known.row is None else Verdict.DELETE
    if shape is None or shape.has_diff(event):
        return Verdict.READ
    if event.change == "CREATE":
        return Verdict.CREATE if known is None and not shape.has_lookups else Verdict.READ
    if event.change == "UPDATE" and known is not None and known.row is not None and not shape.touches_lookup(event):
        return Verdict.MERGE
    return Verdict.READ
