"""What a delivery remembers in: how it is stored is not its own affair."""

from collections.abc import Iterable
from typing import Protocol


class Memory(Protocol):
    """Ordered bytes under string keys, such as one table of a partition's state."""

    def get(self, key: str) -> bytes | None:
        """Return the value of a key, or None."""

    def put(self, key: str, value: bytes) -> None:
        """Set the value of a key."""

    def delete(self, key: str) -> None:
        """Forget a key."""

    def scan(self, prefix: str) -> Iterable[tuple[str, bytes]]:
        """Return all pairs whose key begins with the prefix, in key order."""
