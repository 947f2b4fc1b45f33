"""Between Kafka's bytes and what steps see."""

from typing import Any, Protocol

from streams.step import Record


class Wire(Protocol):
    """How the values of each topic become bytes and come back."""

    def read(self, record: Record, /) -> Any:
        """Return what a step sees of a record whose value is still bytes, or None for a tombstone."""

    def write(self, topic: str, value: Any, /) -> bytes | None:
        """Return the bytes of an output's value; None is a tombstone."""
