from collections.abc import Callable
from typing import Any

class Plan:
    """The compiled codec of one schema. `fallback` gets what the plan declines, and its answer counts."""

    declined: int
    def __init__(self, nodes: tuple[tuple[Any, ...], ...], head: bytes, fallback: Callable[[Any], Any]) -> None: ...
    def decode(self, payload: bytes, /) -> Any: ...
    def encode(self, record: Any, /) -> bytes: ...
