"""The kit of a worker's parts, for tests of one part."""

from typing import Any

from streams.config import Settings
from streams.engine.kit import Kit
from streams.engine.metrics import Metrics
from streams.engine.probe import unwatched


def kit(wire: Any = None, now: int = 0, **settings: Any) -> Kit:
    """Return a kit with settings of one's own, and a clock that stands still."""
    return Kit(Settings(**settings), wire, Metrics(), lambda: now, unwatched)
