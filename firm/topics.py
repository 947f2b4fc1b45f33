"""Where the firm's records go when they go to a broker: what the command asks for, and how fast it gives.

The writing itself is the engine's: a function that opens a target is given to the command from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from firm.wire import Record

SOURCE_TOPICS = (
    *(f"psa.public.{table}" for table in ("clients", "resources", "projects", "milestones", "assignments")),
    "psa.public.time_entries",
    "psa.public.expenses",
    *(f"crm.{thing}" for thing in ("Account", "Opportunity", "Contract", "ContractAmendment")),
    "hr.Worker",
    *(f"erp.{thing}" for thing in ("LegalEntity", "Customer", "Project", "Invoice", "CostPosting")),
    *(f"erp.{thing}" for thing in ("RevenueSchedule", "FxRate", "Period")),
)

_BURST_RECORDS = 100  # waits shorter than this many records are not worth the call

Told = Callable[[int, Record], None]


class Target(NamedTuple):
    """Topics to write to, and how far ahead of its readers the writer may run.

    `open_records_max`: while `group` has more records of `topics` unread, the writer waits; None: it never waits. A
    broker that drops old records, as the embedded one does, needs it.
    """

    brokers: str
    group: str
    open_records_max: int | None
    topics: tuple[str, ...] = SOURCE_TOPICS


class Topics(Protocol):
    """Open topics of a broker."""

    def write(self, records: Iterable[Record], told: Told) -> int:
        """Write all records in their order, encoded as their feeds do; return how many. `told` hears of each batch."""


OpenTopics = Callable[[Target], Topics]
"""Opens a target. Raises OSError with a message for a broker that cannot be reached."""


def paced(
    records: Iterable[Record], per_second: int, clock: Callable[[], float], wait: Callable[[float], object]
) -> Iterator[Record]:
    """The records at a steady rate, never ahead of it; a reader that was slow may catch up.

    `clock` gives seconds, `wait` lets so many pass. Raises ValueError for a rate below 1.
    """
    if per_second < 1:
        raise ValueError(f"rate: {per_second} records a second is less than 1")
    began = clock()
    burst = min(_BURST_RECORDS, per_second)
    for number, record in enumerate(records):
        if number % burst == 0:
            early = began + number / per_second - clock()
            if early > 0:
                wait(early)
        yield record
