"""Waiting for what other programs do."""

import time
from collections.abc import Callable

ARRIVES_SECONDS_MAX = 180.0
LOOK_AGAIN_SECONDS = 0.2


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something of another program's doing holds."""
    until = time.monotonic() + ARRIVES_SECONDS_MAX
    while not holds():
        assert time.monotonic() < until, "it does not come about"
        time.sleep(LOOK_AGAIN_SECONDS)  # nobody tells when another program has come so far
