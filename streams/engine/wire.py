"""Between Kafka's bytes and what steps see."""

from typing import Any, Protocol


class Wire(Protocol):
    """How the values of each topic become bytes and come back."""

    def decode(self, topic: str, value: bytes | None, /) -> Any:
        """Return what a step sees of a record's value."""

    def encode(self, topic: str, value: Any, /) -> bytes | None:
        """Return the bytes of an output's value; None is a tombstone."""
