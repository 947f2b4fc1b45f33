"""The contract of every doer: an Order goes in, what was made comes back, and the class of an error decides what next.

The classes are those of `outside.errors`: Fatal, a person must act, and nothing goes until then; Retriable, later;
Skippable, this order is refused for good. A doer may be called by several threads.
"""

from enum import StrEnum
from typing import NamedTuple, Protocol

from outside.errors import Retriable
from streams.domain.undertaking import Order


class Made(NamedTuple):
    """What there is: its id there, whether it was made for this order, and what else is told of it, by name."""

    reference: str
    own: bool = True
    results: tuple[tuple[str, str], ...] = ()


class Undone(StrEnum):
    """What became of what was to be taken back. `in_use`: somebody works with it, so it was left as it is."""

    CLOSED = "closed"
    IN_USE = "in_use"
    NOT_THERE = "not_there"


class NotYet(Retriable):
    """The system is well, and this takes its time: an answer is not there yet, or somebody was quicker."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, nothing_sent=True)


class Doer(Protocol):
    """Makes one kind of thing in one system."""

    name: str

    def make(self, order: Order, in_doubt: bool) -> Made:
        """Make what is ordered, unless it is there: it is asked for first, by an id that follows from the order.

        `in_doubt`: an earlier call may have had its effect. Raises as the module says.
        """

    def undo(self, order: Order) -> Undone:
        """Take back what `make` has made, unless somebody works with it. Raises as the module says."""

    def close(self) -> None:
        """Let go of all connections."""
