"""Points that the engine passes, for those who want to see what happens if it dies there."""

from collections.abc import Callable

Probe = Callable[[str], None]
"""Called with the name of each point passed, on whatever thread passes it."""

CHECKPOINT_POINTS = ("settled", "begun", "offsets sent", "produced", "committed", "stored")
"""The points of a checkpoint in their order; at least once, there is neither `begun` nor `offsets sent`."""

OTHER_POINTS = ("revoking", "revoked", "assigned", "opened", "restored a batch", "restored")
"""The points of a rebalance and of a restore."""


def unwatched(_point: str) -> None:
    """Do nothing."""
