"""What a Step at work does. Not compiled with the rest, so that whoever writes a behaviour may derive from it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from streams.step import Record


class Behaviour(Protocol):
    """A Step at work: what it does with records, with due timers, and once before each commit."""

    def on_records(self, records: Sequence["Record"]) -> None:
        """Take in records of the topics read, in the order of their partition."""

    def on_timer(self, key: str) -> None:
        """A timer set under this key fell due; it is gone now."""

    def before_commit(self) -> None:
        """Emit what is emitted once per commit."""
